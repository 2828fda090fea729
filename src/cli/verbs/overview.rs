//! `provost` alone: known servers and own services, and what you may do with them.

use std::process::ExitCode;

use super::super::exit::Exit;
use super::super::progress;
use super::super::render::{self, OverviewRow};
use super::Context;
use crate::decide::decide_all;
use crate::error::Error;
use crate::model::{Action, AvailabilityState, Facts, OwnerFacts, Plan, Request, Verdict};
use crate::observe::Want;

pub(in crate::cli) async fn run(ctx: &Context<'_>) -> ExitCode {
    let rows = match progress::while_waiting(ctx.say.quiet, "looking for servers", rows(ctx)).await {
        Ok(rows) => rows,
        Err(error) => return ctx.say.error(&error),
    };
    if ctx.say.json {
        ctx.say.json(&serde_json::json!({ "services": rows }));
    } else if rows.is_empty() {
        ctx.say.text("No known server runs here, and nothing that provost started.\n");
        ctx.say.text("Look at anything: provost inspect WORD, :PORT or pid:N; more: provost --help\n");
    } else {
        ctx.say.text(&render::overview(&rows));
    }
    Exit::Done.into()
}

/// One row for each owner of a known server or own service.
pub(super) async fn rows(ctx: &Context<'_>) -> Result<Vec<OverviewRow>, Error> {
    let want = Want { actions: Action::ALL.to_vec(), probe: true, ..Want::default() };
    let found = ctx.client.observer().servers(&want).await?;
    let like = Request { ask_password: ctx.ask_password, ..Request::new(Action::Stop) };
    Ok(found.owners.iter().map(|owner| row(&found, owner, &decide_all(&found, owner, &like))).collect())
}

fn row(facts: &Facts, owner: &OwnerFacts, plans: &[Plan]) -> OverviewRow {
    let with = |verdict| {
        let open = plans.iter().filter(move |p| p.verdict == verdict && p.already.is_none());
        open.map(|p| p.action.verb()).collect::<Vec<_>>()
    };
    let found = owner.availability.as_ref();
    let address = found.and_then(|a| a.url.clone());
    let name = found.and_then(|a| a.server.clone()).or_else(|| owner.processes.first().map(|p| p.comm.clone()));
    let service = owner.service.as_ref().map(|service| service.report.id.to_string());
    // Of what has just ended nobody can tell.
    let whose = match &owner.user {
        Some(user) if *user == facts.caller.user => " (you)".to_owned(),
        Some(user) => format!(" ({user})"),
        None => String::new(),
    };
    let who = match owner.owner.unit() {
        Some((_, unit)) => format!("{unit}{whose}"),
        None => match &owner.service {
            Some(service) => format!("provost: {}{whose}", service.report.state),
            None => format!("{}{whose}", owner.owner.kind()),
        },
    };
    OverviewRow {
        name: service.or(name).unwrap_or_else(|| owner.exact.clone()),
        target: owner.exact.clone(),
        owner: who,
        kind: owner.owner.kind(),
        state: found.map_or(AvailabilityState::Unknown, |a| a.state),
        address: address.or_else(|| owner.listening.as_ref()?.first().map(ToString::to_string)),
        allowed: with(Verdict::Allowed),
        with_password: with(Verdict::NeedsPassword),
    }
}
