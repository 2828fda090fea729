//! `install`: this program and all that belongs to it, for a user or for the system.

use std::process::ExitCode;

use serde_json::json;

use super::generate;
use crate::cli::args::Install;
use crate::cli::exit::Exit;
use crate::cli::render::{DIM, GOOD, WARN};
use crate::cli::say::Say;
use crate::error::Error;
use crate::install::{self, Log, Options, Outcome, Step};
use crate::model::Instance;

/// Runs the verb. `ask`: a password may be asked for.
pub(in crate::cli) async fn run(say: Say, instance: Instance, ask: bool, args: &Install) -> ExitCode {
    if becomes_root(instance, args.dry_run) {
        let flags = [("--now", args.now), ("--quiet", say.quiet), ("--json", say.json)];
        return escalate(say, "install", &flags, ask).await;
    }
    let mut tell = |step: &Step| tell(say, step, args.dry_run);
    let mut log = Log::new(args.dry_run, &mut tell);
    let options = Options { instance, now: args.now, linger: args.linger };
    match install::install(options, generate::all(), &mut log).await {
        Ok(daemon) => {
            if say.json {
                say.json(&json!({"instance": instance, "dry_run": args.dry_run, "steps": log.steps, "daemon": daemon}));
            }
            Exit::Done.into()
        }
        Err(error) => failed(say, &error, &log.steps),
    }
}

/// Whether somebody else than root wants to change the system.
pub(super) fn becomes_root(instance: Instance, dry_run: bool) -> bool {
    instance == Instance::System && !rustix::process::geteuid().is_root() && !dry_run
}

/// Runs the verb as root.
pub(super) async fn escalate(say: Say, verb: &str, flags: &[(&str, bool)], ask: bool) -> ExitCode {
    let flags = flags.iter().filter(|flag| flag.1).map(|flag| flag.0.to_owned());
    let words: Vec<String> = [verb.to_owned(), "--system".to_owned()].into_iter().chain(flags).collect();
    install::escalate(&words, ask, |line| say.note(line)).await.unwrap_or_else(|error| say.error(&error))
}

/// One line for each thing.
pub(super) fn tell(say: Say, step: &Step, dry: bool) {
    // The pages of the verbs go with the first one.
    let page = step.what == "file" && step.name.ends_with(".1") && !step.name.ends_with("/provost.1");
    if say.json || page && step.outcome != Outcome::Skipped && step.outcome != Outcome::Kept {
        return;
    }
    let colour = match step.outcome {
        Outcome::Skipped | Outcome::Kept => WARN,
        Outcome::Unchanged => DIM,
        _ => GOOD,
    };
    let pages = if step.name.ends_with("/provost.1") { " and the pages of its verbs" } else { "" };
    let width = if dry { 13 } else { 9 };
    let detail =
        if step.detail.is_empty() { String::new() } else { format!("  {DIM}{}{DIM:#}", escaped(&step.detail)) };
    let what = if matches!(step.what, "file" | "folder") { "" } else { step.what };
    let gap = if what.is_empty() { "" } else { " " };
    say.text(&format!(
        "{colour}{:width$}{colour:#}  {what}{gap}{}{pages}{detail}\n",
        step.outcome.word(dry),
        escaped(&step.name)
    ));
}

/// The error, after what was done before it.
pub(super) fn failed(say: Say, error: &Error, steps: &[Step]) -> ExitCode {
    say.complain(error);
    if say.json {
        let mut document = crate::cli::say::error_json(error);
        document["steps"] = json!(steps);
        say.json(&document);
    }
    ExitCode::from(error.exit_code())
}

fn escaped(text: &str) -> String {
    crate::text::escape(text)
}
