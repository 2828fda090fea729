//! `/api/v1/inspect` and `/api/v1/probe`: who owns a target, and whether it answers. They change
//! nothing.

use axum::http::Method;

use super::call::{Answered, Call, json};
use super::describe::of;
use super::endpoint::{Endpoint, Gives};
use super::problem::Problem;
use super::query::{Kind, Param, param, required};
use crate::model::{Availability, InspectReport, Target};
use crate::tokens::Scope;

/// The longest target.
pub(super) const TARGET: usize = 1024;
const NAMED: Param = required("target", Kind::Text(TARGET), "as on the command line: unit:NAME, pid:N, :PORT, a word");

pub(super) static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::GET,
        path: "/api/v1/inspect",
        scope: Some(Scope::Read),
        system: false,
        about: "Who owns a target, what it serves, and what may be done with it.",
        params: &[NAMED],
        body: None,
        gives: Gives::Json(200, of::<InspectReport>()),
        fails: &[404, 409],
        handler: |call| Box::pin(inspect(call)),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/probe",
        scope: Some(Scope::Read),
        system: false,
        about: "Whether a target answers.",
        params: &[NAMED, param("timeout", Kind::Whole(1, 60), "for how many seconds to wait; 5 without it")],
        body: None,
        gives: Gives::Json(200, of::<Availability>()),
        fails: &[404, 409],
        handler: |call| Box::pin(probe(call)),
    },
];

async fn inspect(call: Call) -> Answered {
    let target = target(call.query.text("target").unwrap_or_default())?;
    json(&call.front.ask(async move |client| client.inspect(&target).await).await?)
}

async fn probe(call: Call) -> Answered {
    let target = target(call.query.text("target").unwrap_or_default())?;
    let limit = call.limit(5);
    json(&call.front.ask(async move |client| client.probe(&target, limit).await).await?)
}

/// What was named.
pub(super) fn target(text: &str) -> Result<Target, Problem> {
    text.parse().map_err(|error: crate::model::Malformed| Problem::wrong(error.to_string()))
}
