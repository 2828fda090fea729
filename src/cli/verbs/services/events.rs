//! `events`: what happens to services; one line, or one JSON object, each.

use std::process::ExitCode;

use super::super::super::args::Events;
use super::super::super::exit::Exit;
use super::super::super::render;
use super::super::Context;
use crate::control::Next;
use crate::error::Error;
use crate::model::service::Event;
use crate::services;

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Events) -> ExitCode {
    match follow(ctx, args).await {
        Ok(()) => Exit::Done.into(),
        Err(error) => ctx.say.error(&error),
    }
}

async fn follow(ctx: &Context<'_>, args: &Events) -> Result<(), Error> {
    let Some(control) = ctx.connect().await? else {
        let why = "no daemon runs, so that nothing happens to services; provost up starts one";
        return Err(Error::Unreachable(why.to_owned()));
    };
    // An id that nobody has would never say anything; that of a group stands for its instances.
    let mut named = Vec::new();
    if !args.ids.is_empty() {
        match control.list(&args.ids, None, false).await {
            Ok(reports) => named.extend(reports.into_iter().map(|report| report.id)),
            Err(error) => return Err(ctx.whose(error, &args.ids).await),
        }
    }
    let wanted = |event: &Event| {
        let is = |id| services::matches(id, &event.id);
        args.ids.is_empty() || named.contains(&event.id) || args.ids.iter().any(is)
    };
    let mut events = control.events().await?.patiently();
    for event in control.recent_events().await? {
        // What came between the subscription and the answer is in both.
        events.skip_to(event.seq);
        if wanted(&event) {
            say(ctx, &event);
        }
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        let event = match events.next().await {
            Some(Next::Event(event)) => event,
            Some(Next::Another) => {
                ctx.say.note("provost: another daemon runs now: what happened between the two is not known");
                continue;
            }
            None => return Err(Error::Unreachable("the daemon has ended".to_owned())),
        };
        let missed = events.missed();
        if missed > 0 {
            ctx.say.note(&format!("provost: {missed} events came too fast, and are not shown"));
        }
        if wanted(&event) && !say(ctx, &event) {
            return Ok(());
        }
    }
}

/// False where nobody reads any more.
fn say(ctx: &Context<'_>, event: &Event) -> bool {
    match ctx.say.json {
        true => ctx.say.json_line(event),
        false => ctx.say.line(&render::services::event(event, true)),
    }
}
