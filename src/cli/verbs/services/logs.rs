//! `logs`: what services, or units, have written; with -f what they write.

use std::process::ExitCode;

use super::super::super::args::Logs;
use super::super::super::exit::Exit;
use super::super::super::progress;
use super::super::{Context, targets};
use super::watch::line;
use crate::error::Error;
use crate::model::{Malformed, OwnerFacts, ServiceId, Target};
use crate::observe::Want;
use crate::services::{self, Output, Piece, Query, Source};

/// So many of each are had of the system's daemon.
const FROM_DAEMON: usize = crate::services::MOST_OF_DAEMON;
/// So many lines of each, unless it is said.
const LINES: usize = 20;

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Logs) -> ExitCode {
    match logs(ctx, args).await {
        Ok(()) => Exit::Done.into(),
        Err(error) => ctx.say.error(&error),
    }
}

async fn logs(ctx: &Context<'_>, args: &Logs) -> Result<(), Error> {
    let words = "looking for logs";
    let sources = progress::while_waiting(ctx.say.quiet, words, sources(ctx, args)).await?;
    let lines = args.lines.or((args.since.is_none()).then_some(LINES));
    let lines = lines.filter(|lines| *lines != usize::MAX);
    let query = Query { lines, since: args.since, stderr: args.stderr };
    let guest = sources.iter().any(|source| matches!(source, Source::System(..)));
    if guest && lines.is_none_or(|lines| lines > FROM_DAEMON) {
        ctx.say.note(&format!("the system's provost gives {FROM_DAEMON} lines of each at most, the last ones"));
    }
    let width = match sources.as_slice() {
        [_] => 0,
        several => several.iter().map(|source| source.whose().len()).max().unwrap_or(0),
    };
    let observer = ctx.client.observer();
    if args.follow {
        let mut output = Output::follow(observer, &sources, &query).await?;
        while line(ctx, &output.next().await, width) {}
        return Ok(());
    }
    let mut pieces: Vec<Piece> = Vec::new();
    for source in &sources {
        let lines = services::read_output(observer, source, &query).await?;
        pieces.extend(lines.into_iter().map(|line| Piece { whose: source.whose().to_owned(), line }));
    }
    // Each source is in order already, also where a clock was set back.
    if sources.len() > 1 {
        pieces.sort_by_key(|piece| piece.line.at);
    }
    if pieces.is_empty() && !ctx.say.json {
        ctx.say.note("nothing was written");
    }
    for piece in &pieces {
        if !line(ctx, piece, width) {
            break;
        }
    }
    Ok(())
}

async fn sources(ctx: &Context<'_>, args: &Logs) -> Result<Vec<Source>, Error> {
    if args.targets.is_empty() {
        let all = ctx.known(&[], false).await?;
        if all.is_empty() {
            let why = "there is no service whose log could be read; of a unit: provost logs UNIT";
            return Err(Error::NotFound { what: why.to_owned(), nearest: Vec::new() });
        }
        return Ok(all.iter().map(|report| ctx.source(report, ctx.is_guest())).collect());
    }
    let mut found = Vec::new();
    for target in targets(&args.targets)? {
        for source in of_target(ctx, &target).await? {
            if !found.contains(&source) {
                found.push(source);
            }
        }
    }
    Ok(found)
}

async fn of_target(ctx: &Context<'_>, target: &Target) -> Result<Vec<Source>, Error> {
    let id: Option<ServiceId> = match target {
        Target::Service(id) => Some(id.clone()),
        Target::Word(word) => word.parse().ok(),
        _ => None,
    };
    if let Some(id) = &id {
        match ctx.known(std::slice::from_ref(id), false).await {
            Ok(known) if !known.is_empty() => {
                return Ok(known.iter().map(|report| ctx.source(report, ctx.is_guest())).collect());
            }
            Err(error) if matches!(target, Target::Service(_)) => return Err(error),
            _ => {}
        }
    }
    let facts = match ctx.client.facts(target, &Want { suggest: true, ..Want::default() }).await {
        Ok(facts) => facts,
        Err(error) => return Err(ctx.whose(error, id.as_slice()).await),
    };
    let all: Vec<Source> = facts.owners.iter().filter_map(|owner| of_owner(ctx, owner)).collect();
    if all.is_empty() {
        let target = crate::text::clip(&facts.target);
        let why = format!("{target} is neither a service nor in a unit of its own: nobody here keeps what it writes");
        return Err(Malformed::new(why).into());
    }
    Ok(all)
}

fn of_owner(ctx: &Context<'_>, owner: &OwnerFacts) -> Option<Source> {
    if let Some(service) = &owner.service {
        return Some(ctx.source(&service.report, service.system));
    }
    owner.owner.unit().map(|(manager, unit)| Source::Unit(manager, unit.clone()))
}
