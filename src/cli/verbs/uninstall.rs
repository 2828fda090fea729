//! `uninstall`: takes back what `install` did.

use std::process::ExitCode;

use serde_json::json;

use super::install::{becomes_root, escalate, failed, tell};
use crate::cli::args::Uninstall;
use crate::cli::exit::Exit;
use crate::cli::say::Say;
use crate::install::{self, Log, Services, Step};
use crate::model::Instance;
use crate::paths::Places;

/// Runs the verb. `ask`: a password may be asked for.
pub(in crate::cli) async fn run(say: Say, instance: Instance, ask: bool, args: &Uninstall) -> ExitCode {
    if becomes_root(instance, args.dry_run) {
        let flags = [
            ("--keep-services", args.keep_services),
            ("--purge", args.purge),
            ("--quiet", say.quiet),
            ("--json", say.json),
        ];
        return escalate(say, "uninstall", &flags, ask).await;
    }
    let mut tell = |step: &Step| tell(say, step, args.dry_run);
    let mut log = Log::new(args.dry_run, &mut tell);
    let services = match (args.keep_services, args.purge) {
        (true, _) => Services::Keep,
        (_, true) => Services::Purge,
        _ => Services::Stop,
    };
    match install::uninstall(instance, services, &mut log).await {
        Ok(installed) => {
            let left = left(instance);
            if say.json {
                let dry = args.dry_run;
                let paths: Vec<&str> = left.iter().map(|left| left.1.as_str()).collect();
                say.json(&json!({"instance": instance, "installed": installed, "dry_run": dry, "steps": log.steps, "left": paths}));
            } else {
                if !installed {
                    say.note("'provost install' has installed nothing here; a package is removed by its own manager");
                }
                if !left.is_empty() && !args.dry_run && (installed || args.purge) {
                    let words: Vec<String> = left.iter().map(|(what, path)| format!("{what} {path}")).collect();
                    let how = if args.purge { "" } else { " ('--purge' removes all but the config)" };
                    say.note(&format!("left: {}{how}", words.join(", ")));
                }
            }
            Exit::Done.into()
        }
        Err(error) => failed(say, &error, &log.steps),
    }
}

/// What belongs to the user, and stays: what it is, and where.
fn left(instance: Instance) -> Vec<(&'static str, String)> {
    let Some(places) = Places::of(instance, rustix::process::geteuid().as_raw()) else { return Vec::new() };
    let apart = !places.logs.starts_with(&places.state);
    let logs = ("output of services", places.logs);
    let mut all = vec![("config", places.config), ("records of services", places.state)];
    all.extend(apart.then_some(logs));
    all.push(("sockets and pid files", places.runtime));
    all.into_iter().filter(|(_, dir)| dir.exists()).map(|(what, dir)| (what, dir.display().to_string())).collect()
}
