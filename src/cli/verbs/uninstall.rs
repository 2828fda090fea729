//! `uninstall`: takes back what `install` did.

use std::process::ExitCode;

use serde_json::json;

use super::install::{becomes_root, escalate, failed, tell};
use crate::cli::args::Uninstall;
use crate::cli::exit::Exit;
use crate::cli::say::Say;
use crate::install::{self, Log, Step};
use crate::model::Instance;
use crate::paths::Places;

/// Runs the verb. `ask`: a password may be asked for.
pub(in crate::cli) async fn run(say: Say, instance: Instance, ask: bool, args: &Uninstall) -> ExitCode {
    if becomes_root(instance, args.dry_run) {
        let flags = [("--keep-services", args.keep_services), ("--quiet", say.quiet), ("--json", say.json)];
        return escalate(say, "uninstall", &flags, ask).await;
    }
    let mut tell = |step: &Step| tell(say, step, args.dry_run);
    let mut log = Log::new(args.dry_run, &mut tell);
    match install::uninstall(instance, args.keep_services, &mut log).await {
        Ok(installed) => {
            let left = left(instance);
            if say.json {
                let dry = args.dry_run;
                say.json(&json!({"instance": instance, "installed": installed, "dry_run": dry, "steps": log.steps, "left": left}));
            } else if !installed {
                say.note("'provost install' has installed nothing here; a package is removed by its own manager");
            } else if !left.is_empty() {
                say.note(&format!("config, records and output of services are left: {}", left.join(" ")));
            }
            Exit::Done.into()
        }
        Err(error) => failed(say, &error, &log.steps),
    }
}

/// What belongs to the user, and stays.
fn left(instance: Instance) -> Vec<String> {
    let Some(places) = Places::of(instance, rustix::process::geteuid().as_raw()) else { return Vec::new() };
    let all = [places.config, places.state, places.logs];
    all.iter().filter(|dir| dir.exists()).map(|dir| dir.display().to_string()).collect()
}
