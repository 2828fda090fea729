//! `install` and `uninstall`: one binary installs itself, for a user or for the system, and takes
//! back exactly what it did.
//!
//! The files come out of the program: the units, bus files and polkit files of this repository are
//! part of it ([`files`]). What is written, what was there before, and what was switched on is in a
//! manifest ([`manifest`]) before it is done, so that an install that was cut short can be taken
//! back, too. Nothing here reads a variable of the environment as root that could lead elsewhere:
//! paths of the system, the address of its bus and the programs that are started are fixed.

mod escalate;
mod files;
mod group;
mod layout;
mod log;
mod manager;
mod manifest;
#[cfg(test)]
mod policy_tests;
mod purge;
mod remove;
mod trust;
mod write;

pub(crate) use escalate::escalate;
pub(crate) use files::actions;
pub(crate) use layout::Generated;
pub(crate) use log::{Log, Outcome, Step};
use manager::{Host, bus_of};
pub(crate) use manifest::{Manifest, manifest_path};
pub(crate) use remove::{Services, uninstall};
pub(crate) use trust::trusted;

use std::path::{Path, PathBuf};

use crate::control::{Control, DaemonFacts, Linger};
use crate::error::Error;
use crate::model::{Instance, Polkit};
use layout::Layout;

/// The unit of the daemon, of either kind.
pub(crate) const UNIT: &str = "provost.service";

/// What to install, and how far to go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// For whom.
    pub(crate) instance: Instance,
    /// Start the daemon and see it answer.
    pub(crate) now: bool,
    /// Have the user's services outlive the logout.
    pub(crate) linger: bool,
}

/// Installs, or brings what is installed up to date. What a daemon runs meanwhile goes on.
///
/// Returns what the daemon says of itself, if one runs at the end.
///
/// # Errors
/// The first thing that could not be done; what was done before it is in the manifest.
pub(crate) async fn install(
    options: Options,
    generated: Generated,
    log: &mut Log<'_>,
) -> Result<Option<DaemonFacts>, Error> {
    let uid = rustix::process::geteuid().as_raw();
    let host = Host::connect(options.instance, uid).await;
    let polkit = host.polkit_version().await;
    let searched = host.unit_path().await;
    let layout = Layout::new(options.instance, uid, &own_file()?, polkit.as_ref(), &searched, generated)?;
    for skipped in &layout.skipped {
        log.step("file", &skipped.0.display().to_string(), Outcome::Skipped, &skipped.1);
    }
    let path = manifest_path(options.instance, uid)?;
    let (mut manifest, aside) = Manifest::load_or_adopt(&path, log.dry)?;
    if let Some(aside) = aside {
        let why = "the list of what was installed is damaged: it is kept under this name, and made anew";
        log.step("file", &aside.display().to_string(), Outcome::Kept, why);
    }
    let upgraded = write::all(&layout, &path, &mut manifest, log)?;

    if options.instance == Instance::System {
        group::make(&layout, &path, &mut manifest, log)?;
    }
    if let Some(manager) = host.manager() {
        if upgraded || log.dry {
            host.reload(log).await?;
        }
        // Written down before it is done, as all is.
        if !log.dry && (manifest.adopts || !manager::is_enabled(manager).await) {
            manifest.enabled = true;
            manifest.save(&path)?;
        }
        manager::enable(manager, log).await?;
    } else {
        let why = format!("there is no manager that would start it ({})", host.why_no_manager());
        log.step("unit", UNIT, Outcome::Skipped, &why);
    }
    if options.linger && options.instance == Instance::User {
        let was = Linger::of(uid);
        if was == Linger::Off && !log.dry {
            manifest.lingering = true;
            manifest.save(&path)?;
            Linger::enable(uid).await?;
        }
        let outcome = if was == Linger::Off { Outcome::Enabled } else { Outcome::Unchanged };
        log.step("lingering", &crate::observe::user_name(uid), outcome, "services go on when you log out");
    }
    manifest.binary.clone_from(&layout.binary);
    manifest.version = env!("CARGO_PKG_VERSION").to_owned();
    if !log.dry {
        manifest.save(&path)?;
    }
    start(options, &host, upgraded, log).await
}

/// Has the daemon that runs execute the new program, or starts one if asked to; then it must answer.
async fn start(options: Options, host: &Host, upgraded: bool, log: &mut Log<'_>) -> Result<Option<DaemonFacts>, Error> {
    let running = running(options.instance, host).await?;
    // One that another program was started for.
    let other = match &running {
        Some(control) => control.facts().await.is_ok_and(|facts| facts.version != env!("CARGO_PKG_VERSION")),
        None => false,
    };
    let upgraded = upgraded || other;
    match (running, host.manager()) {
        (Some(_), _) if !upgraded => log.step("daemon", UNIT, Outcome::Unchanged, "it runs"),
        (Some(control), manager) => {
            log.step("daemon", UNIT, Outcome::Restarted, "with the new program; every service keeps running");
            if log.dry {
                return Ok(None);
            }
            match manager {
                // It may get another sandbox with that; its services are units of their own.
                Some(manager) if options.instance == Instance::System => {
                    manager::job(manager, UNIT, "RestartUnit").await?
                }
                _ => control.reexecute().await?,
            }
        }
        (None, None) => return Ok(None),
        (None, Some(_)) if !options.now => {
            let how = if options.instance == Instance::System { "whoever needs it starts it" } else { "at login" };
            log.step("daemon", UNIT, Outcome::Skipped, &format!("not started now ({how}); --now does"));
            return Ok(None);
        }
        (None, Some(manager)) => {
            log.step("daemon", UNIT, Outcome::Started, "");
            if log.dry {
                return Ok(None);
            }
            manager::job(manager, UNIT, "StartUnit").await?;
        }
    }
    if log.dry {
        return Ok(None);
    }
    let facts = answers(options.instance, host).await?;
    log.step("daemon", &format!("pid {}, version {}", facts.pid, facts.version), Outcome::Answers, "");
    Ok(Some(facts))
}

/// The daemon that runs, over its own socket.
async fn running(instance: Instance, host: &Host) -> Result<Option<Control>, Error> {
    if instance == Instance::System && !host.is_active().await {
        return Ok(None);
    }
    Control::connect(instance).await
}

/// What the daemon says of itself; that of the system on its bus, where everybody reaches it.
async fn answers(instance: Instance, host: &Host) -> Result<DaemonFacts, Error> {
    if instance == Instance::System && host.manager().is_some() {
        return host.daemon_on_bus().await;
    }
    let silent = || Error::Unreachable("the daemon was started and does not answer".to_owned());
    Control::connect(instance).await?.ok_or_else(silent)?.facts().await
}

/// Where this program lies.
fn own_file() -> Result<PathBuf, Error> {
    let path = PathBuf::from(crate::control::own_program()?);
    Ok(Path::canonicalize(&path).unwrap_or(path))
}

/// Whether polkit reads actions in /etc, too: from 126 on.
fn reads_etc(polkit: Option<&Polkit>) -> bool {
    match polkit {
        Some(Polkit::Version(version)) => version.split('.').next().and_then(|v| v.parse().ok()).unwrap_or(0) >= 126,
        _ => false,
    }
}
