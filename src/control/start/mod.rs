//! Starts a daemon where none runs: as a unit of the manager where there is one, else in the
//! background. One started so leaves with its last service.

mod background;
mod unit;

use std::path::PathBuf;

use super::{Control, Linger};
use crate::act::ActError;
use crate::error::Error;
use crate::model::Instance;

/// A daemon that was started, and the connection to it.
#[derive(Debug)]
pub(crate) struct Started {
    /// The connection.
    pub(crate) control: Control,
    /// What the user should know, as that services end at logout.
    pub(crate) warnings: Vec<String>,
}

/// How a daemon runs.
#[derive(Debug)]
enum How {
    /// As this unit.
    Unit(String),
    /// In the background, with this pid and this log file.
    Background(u32, PathBuf),
}

/// Starts a daemon and waits until it is ready. If one was started meanwhile, that one is taken.
/// `linger` has the user manager go on after the logout.
pub(crate) async fn start_daemon(instance: Instance, linger: bool) -> Result<Started, Error> {
    let uid = rustix::process::geteuid().as_raw();
    if instance == Instance::System && uid != 0 {
        let why = "the system's daemon does not run, and only root can start it: 'sudo provost daemon'".to_owned();
        return Err(Error::Act(ActError::NotPermitted(why)));
    }
    let mut warnings = Vec::new();
    let exe = own_program()?;
    let started = match unit::manager(instance, uid).await {
        Some(manager) => {
            if linger {
                Linger::enable(uid).await?;
            }
            warnings.extend(Linger::of(uid).warning().map(ToOwned::to_owned));
            unit::start(&manager, instance, &exe).await
        }
        None => background::start(instance, &exe, uid).await,
    };
    // One that another caller started meanwhile holds the lock: then that one is it.
    let (how, control) = match (started, Control::connect(instance).await?) {
        (Ok(how), Some(control)) => (how, control),
        (Ok(how), None) => return Err(failed("it was started, and ended at once", instance, &how)),
        (Err(error), Some(control)) => {
            tracing::info!("another daemon was started meanwhile: {error}");
            return Ok(Started { control, warnings });
        }
        (Err(error), None) => return Err(error),
    };
    match how {
        How::Unit(unit) => tracing::info!("the daemon was started as {unit}"),
        How::Background(pid, log) => {
            tracing::info!("the daemon was started as pid {pid}, its log is {}", log.display())
        }
    }
    Ok(Started { control, warnings })
}

/// Where this program is now: after an upgrade the file of that name is another.
pub(crate) fn own_program() -> Result<String, Error> {
    let io = |source| Error::Io { what: "the path of provost itself cannot be read".to_owned(), source };
    let path = std::env::current_exe().map_err(io)?;
    let path = path.to_str().ok_or_else(|| io(std::io::Error::other("it is not UTF-8")))?;
    Ok(path.strip_suffix(" (deleted)").unwrap_or(path).to_owned())
}

/// The words of the daemon that is started.
fn command(exe: &str, instance: Instance) -> Vec<String> {
    [exe, "daemon", &format!("--{instance}"), "--exit-when-idle"].map(ToOwned::to_owned).to_vec()
}

fn failed(what: &str, instance: Instance, how: &How) -> Error {
    let look = match how {
        How::Unit(unit) => format!("journalctl --{instance} -u {unit}"),
        How::Background(_, log) => format!("tail {}", log.display()),
    };
    Error::Act(ActError::Failed(format!("the daemon did not start: {what}; its log: '{look}'")))
}
