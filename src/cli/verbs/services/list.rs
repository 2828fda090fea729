//! `list`: the services as a table.

use std::process::ExitCode;

use super::super::super::args::List;
use super::super::super::exit::Exit;
use super::super::super::progress;
use super::super::super::render::{self, WARN};
use super::super::{Context, orphans};
use crate::services;

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &List) -> ExitCode {
    let known = progress::while_waiting(ctx.say.quiet, "asking the daemon", ctx.known(&args.ids, true)).await;
    let known = match known {
        Ok(known) => known,
        Err(error) => return ctx.say.error(&error),
    };
    if ctx.say.json {
        ctx.say.json(&serde_json::json!({ "services": known }));
    } else if known.is_empty() {
        nothing(ctx);
    } else {
        ctx.say.text(&render::services::table(&known, crate::clock::now()));
        ctx.say.text(&render::services::health(&known, !args.ids.is_empty()));
    }
    say_orphans(ctx).await;
    Exit::Done.into()
}

/// What runs and is none of these services any more.
async fn say_orphans(ctx: &Context<'_>) {
    if ctx.say.json || ctx.say.quiet || ctx.is_guest() {
        return;
    }
    match orphans::known(ctx).await {
        Ok(0) => {}
        Ok(n) => ctx.say.note(&format!("{WARN}{}{WARN:#}: provost orphans", orphans::count(n))),
        Err(error) => tracing::info!("orphans: {error}"),
    }
}

/// There are no services: how to get some.
pub(super) fn nothing(ctx: &Context<'_>) {
    ctx.say.text("No services.\n");
    match services::choose(ctx.choice(None)) {
        Ok(Some(config)) => {
            let config = crate::text::escape(&config.to_string_lossy());
            ctx.say.text(&format!("Start those of {config}: provost up\n"));
        }
        _ => ctx.say.text("Start a command under supervision: provost run -- COMMAND; or write a provost.toml\n"),
    }
}
