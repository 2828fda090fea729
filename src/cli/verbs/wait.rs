//! `wait`: until it is available, running or gone.

use std::process::ExitCode;

use serde_json::json;

use super::super::args::{Wait, WaitFor};
use super::super::exit::Exit;
use super::super::progress;
use super::{Context, candidates};
use crate::model::Target;
use crate::wait::{State, Waited, wait_for};

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Wait) -> ExitCode {
    let Some(word) = &args.target else {
        return candidates(ctx, "wait").await;
    };
    let target: Target = match word.parse() {
        Ok(target) => target,
        Err(error) => return ctx.say.error(&crate::Error::Malformed(error)),
    };
    let (state, name) = match args.state {
        WaitFor::Available => (State::Available, "available"),
        WaitFor::Gone => (State::Gone, "gone"),
        WaitFor::Running => (State::Running, "running"),
    };
    let words = format!("waiting until {target} is {name}");
    let waited =
        progress::while_waiting(ctx.say.quiet, &words, wait_for(ctx.client, &target, state, args.timeout)).await;
    let waited = match waited {
        Ok(waited) => waited,
        Err(error) => return ctx.say.error(&error),
    };
    let shown = crate::text::clip(word);
    if ctx.say.json {
        ctx.say.json(&json!({
            "target": word, "for": name, "reached": waited.reached, "hopeless": waited.hopeless, "detail": waited.detail,
            "availability": waited.availability,
        }));
    } else if waited.reached {
        ctx.say.text(&format!("{shown}: {name}\n"));
    } else if waited.hopeless {
        ctx.say.note(&format!("provost: {shown} is not {name}: {}", crate::text::clip_to(&waited.detail, 200)));
    } else {
        let limit = humantime::format_duration(args.timeout.unwrap_or_default());
        ctx.say.note(&format!(
            "provost: {shown} is not {name} after {limit}: {}",
            crate::text::clip_to(&waited.detail, 200)
        ));
    }
    match waited {
        Waited { reached: true, .. } => Exit::Done.into(),
        Waited { hopeless: true, .. } => Exit::Not.into(),
        Waited { .. } => Exit::TimedOut.into(),
    }
}
