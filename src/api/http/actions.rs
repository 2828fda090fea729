//! `/api/v1/actions`: anything that the verbs do with a target, as the daemon's owner. No password is
//! ever asked for.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::call::{Answered, Call, json};
use super::describe::of;
use super::endpoint::{Endpoint, Gives};
use super::inspect::{TARGET, target};
use super::problem::Problem;
use crate::act::{Options, Outcome};
use crate::model::{Action, Plan, Request, Signal, Target, Whom};
use crate::tokens::Scope;
use crate::{Client, Error};

pub(super) static ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::POST,
    path: "/api/v1/actions",
    scope: Some(Scope::Manage),
    system: false,
    about: "Plans an action on a target, and carries it out.",
    params: &[],
    body: Some(of::<Wanted>()),
    gives: Gives::Json(200, of::<Vec<Acted>>()),
    fails: &[403, 404, 409, 422, 503, 504],
    handler: |call| Box::pin(act(call)),
}];

/// What is wanted.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// As on the command line.
    #[cfg_attr(test, schemars(length(min = 1, max = 1024)))]
    target: String,
    action: Action,
    /// Only say how it would be done.
    #[serde(default)]
    dry_run: bool,
    /// If the target leads to several owners: all of them.
    #[serde(default)]
    all: bool,
    /// Of stop: SIGKILL at once.
    #[serde(default)]
    force: bool,
    /// The processes that match, in spite of their unit.
    #[serde(default)]
    only_process: bool,
    /// Of kill: TERM without it.
    signal: Option<Signal>,
    /// Of kill: main without it.
    whom: Option<Whom>,
    /// For how many seconds to wait; 60 without it.
    #[cfg_attr(test, schemars(with = "Option<u64>", range(min = 1, max = 3600)))]
    timeout: Option<f64>,
}

/// What became of it, for one owner.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Acted {
    /// The exact target.
    target: String,
    action: Action,
    dry_run: bool,
    /// How, and by what right.
    plan: Plan,
    /// How it ended; null of a dry run.
    outcome: Option<Outcome>,
    /// The state afterwards, in words.
    state: Option<String>,
}

async fn act(call: Call) -> Answered {
    let wanted: Wanted = call.json()?;
    if wanted.target.len() > TARGET
        || wanted.timeout.is_some_and(|secs| !(1.0..=3600.0).contains(&secs) || secs.fract() != 0.0)
    {
        let why = format!("a target has at most {TARGET} bytes, and a timeout 1 to 3600 seconds");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let target = target(&wanted.target)?;
    let request = Request {
        signal: wanted.signal.unwrap_or(Signal::TERM),
        whom: wanted.whom.unwrap_or_default(),
        force: wanted.force,
        only_process: wanted.only_process,
        ask_password: false,
        ..Request::new(wanted.action)
    };
    json(&call.front.ask(async move |client| carry_out(&client, &target, &request, &wanted).await).await?)
}

async fn carry_out(client: &Client, target: &Target, request: &Request, wanted: &Wanted) -> Result<Vec<Acted>, Error> {
    let limit = Duration::from_secs_f64(wanted.timeout.unwrap_or(60.0));
    let mut acted = Vec::new();
    for (target, plan) in client.plan(target, request, wanted.all).await? {
        let done = match wanted.dry_run {
            true => None,
            false => Some(client.act(&plan, Options { no_block: false, timeout: Some(limit) }).await?),
        };
        let (outcome, state) = done.map(|done| (done.outcome, done.state)).unzip();
        let (action, dry_run) = (wanted.action, wanted.dry_run);
        acted.push(Acted { target, action, dry_run, plan, outcome, state });
    }
    Ok(acted)
}
