//! The daemon: the supervisor, what it is reached by, and what ends it, wired together.
//!
//! It is one event loop without polling. What is decided about services is decided in
//! [`crate::supervise`]; here are the lock, the sockets, signals, and the word to the service
//! manager.

mod backends;
mod host;
mod log;
mod memory;
mod nofile;
mod notify;
mod orphans;
mod output;
mod reexec;
pub(crate) mod supervisor;
mod tally;
mod told;

use std::path::PathBuf;

pub(crate) use host::{Daemon, Ended};
pub(crate) use nofile::original_nofile;
pub(crate) use reexec::try_out;

use crate::error::Error;
use crate::model::Instance;
use crate::model::service::BackendChoice;
use crate::paths::Places;
use crate::registry::Left;
use crate::supervise::Stop;

/// How long a daemon that the bus starts stays when nothing is asked of it.
const UNUSED: std::time::Duration = std::time::Duration::from_secs(30);

/// How a daemon is to run.
#[derive(Debug)]
pub(crate) struct Options {
    /// Its folders.
    pub(crate) places: Places,
    /// The backend of services that do not choose.
    pub(crate) backend: BackendChoice,
    /// The config file whose services it starts; `None`: the instance's own, if there is one.
    pub(crate) config: Option<PathBuf>,
    /// It ends after its last service has.
    pub(crate) exit_when_idle: bool,
    /// The same of one that the bus starts: when nothing was asked of it for this long.
    pub(crate) unused: std::time::Duration,
    /// Where it says that it is ready, besides the service manager.
    pub(crate) notify: Option<PathBuf>,
    /// It is hosted by a verb in the foreground: nothing is loaded, and a signal stops everything.
    pub(crate) foreground: bool,
    /// Where it answers HTTP besides its socket, until its own config says otherwise.
    pub(crate) http: crate::config::HttpOptions,
    /// The control socket of the program that executed this one.
    pub(crate) control: Option<std::os::unix::net::UnixListener>,
    /// Its connection that has the name on the system bus.
    pub(crate) bus: Option<std::os::fd::OwnedFd>,
    /// Its lock.
    pub(crate) lock: Left,
    /// What it told last.
    pub(crate) events: Option<std::fs::File>,
}

impl Options {
    /// The daemon of an instance, as its unit runs it.
    pub(crate) fn new(instance: Instance) -> Result<Self, Error> {
        let uid = rustix::process::geteuid().as_raw();
        if instance == Instance::System && uid != 0 {
            let why = "the system's daemon is root's: 'sudo provost daemon', or --user for your own".to_owned();
            return Err(Error::Act(crate::act::ActError::NotPermitted(why)));
        }
        let places = Places::of(instance, uid);
        let places = places.ok_or_else(|| crate::model::Malformed::new("there is no home folder for the state"))?;
        let backend = BackendChoice::Auto;
        Ok(Self {
            places,
            backend,
            config: None,
            exit_when_idle: false,
            unused: UNUSED,
            notify: None,
            foreground: false,
            http: crate::config::HttpOptions::default(),
            control: None,
            bus: None,
            lock: Left::default(),
            events: None,
        })
    }
}

/// `provost daemon`: runs until it is asked to end.
///
/// # Errors
/// Why it cannot start: another one runs, a folder cannot be used, a config is wrong.
pub(crate) async fn run(options: Options) -> Result<(), Error> {
    log::init();
    // Nothing that is mounted is held by its folder.
    if let Err(error) = std::env::set_current_dir("/") {
        tracing::warn!("/: {error}");
    }
    let notify = notify::Notify::new(options.notify.as_deref());
    // Whoever started it need not look for its log.
    let failed = |error: Error| {
        notify.say(&format!("STATUS={}", error.to_string().replace('\n', "; ")));
        error
    };
    match Daemon::start(options).await.map_err(failed)?.run().await? {
        Ended::Done => Ok(()),
        Ended::Reexecute(left) => Err(reexec::now(&left)),
    }
}

/// What becomes of services when the daemon is asked to end by a signal.
fn on_stop(config: Option<crate::config::OnStop>, foreground: bool) -> Stop {
    match config {
        _ if foreground => Stop::All,
        None => Stop::Direct,
        Some(crate::config::OnStop::Keep) => Stop::None,
        Some(crate::config::OnStop::Stop) => Stop::All,
    }
}
