//! Services as transient units, of the user's manager or of the system's.
//!
//! ```text
//! Backend calls ──> start, stop, adopt ──> link ──> the manager
//!                        │                             │ signals
//!                        └────> units (life) <── watch <┘ ──> reports
//! ```
//!
//! A unit outlives the daemon, and holds all processes of its service. [`life`] knows what the
//! changes of a unit mean; `unit` makes its properties of a launch, `folder` one of them, `properties`
//! those that the user adds; `link` keeps the connection; `ends` waits for the ends of main processes,
//! `read` asks what they mean; `watch` reads the ends of jobs, and the units anew where signals were
//! lost; `references` has changes told where nothing else will do; `command` runs what a service needs
//! beside it. Each start makes a new unit of the same name: descriptors that were passed to a unit are
//! gone when it has ended.

mod adopt;
mod command;
mod ends;
mod env_file;
mod explain;
mod folder;
mod held;
mod life;
mod limits;
mod link;
pub(crate) mod properties;
mod read;
mod references;
mod start;
mod stop;
#[cfg(test)]
mod tests;
mod unit;
mod units;
mod watch;

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use unit::place_of;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use link::Link;
use units::Units;

use super::{Adoption, AwaitRoom, Backend, Launch, Marked, Placed, Reports, Room, StartError, Use, room_of};
use crate::model::service::BackendKind;
use crate::model::{ServiceId, Signal, Whom};
use crate::observe::ProcFs;
use crate::observe::cgroup::{self, CgroupFs};
use crate::registry::Record;
use crate::systemd::CallError;

/// Whose manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// PID 1.
    System,
    /// That of this user, who is the caller.
    User(u32),
}

impl Scope {
    /// The slice of all services.
    fn slice(self) -> &'static str {
        match self {
            Self::System => "provost.slice",
            Self::User(_) => "app-provost.slice",
        }
    }

    /// Where that slice is below the manager's control group: a dash in its name is a step.
    fn slice_path(self) -> &'static str {
        match self {
            Self::System => "/provost.slice",
            Self::User(_) => "/app.slice/app-provost.slice",
        }
    }

    /// The unit between a service and those that come after it, by which a shutdown stops them first:
    /// a slice with nothing in it, because slices need no definition. A dash in the name of a
    /// slice is a step; ids have no colons.
    fn gate(self, id: &ServiceId) -> String {
        format!("{}-{}.slice", self.slice().trim_end_matches(".slice"), id.as_str().replace('-', ":"))
    }
}

/// Opens standard output and standard error of a service that writes into files.
pub(crate) type Capture = Box<dyn Fn(&ServiceId) -> io::Result<(OwnedFd, OwnedFd)>>;

/// What the backend is made with.
pub(crate) struct Options {
    /// Whose manager.
    pub(crate) scope: Scope,
    /// The id of this instance of provost: units that carry another are not ours.
    pub(crate) instance: String,
    /// `XDG_RUNTIME_DIR`, as the environment has it.
    pub(crate) runtime_dir: Option<String>,
    /// Where the variables of services are kept from others; system manager only.
    pub(crate) env_dir: PathBuf,
    /// For launches with `log_file`; without it their output goes to the journal.
    pub(crate) capture: Option<Capture>,
    /// Where what happens is told.
    pub(crate) reports: Reports,
}

/// Services as transient units. Must live in a `LocalSet`.
pub(crate) struct Systemd {
    shared: Rc<Shared>,
    watch: tokio::task::JoinHandle<()>,
}

/// What the backend and its tasks have in common.
struct Shared {
    options: Options,
    link: Link,
    units: Units,
    /// How many units are referenced.
    references: Cell<u32>,
    /// Starts that may be under way at the same time.
    turns: Semaphore,
    /// Descriptors that may be on their way to the manager at the same time.
    descriptors: Semaphore,
    /// Units that may be stopped by a job at the same time.
    stops: Semaphore,
    /// Services that may be without READY=1 at the same time.
    unready: Arc<Semaphore>,
    commands: command::Commands,
    proc: ProcFs,
    cgroups: CgroupFs,
    /// The control group of the manager, as seen from here.
    root: String,
    /// Where the manager shows the invocations of its units.
    units_dir: PathBuf,
    folders: folder::Folders,
    /// When the manager began to run, as it says itself, in microseconds since 1970.
    manager_since: u64,
}

impl Systemd {
    /// Connects to the manager; the error says why it cannot be reached.
    pub(crate) async fn connect(options: Options) -> Result<Self, CallError> {
        let link = Link::new(options.scope, options.runtime_dir.as_deref());
        let signals = link.connect().await?;
        let (root, since, units) = link
            .call(3, async |manager| {
                let (root, since, units) = tokio::join!(
                    manager.property("ControlGroup"),
                    manager.property("UserspaceTimestamp"),
                    manager.property("UnitPath")
                );
                let root = <&str>::try_from(&root?).unwrap_or_default().trim_end_matches('/').to_owned();
                let units = Vec::<String>::try_from(units?).unwrap_or_default();
                Ok((root, u64::try_from(&since?).unwrap_or_default(), units))
            })
            .await?;
        let host = |error: io::Error| CallError::Lost(error.to_string());
        let shared = Rc::new(Shared {
            proc: ProcFs::host().map_err(host)?,
            cgroups: CgroupFs::host(None).map_err(host)?,
            units: Units::default(),
            references: Cell::default(),
            turns: Semaphore::new(start::TURNS),
            descriptors: Semaphore::new(start::DESCRIPTORS),
            stops: Semaphore::new(stop::STOPS),
            unready: Arc::new(Semaphore::new(start::UNREADY)),
            commands: command::Commands::default(),
            manager_since: since,
            units_dir: link.runtime_dir().join("systemd/units"),
            folders: folder::Folders::new(units.into_iter().map(PathBuf::from).collect()),
            options,
            link,
            root,
        });
        let watch = crate::tasks::spawn_local(watch::watch(Rc::clone(&shared), signals));
        Ok(Self { shared, watch })
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        self.watch.abort();
        for unit in self.shared.units.all() {
            unit.main.take();
            unit.follower.take();
        }
    }
}

impl Backend for Systemd {
    fn kind(&self) -> BackendKind {
        BackendKind::Systemd
    }

    async fn start(
        &self,
        launch: &Launch,
        run: u64,
        record: &dyn Fn(&Placed) -> io::Result<()>,
    ) -> Result<Placed, StartError> {
        self.shared.start(launch, run, record).await
    }

    async fn signal(&self, id: &ServiceId, signal: Signal, whom: Whom) -> io::Result<()> {
        self.shared.signal(id, signal, whom).await
    }

    async fn stop(&self, id: &ServiceId, signal: Signal) -> io::Result<()> {
        self.shared.stop(id, signal).await
    }

    async fn clear(&self, id: &ServiceId) -> Result<(), String> {
        self.shared.clear(id).await
    }

    async fn adopt(&self, record: &Record, run: u64) -> io::Result<Adoption> {
        self.shared.adopt(record, run).await
    }

    async fn release(&self, id: &ServiceId) {
        self.shared.release(id).await;
    }

    fn processes(&self, id: &ServiceId) -> Vec<u32> {
        self.shared.processes(id)
    }

    fn cgroup(&self, id: &ServiceId) -> Option<PathBuf> {
        self.shared.cgroups.folder(&self.shared.cgroup(&unit::name_of(id).ok()?))
    }

    fn room(&self) -> Result<Room, AwaitRoom> {
        room_of(&self.shared.unready)
    }

    async fn beat(&self, id: &ServiceId) -> Option<Instant> {
        self.shared.beat(id).await
    }

    async fn marked(&self) -> io::Result<Vec<Marked>> {
        self.shared.marked().await
    }

    fn runs_commands(&self) -> bool {
        self.shared.runs_commands()
    }

    async fn run_command(&self, launch: &Launch, what: Use, limit: Duration) -> Result<(), String> {
        self.shared.run_command(launch, what, limit).await
    }
}

/// Whether the manager of a user is no more, and with it all that it ran: it has no control group, where
/// those of PID 1 can be seen.
pub(crate) fn has_ended(uid: u32) -> bool {
    let text = std::fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    let Some(init) = cgroup::path_of(&text) else { return false };
    let Some(root) = init.as_str().strip_suffix("/init.scope") else { return false };
    let manager = format!("{root}/user.slice/user-{uid}.slice/user@{uid}.service");
    CgroupFs::host(Some(&init)).is_ok_and(|all| all.exists(init.as_str()) && !all.exists(&manager))
}

/// A call that failed, as the error of a backend.
fn io_error(what: &str, unit: &str, error: &CallError) -> io::Error {
    let kind = if matches!(error, CallError::Timeout) { io::ErrorKind::TimedOut } else { io::ErrorKind::Other };
    io::Error::new(kind, format!("{what} {unit}: {error}"))
}
