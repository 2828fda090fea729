//! `logs`: what services, or units, have written; with -f what they write.

use std::process::ExitCode;

use super::super::super::args::{Logs, Output as Form};
use super::super::super::exit::Exit;
use super::super::super::progress;
use super::super::{Context, targets};
use super::look::{Look, write};
use crate::error::Error;
use crate::logs::Pattern;
use crate::model::{Malformed, OwnerFacts, SaidBy, ServiceId, Target};
use crate::observe::Want;
use crate::services::{Merged, Output, Query, Source};

/// So many lines of each, unless it is said.
const LINES: usize = 20;

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Logs, form: Form) -> ExitCode {
    match logs(ctx, args, form).await {
        Ok(()) => Exit::Done.into(),
        Err(error) => ctx.say.error(&error),
    }
}

async fn logs(ctx: &Context<'_>, args: &Logs, form: Form) -> Result<(), Error> {
    let query = query(args)?;
    let words = "looking for logs";
    let sources = progress::while_waiting(ctx.say.quiet, words, sources(ctx, args)).await?;
    let look = Look::of_logs(ctx, form, &sources);
    let observer = ctx.client.observer();
    if args.follow {
        let mut output = Output::follow(observer, &sources, &query).await?;
        let gone = daemon_ends(ctx, &sources);
        let mut gone = std::pin::pin!(gone);
        loop {
            tokio::select! {
                piece = output.next() => if !look.show(&piece) {
                    return Ok(());
                },
                () = &mut gone => {}
            }
        }
    }
    let mut all = Merged::of(observer, &sources, &query).await?;
    let (mut any, mut out) = (false, Vec::new());
    while let Some(piece) = all.next().await? {
        any = true;
        if !look.add(&mut out, &piece) {
            return Ok(());
        }
    }
    write(&out);
    if !any && !ctx.say.json && query.lines != Some(0) {
        ctx.say.note(none_of(&query));
    }
    Ok(())
}

/// Says it when the daemon that keeps what services write has ended, or is not there; never done.
async fn daemon_ends(ctx: &Context<'_>, sources: &[Source]) {
    if sources.iter().any(|source| matches!(source, Source::Service(..))) {
        let mut why = "no daemon runs";
        match ctx.connect().await {
            Ok(Some(control)) => {
                if let Ok(mut events) = control.events().await {
                    while events.next().await.is_some() {}
                    why = "the daemon has ended";
                }
            }
            Ok(None) => {}
            // That was said when its services were looked for.
            Err(_) => return std::future::pending().await,
        }
        ctx.say.note(&format!("provost: {why}: what services write into its files comes when one runs again"));
    }
    std::future::pending().await
}

/// Where there is no line that is meant.
fn none_of(query: &Query) -> &'static str {
    match query {
        Query { grep: Some(_), .. } => "no line has that",
        Query { since: Some(_), .. } | Query { until: Some(_), .. } => "nothing was written in that time",
        Query { stderr: true, .. } => "nothing was written to standard error",
        _ => "nothing was written",
    }
}

fn query(args: &Logs) -> Result<Query, Malformed> {
    let now = crate::clock::now();
    if let Some(since) = args.since.filter(|since| *since > now) {
        let (since, now) = (humantime::format_rfc3339_seconds(since), humantime::format_rfc3339_seconds(now));
        return Err(Malformed::new(format!("--since {since} is in the future: now it is {now} (UTC)")));
    }
    if args.since.is_some_and(|since| args.until.is_some_and(|until| until < since)) {
        return Err(Malformed::new("--until is before --since: no line can be between them"));
    }
    let grep = args.grep.as_deref().map(|text| Pattern::new(text, args.ignore_case)).transpose();
    let grep = grep.map_err(|why| Malformed::new(format!("--grep: {why}")))?;
    // Who asks for some of them asks for all of those.
    let some = args.since.is_some() || args.until.is_some() || grep.is_some() && !args.follow;
    let lines = args.lines.or((!some).then_some(LINES)).filter(|lines| *lines != usize::MAX);
    Ok(Query { lines, since: args.since, until: args.until, stderr: args.stderr, grep })
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
    if facts.owners.iter().flat_map(|owner| &owner.service).any(|service| service.said_by == SaidBy::Silent) {
        ctx.say.note("provost: the daemon does not answer: what services write into its files comes when it goes on");
    }
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
