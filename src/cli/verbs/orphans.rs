//! `orphans`: what nobody tracks any more, listed with reasons, and ended with `--clean`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use serde_json::json;

use super::super::args::Orphans;
use super::super::exit::Exit;
use super::super::render::{self, BAD, DIM, GOOD};
use super::super::{progress, say::Say};
use super::{Context, registry};
use crate::control::Control;
use crate::error::Error;
use crate::model::{Instance, Malformed};
use crate::registry::orphans::{Search, clean, elsewhere, of_mark, programs, to_clean, would_clean};
use crate::registry::{Lock, Store};
use crate::supervise::{Orphan, OrphansCleaned};
use crate::text::{clip_to, shell_quote};

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Orphans) -> ExitCode {
    match one(ctx, args).await {
        Ok(code) => code.into(),
        Err(error) => ctx.say.error(&error),
    }
}

async fn one(ctx: &Context<'_>, args: &Orphans) -> Result<Exit, Error> {
    if let Some(name) = args.names.iter().find(|name| name.is_empty() || name.contains('/')) {
        let name = crate::text::clip(name);
        return Err(Malformed::new(format!("--match '{name}': a name, without its folder")).into());
    }
    let daemon = registry::daemon(ctx).await;
    let looking = find(ctx, args, daemon.as_ref());
    let found = progress::while_waiting(ctx.say.quiet, "looking for orphans", looking).await?;
    if !args.clean {
        list(ctx.say, &found, &args.names);
        return Ok(Exit::Done);
    }
    let chosen = to_clean(found, !args.names.is_empty());
    let cleaned = if args.dry_run || chosen.is_empty() {
        would_clean(&chosen)
    } else if !args.yes && !agreed(&chosen) {
        ctx.say.note("provost: nothing was ended");
        return Ok(Exit::Failed);
    } else {
        let ending = end(ctx, args, daemon.as_ref(), &chosen);
        progress::while_waiting(ctx.quiet(), "ending orphans", ending).await?
    };
    if ctx.say.json {
        ctx.say.json(&cleaned);
    } else if cleaned.success {
        if args.dry_run && !chosen.is_empty() {
            ctx.say.text(&table(&chosen));
        }
        ctx.say.text(&format!("{GOOD}{}{GOOD:#}\n", crate::text::escape(&cleaned.message)));
    } else {
        ctx.say.lines(&format_args!("{BAD}provost:{BAD:#} {}", crate::text::escape(&cleaned.message)));
    }
    Ok(if cleaned.success { Exit::Done } else { Exit::Failed })
}

/// What the daemon finds, or what is found without one.
async fn find(ctx: &Context<'_>, args: &Orphans, daemon: Option<&Control>) -> Result<Vec<Orphan>, Error> {
    if let Some(daemon) = daemon {
        return daemon.orphans(&args.names).await;
    }
    let places = registry::places(ctx)?;
    let mut known = registry::records(ctx, &places)?;
    crate::services::as_they_run(ctx.client.observer(), &mut known.records).await;
    let instance = Store::at(&places).known_instance_id();
    let names = match args.names.as_slice() {
        [] if !args.clean => programs(known.records.iter().map(|record| &record.spec)),
        names => names.to_vec(),
    };
    let search = Search {
        observer: ctx.client.observer(),
        instance: instance.as_deref(),
        records: &known.records,
        unread: &known.unread(),
        elsewhere: &elsewhere(&places),
        daemon: Lock::holder(&places).map(|holder| holder.pid),
        marked: &[],
        names: &names,
    };
    Ok(search.find())
}

/// How many are known of without a long search, for who asks for something else: those that the daemon
/// has found and that still run, and, where none runs, what carries the mark.
pub(super) async fn known(ctx: &Context<'_>) -> Result<usize, Error> {
    if let Some(daemon) = ctx.connect().await? {
        return Ok(daemon.known_orphans().await? as usize);
    }
    let places = registry::places(ctx)?;
    let store = Store::at(&places);
    let Some(instance) = store.known_instance_id() else { return Ok(0) };
    let mut known = store.look().unwrap_or_default();
    crate::services::as_they_run(ctx.client.observer(), &mut known.records).await;
    let found = of_mark(ctx.client.observer(), &places, &instance, &known);
    Ok(found.iter().filter(|one| one.orphan).count())
}

/// Ends just those that were shown; those of the system by its daemon, which asks polkit.
async fn end(
    ctx: &Context<'_>,
    args: &Orphans,
    daemon: Option<&Control>,
    chosen: &[Orphan],
) -> Result<OrphansCleaned, Error> {
    let observer = ctx.client.observer();
    match daemon {
        Some(daemon) if ctx.instance() == Instance::System && !observer.caller().is_root() => {
            daemon.clean_orphans(&args.names, args.force).await
        }
        _ => Ok(clean(observer.proc(), chosen, args.force).await),
    }
}

/// Asks, where there is somebody to ask.
fn agreed(chosen: &[Orphan]) -> bool {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return true;
    }
    let mut err = anstream::stderr();
    let _ = write!(err, "{}End {} with all that they started? [y/N] ", table(chosen), count(chosen.len()));
    let _ = err.flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn list(say: Say, found: &[Orphan], names: &[String]) {
    let (orphans, others): (Vec<Orphan>, Vec<Orphan>) = found.iter().cloned().partition(|one| one.orphan);
    if say.json {
        say.json(&json!({ "orphans": orphans, "others": others }));
        return;
    }
    if orphans.is_empty() {
        say.text("No orphans.\n");
    } else {
        say.text(&format!("{}:\n{}", count(orphans.len()), table(&orphans)));
        if orphans.iter().any(|one| one.marked) {
            say.text(&format!("{DIM}End those with a mark: provost orphans --clean{DIM:#}\n"));
        }
        if orphans.iter().any(|one| !one.marked) {
            let names = if names.is_empty() { &["NAME".to_owned()] } else { names };
            let names: Vec<String> = names.iter().map(|name| format!(" --match {}", shell_quote(name))).collect();
            let names = names.concat();
            say.text(&format!("{DIM}End those without a mark: provost orphans --clean{names}{DIM:#}\n"));
        }
    }
    if !others.is_empty() {
        say.text(&format!("\nNot orphans:\n{}", table(&others)));
    }
}

fn table(all: &[Orphan]) -> String {
    let mut rows = vec![["PID", "SERVICE", "COMMAND", "WHY"].map(str::to_owned)];
    for one in all {
        let words: Vec<String> = one.command_line.iter().map(|word| shell_quote(word)).collect();
        let service = one.service.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let pid = one.identity.pid.to_string();
        rows.push([pid, service, clip_to(&words.join(" "), 40), crate::text::escape(&one.reason)]);
    }
    render::rows(&rows, DIM)
}

/// `1 orphan`.
pub(super) fn count(n: usize) -> String {
    if n == 1 { "1 orphan".to_owned() } else { format!("{n} orphans") }
}
