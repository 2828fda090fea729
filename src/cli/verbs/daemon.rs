//! `daemon`: runs one, or asks the one that runs.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use crate::cli::args::{AskDaemon, BackendFlag, Daemon, ServicesFlag};
use crate::cli::exit::Exit;
use crate::cli::say::Say;
use crate::control::{Asks, Control, DaemonFacts};
use crate::daemon::{self, Options};
use crate::error::Error;
use crate::model::Instance;
use crate::model::service::BackendChoice;
use crate::observe::{Observer, Units};
use crate::supervise::Stop;
use crate::sys::pidfd::PidFd;

/// How long the process of a daemon may take after its last word.
const LEAVE: Duration = Duration::from_secs(5);

/// Runs the verb.
pub(in crate::cli) async fn run(say: Say, instance: Instance, args: &Daemon, password: bool) -> ExitCode {
    let done = match &args.ask {
        None => here(instance, args).await,
        Some(ask) => self::ask(say, instance, ask, password).await,
    };
    done.unwrap_or_else(|error| say.error(&error))
}

async fn here(instance: Instance, args: &Daemon) -> Result<ExitCode, Error> {
    let mut options = Options::new(instance)?;
    options.backend = match args.backend {
        _ if args.sim => BackendChoice::Sim,
        BackendFlag::Auto => BackendChoice::Auto,
        BackendFlag::Systemd => BackendChoice::Systemd,
        BackendFlag::Direct => BackendChoice::Direct,
        BackendFlag::Sim => BackendChoice::Sim,
    };
    if let Some(config) = &args.config {
        let absolute = std::path::absolute(config);
        options.config = Some(absolute.map_err(|source| Error::Io { what: config.display().to_string(), source })?);
    }
    options.exit_when_idle = args.exit_when_idle;
    options.unused = args.unused.unwrap_or(options.unused);
    options.notify.clone_from(&args.notify);
    options.control = args.control_fd.and_then(crate::sys::inherit::listener);
    options.bus = args.bus_fd.and_then(crate::sys::inherit::connection);
    options.events = args.events_fd.and_then(crate::sys::inherit::events);
    options.lock.file = args.lock_fd.and_then(crate::sys::inherit::file);
    options.lock.state = args.state_fd.and_then(crate::sys::inherit::folder);
    // Backends and the supervisor keep to one thread.
    tokio::task::LocalSet::new().run_until(daemon::run(options)).await.map(|()| Exit::Done.into())
}

async fn ask(say: Say, instance: Instance, ask: &AskDaemon, password: bool) -> Result<ExitCode, Error> {
    let asks = match instance {
        Instance::System if password && !rustix::process::geteuid().is_root() => {
            let observer = Observer::new(Units::System).await?;
            let caller = observer.caller();
            Some(Asks { terminal: caller.interactive, session: caller.session.is_some() })
        }
        _ => None,
    };
    let connected = Control::connect(instance).await?.map(|control| control.asking(asks));
    let Some(control) = connected else {
        if say.json {
            say.json(&json!({"running": false}));
        } else {
            say.text("no daemon runs\n");
        }
        let unneeded = matches!(ask, AskDaemon::Stop(_));
        return Ok(if unneeded { Exit::Done.into() } else { Exit::Not.into() });
    };
    match ask {
        AskDaemon::Status => tell(say, "runs", &control.facts().await?),
        AskDaemon::Restart => {
            let before = control.facts().await?;
            control.reexecute().await?;
            // Whoever connects meanwhile waits for the new program.
            let again = Control::connect(instance).await?;
            let again = again.ok_or_else(|| Error::Unreachable("the daemon did not come back".to_owned()))?;
            let after = again.facts().await?;
            if before.version != after.version {
                say.note(&format!("version {} before, {} now", before.version, after.version));
            }
            tell(say, "was restarted; every service kept running", &after);
        }
        AskDaemon::Reload => {
            let ids = control.reload_config().await?;
            if say.json {
                say.json(&json!({ "changed": ids }));
            } else {
                let names: Vec<&str> = ids.iter().map(crate::model::ServiceId::as_str).collect();
                let changed = if names.is_empty() { "nothing changed".to_owned() } else { names.join(", ") };
                say.text(&format!("the config was read again: {changed}\n"));
            }
        }
        AskDaemon::Stop(args) => {
            let facts = control.facts().await?;
            let process = PidFd::open(facts.pid);
            control
                .exit(match args.services {
                    ServicesFlag::Auto => Stop::Direct,
                    ServicesFlag::Keep => Stop::None,
                    ServicesFlag::Stop => Stop::All,
                    ServicesFlag::Kill => Stop::Force,
                })
                .await?;
            // Whoever replaces the program next finds nobody who executes it.
            if let Ok(process) = process {
                let _late = tokio::time::timeout(LEAVE, process.ended()).await;
            }
            tell(say, "has ended", &facts);
        }
    }
    Ok(Exit::Done.into())
}

fn tell(say: Say, what: &str, facts: &DaemonFacts) {
    if say.json {
        say.json(&json!({"running": what != "has ended", "daemon": facts}));
    } else {
        say.text(&format!("the daemon (pid {}, version {}) {what}\n", facts.pid, facts.version));
        if !facts.config_errors.is_empty() {
            say.text("its config is not applied, and services go on by what it was:\n");
        }
        facts.config_errors.iter().for_each(|line| say.text(&format!("  {}\n", crate::text::escape(line))));
    }
}
