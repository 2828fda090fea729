//! `ensure`: make sure that it is available.

use std::process::ExitCode;

use super::super::args::Ensure;
use super::super::progress;
use super::super::render::{BAD, GOOD};
use super::change::elsewhere;
use super::{Context, candidates};
use crate::ensure::{Options, ensure};
use crate::error::Error;
use crate::model::{AvailabilityState, Target};

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Ensure) -> ExitCode {
    let Some(word) = &args.target else {
        return candidates(ctx, "ensure").await;
    };
    match one(ctx, args, word).await {
        Ok(code) => code,
        Err(error) => ctx.say.error(&error),
    }
}

async fn one(ctx: &Context<'_>, args: &Ensure, word: &str) -> Result<ExitCode, Error> {
    let target: Target = word.parse()?;
    let options = Options {
        timeout: args.timeout,
        load_timeout: args.load_timeout,
        restart: args.restart,
        dry_run: args.dry_run,
        sudo: args.sudo,
        ask_password: ctx.ask_password,
        probe: args.probe.as_deref().map(str::parse).transpose()?,
        command: args.command.clone(),
    };
    let words = format!("waiting for {word}");
    let ended = progress::while_waiting(ctx.say.quiet, &words, ensure(ctx.client, &target, &options)).await;
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => return Err(elsewhere(ctx, &target, error).await),
    };
    let code = ExitCode::from(ended.exit_code);
    if ctx.say.json {
        ctx.say.json(&ended);
        return Ok(code);
    }
    let reason = crate::text::escape(&ended.reason);
    if args.dry_run {
        ctx.say.text(&format!("{}: {reason}\n", crate::text::clip(word)));
    } else if ended.exit_code == 0 {
        let state = if ended.state == AvailabilityState::Unknown { "running" } else { "available" };
        let at = ended.url.map(|url| format!(" at {}", crate::text::escape(&url))).unwrap_or_default();
        ctx.say.text(&format!("{}: {GOOD}{state}{GOOD:#}{at} ({reason})\n", crate::text::clip(word)));
    } else {
        ctx.say.note(&format!("{BAD}provost:{BAD:#} {}: {reason}", crate::text::clip(word)));
        if let Some(unlock) = ended.unlock {
            ctx.say.note(&format!("  {}", crate::text::escape(&unlock)));
        }
    }
    Ok(code)
}
