//! The ways to run a service: what the supervisor needs of them, and nothing else.
//!
//! A backend starts, signals, watches and takes over; it decides nothing. When to start again,
//! which signal comes next and what counts as failed is [`crate::supervise`]'s.

#[cfg(test)]
pub(crate) mod conformance;
pub(crate) mod direct;
pub(crate) mod sim;
pub(crate) mod stale_socket;
pub(crate) mod systemd;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::model::service::{BackendKind, Containment, Exit, Limits};
use crate::model::{Identity, Ladder, ServiceId, Signal, Whom};
use crate::registry::Record;

/// One start with everything resolved: no variable is left, the program is found.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// Of which service.
    pub(crate) id: ServiceId,
    /// Its name for people, or its id.
    pub(crate) description: String,
    /// What is executed: an absolute path.
    pub(crate) program: PathBuf,
    /// All words, the first as the user wrote it.
    pub(crate) argv: Vec<String>,
    /// Where, absolute.
    pub(crate) cwd: PathBuf,
    /// The whole environment, the mark included.
    pub(crate) env: BTreeMap<String, String>,
    /// What it may use.
    pub(crate) limits: Limits,
    /// As whom; system instance only.
    pub(crate) user: Option<String>,
    /// The signals that stop it, for whoever else stops its unit.
    pub(crate) stop: Ladder,
    /// Whether it says READY=1 by sd_notify(3).
    pub(crate) notify: bool,
    /// Whether it says WATCHDOG=1 by sd_notify(3).
    pub(crate) beats: bool,
    /// Whether its output goes to files; the direct backend has no other way.
    pub(crate) log_file: bool,
    /// Further unit properties.
    pub(crate) systemd: BTreeMap<String, Value>,
    /// The services that it starts after, for the order at shutdown.
    pub(crate) after: Vec<ServiceId>,
    /// Whether others start after it, for the same.
    pub(crate) needed: bool,
    /// What it reads from its standard input: of commands beside a service.
    pub(crate) input: Vec<u8>,
    /// Of one that says when it is ready: see [`Backend::room`].
    pub(crate) room: Room,
}

/// Leave for one more service that has not said READY=1; given back when it has, or has ended.
pub(crate) type Room = Option<Arc<OwnedSemaphorePermit>>;

/// What waits for it.
pub(crate) type AwaitRoom = Pin<Box<dyn Future<Output = Room>>>;

/// What is said of a file that the kernel cannot execute, a script without a word of what runs it.
pub(crate) const NO_PROGRAM: &str = "this is no program; a script needs a first line that names its interpreter";

/// Where a start has put the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Its main process; not known of a unit that is being started.
    pub(crate) identity: Option<Identity>,
    /// Its unit.
    pub(crate) unit: Option<String>,
    /// The invocation of the unit.
    pub(crate) invocation: Option<String>,
    /// How its processes are held together.
    pub(crate) containment: Option<Containment>,
    /// What the user should know: a limit that cannot be enforced.
    pub(crate) warnings: Vec<String>,
}

/// Why a start failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartError {
    /// It would fail again: a command that is missing, not executable, a folder that is not there.
    #[error("{0}")]
    Permanent(String),
    /// It may work another time: the manager is busy, no memory.
    #[error("{0}")]
    Transient(String),
    /// What we keep of a service cannot be written, its record or its output. It is none of its
    /// failures: it is tried until it can.
    #[error("{0}")]
    Unwritable(String),
}

/// What became of a service whose record says that it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// It runs, and is watched from now on.
    Running(Placed),
    /// Its main process has ended; what is left of its tree is to be cleared.
    Ended(Exit),
    /// The start had been recorded, and was not carried out.
    NeverStarted,
    /// Somebody else has stopped it meanwhile: it holds until a start.
    StoppedByOthers,
}

/// Where backends report: the sending end of the supervisor's channel. Unbounded, because a backend
/// that waited for the supervisor while the supervisor waits for it would stand still; what a
/// service can repeat at will (`Status`, `Alive`) the backend reports only when it changed or is due.
pub(crate) type Reports = tokio::sync::mpsc::UnboundedSender<Happened>;

/// One thing that happened to a run of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happened {
    /// To which service.
    pub(crate) id: ServiceId,
    /// In which run: the number that was given to [`Backend::start`] or [`Backend::adopt`].
    /// The supervisor drops what belongs to an earlier one.
    pub(crate) run: u64,
    /// What.
    pub(crate) what: What,
}

/// What can happen to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// The main process ended. Others of its tree may live on.
    Exited(Exit),
    /// It said READY=1.
    Ready,
    /// It said MAINPID=…: this one of its processes is the main one now.
    Main(Identity),
    /// It said STATUS=….
    Status(String),
    /// It said WATCHDOG=1.
    Alive,
    /// Somebody else stopped it (`systemctl stop`): it holds until a start.
    StoppedByOthers,
    /// Somebody else started or restarted its unit: it runs, with this main process.
    StartedByOthers(Placed),
}

/// A way of [`Backend::room`].
fn room_of(unready: &Arc<Semaphore>) -> Result<Room, AwaitRoom> {
    let unready = Arc::clone(unready);
    match Arc::clone(&unready).try_acquire_owned() {
        Ok(permit) => Ok(Some(Arc::new(permit))),
        Err(_) => Err(Box::pin(async move { unready.acquire_owned().await.ok().map(Arc::new) })),
    }
}

/// What carries the mark of this instance and is in no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marked {
    /// Of which service the mark speaks.
    pub(crate) id: ServiceId,
    /// Its processes.
    pub(crate) processes: Vec<Identity>,
    /// Its unit, in the systemd backend.
    pub(crate) unit: Option<String>,
}

/// A way to run services. Futures are polled in one thread.
///
/// What happens later arrives as [`Happened`] on the channel that the backend was made with.
pub(crate) trait Backend {
    /// Which one it is.
    fn kind(&self) -> BackendKind;

    /// Starts a service that does not run. `record` is called before its program is executed,
    /// with what is known by then; if it fails, nothing is started.
    ///
    /// Returns when the program was executed, or could not be.
    async fn start(
        &self,
        launch: &Launch,
        run: u64,
        record: &dyn Fn(&Placed) -> io::Result<()>,
    ) -> Result<Placed, StartError>;

    /// Room for one more service that says when it is ready, or what waits for it: there may be so many
    /// that no more can be started before some have said so.
    fn room(&self) -> Result<Room, AwaitRoom> {
        Ok(None)
    }

    /// Sends a signal to the main process, or to all of its tree. Nothing left to signal is no error.
    async fn signal(&self, id: &ServiceId, signal: Signal, whom: Whom) -> io::Result<()>;

    /// Begins an orderly stop with this signal to all; the end arrives as [`What::Exited`].
    async fn stop(&self, id: &ServiceId, signal: Signal) -> io::Result<()>;

    /// Ends with SIGKILL whatever is left of the tree, and returns when nothing is. The error
    /// names what cannot be killed (uninterruptible sleep).
    async fn clear(&self, id: &ServiceId) -> Result<(), String>;

    /// Takes over what an earlier daemon started.
    async fn adopt(&self, record: &Record, run: u64) -> io::Result<Adoption>;

    /// Forgets a service that does not run: its unit, control group, files of this boot.
    async fn release(&self, id: &ServiceId);

    /// The processes of a service, for what they use.
    fn processes(&self, id: &ServiceId) -> Vec<u32>;

    /// The folder of its control group, where all of it is in one.
    fn cgroup(&self, id: &ServiceId) -> Option<PathBuf>;

    /// When it last said WATCHDOG=1, where that is not reported as [`What::Alive`].
    async fn beat(&self, id: &ServiceId) -> Option<Instant>;

    /// All that carries the mark of this instance, in a record or not.
    async fn marked(&self) -> io::Result<Vec<Marked>>;

    /// Whether it runs the commands that a service needs beside it. Where it does not, they are
    /// children of the daemon, and run as its user.
    fn runs_commands(&self) -> bool {
        false
    }

    /// Runs a command beside a service, for at most this long, as that service's user and within its
    /// bounds; of each service and use one after another. It is killed with all that it started
    /// when the time is over or this is dropped. The error is how it ended, in words that
    /// everybody may read.
    async fn run_command(&self, _launch: &Launch, _what: Use, _limit: Duration) -> Result<(), String> {
        Err("this backend runs no commands".to_owned())
    }
}

/// What a command beside a service is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Whether the service is ready.
    Check,
    /// That it reads its configuration again.
    Reload,
    /// What follows something that happened to it.
    Hook,
}

impl Use {
    /// In names.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Reload => "reload",
            Self::Hook => "hook",
        }
    }
}
