//! `registry`: the processes of services, as registries of model servers list them.

use std::process::ExitCode;

use serde_json::Value;

use super::super::exit::Exit;
use super::super::render::{self, DIM};
use super::Context;
use crate::control::Control;
use crate::error::Error;
use crate::paths::Places;
use crate::registry::{Loaded, Registry, registry};
use crate::services;
use crate::text::{clip_to, shell_quote};

pub(in crate::cli) async fn run(ctx: &Context<'_>) -> ExitCode {
    let registry = match read(ctx).await {
        Ok(registry) => registry,
        Err(error) => return ctx.say.error(&error),
    };
    if ctx.say.json {
        ctx.say.json(&registry);
    } else if registry.processes.is_empty() {
        ctx.say.text("No service is known.\n");
    } else {
        ctx.say.text(&table(&registry));
    }
    Exit::Done.into()
}

async fn read(ctx: &Context<'_>) -> Result<Registry, Error> {
    if let Some(daemon) = daemon(ctx).await {
        return Ok(registry(&daemon.list(&[], None, false).await?));
    }
    let known = records(ctx, &places(ctx)?)?;
    Ok(registry(&services::verified(ctx.client.observer(), &known.records).await))
}

/// The folders of the instance.
pub(super) fn places(ctx: &Context<'_>) -> Result<Places, Error> {
    let places = Places::of(ctx.instance(), ctx.client.observer().caller().uid);
    places.ok_or_else(|| crate::model::Malformed::new("you have no home folder, so no registry").into())
}

/// The daemon; where none answers, that is said.
pub(super) async fn daemon(ctx: &Context<'_>) -> Option<Control> {
    let why = match ctx.connect().await {
        Ok(Some(control)) => return Some(control),
        Ok(None) => "no daemon runs".to_owned(),
        Err(error) => format!("the daemon does not answer ({})", crate::text::escape(&error.to_string())),
    };
    ctx.say.note(&format!("provost: {why}; this is what the records say, verified just now"));
    None
}

/// The records themselves; what of them cannot be read is said.
pub(super) fn records(ctx: &Context<'_>, places: &Places) -> Result<Loaded, Error> {
    let loaded = services::records(places)?;
    for damaged in &loaded.damaged {
        ctx.say.note(&format!("provost: {}", crate::text::escape(&damaged.to_string())));
    }
    Ok(loaded)
}

fn table(registry: &Registry) -> String {
    let heads = ["ID", "STATUS", "PID", "PORT", "STARTED", "COMMAND"];
    let mut rows = vec![heads.map(str::to_owned)];
    for (id, process) in &registry.processes {
        let word = |key: &str| match process.get(key) {
            Some(Value::String(text)) => clip_to(text, 40),
            Some(Value::Number(number)) => number.to_string(),
            _ => "-".to_owned(),
        };
        let words = process.get("command_line").and_then(Value::as_array).into_iter().flatten();
        let command: Vec<String> = words.filter_map(Value::as_str).map(shell_quote).collect();
        let command = clip_to(&command.join(" "), 300);
        rows.push([id.to_string(), word("status"), word("pid"), word("port"), word("started_at"), command]);
    }
    render::rows(&rows, DIM)
}
