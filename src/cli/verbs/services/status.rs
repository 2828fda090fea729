//! `status`: whether services are as they should be, exit 0 or 3; of any other target, its state.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::super::super::args::Status;
use super::super::super::exit::Exit;
use super::super::super::say::error_json;
use super::super::super::{progress, render};
use super::super::{Context, targets};
use super::list::nothing;
use crate::error::Error;
use crate::model::service::ServiceReport;
use crate::model::{Facts, OwnerFacts, SaidBy, ServiceId, Target};
use crate::observe::Want;
use crate::wait::runs;

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Status) -> ExitCode {
    if args.targets.is_empty() {
        return all(ctx).await;
    }
    let targets = match targets(&args.targets) {
        Ok(targets) => targets,
        Err(error) => return ctx.say.error(&error.into()),
    };
    let mut found = Found::default();
    for target in &targets {
        let words = format!("looking at {target}");
        if let Err(error) = progress::while_waiting(ctx.say.quiet, &words, look(ctx, target, &mut found)).await {
            ctx.say.complain(&error);
            let mut document = error_json(&error);
            document["target"] = target.to_string().into();
            found.others.push(document);
            found.code.get_or_insert(error.exit_code());
        }
    }
    if !render::services::is_good(&found.services, true) {
        found.code.get_or_insert(Exit::Not as u8);
    }
    if ctx.say.json {
        let mut document = json!({ "services": found.services });
        if !found.others.is_empty() {
            document["targets"] = found.others.into();
        }
        ctx.say.json(&document);
    } else if let ([one], 1) = (found.services.as_slice(), targets.len()) {
        ctx.say.text(&render::services::detail(one, crate::clock::now()));
        ctx.say.text(&render::services::health(&found.services, true));
    } else if !found.services.is_empty() {
        ctx.say.text(&render::services::status(&found.services, true));
    }
    ExitCode::from(found.code.unwrap_or(Exit::Done as u8))
}

/// Without a target: all services.
async fn all(ctx: &Context<'_>) -> ExitCode {
    let known = progress::while_waiting(ctx.say.quiet, "asking the daemon", ctx.known(&[], true)).await;
    let reports = match known {
        Ok(known) => known,
        Err(error) => return ctx.say.error(&error),
    };
    if ctx.say.json {
        ctx.say.json(&json!({ "services": reports }));
    } else if reports.is_empty() {
        nothing(ctx);
    } else {
        ctx.say.text(&render::services::status(&reports, false));
    }
    if render::services::is_good(&reports, false) { Exit::Done.into() } else { Exit::Not.into() }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    services: Vec<ServiceReport>,
    /// The documents of what is no service.
    others: Vec<Value>,
    code: Option<u8>,
}

async fn look(ctx: &Context<'_>, target: &Target, found: &mut Found) -> Result<(), Error> {
    let id: Option<ServiceId> = match target {
        Target::Service(id) => Some(id.clone()),
        Target::Word(word) => word.parse().ok(),
        _ => None,
    };
    if let Some(id) = id {
        match ctx.known(std::slice::from_ref(&id), true).await {
            Ok(known) if !known.is_empty() => {
                found.services.extend(known);
                return Ok(());
            }
            Err(error) if matches!(target, Target::Service(_)) => return Err(error),
            // A word may mean something else.
            _ => {}
        }
    }
    let facts = match ctx.client.facts(target, &Want { suggest: true, ..Want::default() }).await {
        Ok(facts) => facts,
        Err(error) => match target {
            Target::Word(word) => return Err(elsewhere(ctx, error, word).await),
            _ => return Err(error),
        },
    };
    others(ctx, &facts, found);
    Ok(())
}

/// Nothing here is called so: perhaps a service of somebody else is.
async fn elsewhere(ctx: &Context<'_>, error: Error, word: &str) -> Error {
    match word.parse::<ServiceId>() {
        Ok(id) => ctx.whose(error, &[id]).await,
        Err(_) => error,
    }
}

fn others(ctx: &Context<'_>, facts: &Facts, found: &mut Found) {
    for owner in &facts.owners {
        // One that the config describes and nobody ever started.
        if let Some(service) = &owner.service {
            found.services.push(service.report.clone());
            if service.said_by == SaidBy::Silent {
                let why = "the daemon does not answer; this is what the records say, verified just now";
                let error = Error::Unreachable(why.to_owned());
                ctx.say.complain(&error);
                found.code.get_or_insert(error.exit_code());
            }
            continue;
        }
        if !runs(owner) {
            found.code.get_or_insert(Exit::Not as u8);
        }
        let state = state(owner);
        let pids: Vec<u32> = owner.processes.iter().map(crate::model::Process::pid).collect();
        found.others.push(json!({
            "target": facts.target, "exact": owner.exact, "kind": owner.owner.kind(), "state": state,
            "running": runs(owner), "pids": pids,
        }));
        if !ctx.say.json {
            let style = if runs(owner) { render::GOOD } else { render::BAD };
            let pid = pids.first().map(|pid| format!(" (PID {pid})")).unwrap_or_default();
            let who = render::owner_line(owner, crate::clock::now());
            let exact = crate::text::escape(&owner.exact);
            ctx.say.text(&format!("{exact}: {style}{state}{style:#}{pid}, {who}\n"));
        }
    }
}

fn state(owner: &OwnerFacts) -> String {
    match &owner.unit {
        Some(unit) if owner.owner.unit().is_some() => crate::text::escape(&unit.active_state),
        _ if runs(owner) => "running".to_owned(),
        _ => "not running".to_owned(),
    }
}
