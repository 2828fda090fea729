//! Commands beside a service of the system: whether it is ready, that it reads its configuration
//! again. Each run is a unit of its own, with the service's user, limits and sandbox; the daemon,
//! which is root, runs none itself.
//!
//! The names of these units have colons, which ids have not: none is ever taken for a service. There
//! is one name for each service and use, so that there are never two of one at once, whoever
//! started the other. Whoever waits may stop to wait: the task that has begun a run sees to
//! its end, and a manager whose daemon has died ends it in time.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::fs::File;
use std::future::Future;
use std::io::{Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::{self, Receiver};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};
use zbus::Variant;
use zbus::wire::Fd;

use super::life::Phase;
use super::units::Unit;
use super::{Scope, Shared, env_file, explain, unit};
use crate::backend::{Launch, Use};
use crate::model::{Malformed, ServiceId, UnitName};
use crate::systemd::{CallError, Property};

/// Runs at the same time: each has a reference and a job, see [`super::references`].
const TURNS: usize = 32;
/// How much longer than we the manager waits, which is to end what a dead daemon cannot.
const LONGER: Duration = Duration::from_secs(5);
/// How long the end of what is killed may take.
const KILLED: Duration = Duration::from_secs(10);
/// As much of what it says as is kept.
const OUTPUT: usize = 4096;
/// Properties of services that are not for what runs beside them: what concerns other units, their
/// life time, their terminal and what they leave behind.
const NOT_BESIDE: [&str; 14] = [
    "Before",
    "BindsTo",
    "Conflicts",
    "LogLevelMax",
    "PartOf",
    "RemoveIPC",
    "Requires",
    "RequiresMountsFor",
    "RuntimeDirectoryPreserve",
    "RuntimeMaxSec",
    "TTYPath",
    "UtmpIdentifier",
    "Wants",
    "WatchdogSec",
];
/// Namespaces that are of use only if the command shares them with the service.
const SHARED: [&str; 3] = ["PrivateIPC", "PrivateNetwork", "PrivateTmp"];

/// The runs of all services.
pub(super) struct Commands {
    turns: Semaphore,
    /// What runs now.
    busy: RefCell<BTreeSet<String>>,
    /// Something has ended.
    ended: Notify,
    /// What each said last: said once in the log.
    said: RefCell<HashMap<String, String>>,
}

impl Default for Commands {
    fn default() -> Self {
        Self { turns: Semaphore::new(TURNS), busy: RefCell::default(), ended: Notify::new(), said: RefCell::default() }
    }
}

/// Nothing else runs under this name while this lives.
struct Alone<'c>(&'c Commands, String);

impl Commands {
    async fn alone(&self, name: &UnitName) -> Alone<'_> {
        loop {
            let ended = self.ended.notified();
            if self.busy.borrow_mut().insert(name.to_string()) {
                return Alone(self, name.to_string());
            }
            ended.await;
        }
    }

    /// What is told of a service that is forgotten.
    pub(super) fn forget(&self, id: &ServiceId) {
        let of = [Use::Check, Use::Reload, Use::Hook].map(|what| name_of(id, what));
        self.said.borrow_mut().retain(|name, _| !of.contains(name));
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.busy.borrow_mut().remove(&self.1);
        self.0.ended.notify_waiters();
    }
}

fn name_of(id: &ServiceId, what: Use) -> String {
    format!("provost:{}:{id}.service", what.word())
}

/// How a run ended.
enum Ended {
    /// Its job, so.
    Job(String),
    Broke,
    Late,
    /// Nobody wants to know any more.
    Unwanted,
}

impl Shared {
    /// Runs a command to its end, for at most this long. The error is how it ended, in words that
    /// everybody may read: what it said goes to the log of the daemon.
    pub(super) async fn run_command(
        self: &Rc<Self>,
        launch: &Launch,
        what: Use,
        limit: Duration,
    ) -> Result<(), String> {
        let (mut tell, told) = oneshot::channel();
        let (shared, launch) = (Rc::clone(self), launch.clone());
        crate::tasks::spawn_local(async move {
            let result = shared.command(&launch, what, limit, tell.closed()).await;
            let _nobody_waits = tell.send(result);
        });
        told.await.unwrap_or_else(|_| Err("the daemon ends".to_owned()))
    }

    async fn command(
        self: &Rc<Self>,
        launch: &Launch,
        what: Use,
        limit: Duration,
        unwanted: impl Future<Output = ()>,
    ) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        let late = || format!("the command did not end within {}", humantime::format_duration(limit));
        let name = name_of(&launch.id, what);
        let name: UnitName = name.parse().map_err(|error: Malformed| error.to_string())?;
        let mut unwanted = std::pin::pin!(unwanted);
        let turn = async { (self.commands.alone(&name).await, self.commands.turns.acquire().await) };
        let _turn = tokio::select! {
            turn = timeout_at(deadline, turn) => turn.map_err(|_| late())?,
            () = &mut unwanted => return Err(String::new()),
        };
        let unit = self.units.insert(&launch.id, name);
        unit.life.borrow_mut().phase = Phase::Starting;
        let key = format!(":{}:{}", what.word(), launch.id);
        let mut said = Vec::new();
        let ended = self.until_ended(launch, (&unit, &key), deadline, unwanted, &mut said).await;
        let result = match ended {
            Ok(Ended::Job(result)) if result == "done" => Ok(()),
            Ok(Ended::Job(result)) => Err(self.how_ended(launch, &unit, &result).await),
            Ok(Ended::Broke) => Err("the connection to systemd broke meanwhile".to_owned()),
            Ok(Ended::Late) => Err(late()),
            Ok(Ended::Unwanted) => Err(String::new()),
            Err(why) => Err(why),
        };
        if let Err(error) = self.end_command(&unit).await {
            tracing::warn!(unit = %unit.name, %error, "cannot be ended: systemd does it when its time is over");
        }
        env_file::remove(&self.options.env_dir, &key);
        self.units.forget(&unit);
        let result = result.map_err(|why| self.with_output(&unit.name, why, &said));
        if result.is_ok() {
            self.commands.said.borrow_mut().remove(unit.name.as_str());
        }
        result
    }

    async fn until_ended(
        &self,
        launch: &Launch,
        (unit, key): (&Unit, &str),
        deadline: Instant,
        unwanted: impl Future<Output = ()>,
        said: &mut Vec<u8>,
    ) -> Result<Ended, String> {
        let kept = env_file::write(&self.options.env_dir, key, &launch.env);
        let env_file = kept.map_err(|error| format!("its variables cannot be kept: {error}"))?;
        let pipe = || {
            let (theirs, ours) = pipe::pipe()?;
            Ok::<_, std::io::Error>((theirs.into_blocking_fd()?, ours))
        };
        let (theirs, mut ours) = pipe().map_err(|error| format!("its output cannot be read: {error}"))?;
        let user = self.dynamic_user(launch).await.map_err(|error| error.to_string())?;
        let longest = deadline.saturating_duration_since(Instant::now()) + LONGER;
        let breaks = unit.life.borrow().breaks;
        let job = {
            let input = input(&launch.input).map_err(|error| format!("it cannot be given its input: {error}"))?;
            let mut of = self.properties(launch, &env_file, &theirs, longest, user)?;
            if let Some(input) = &input {
                of.push(("StandardInputFileDescriptor", Variant::from(Fd::from(input.as_fd()))));
            }
            self.make_command(unit, &of).await
        };
        drop(theirs);
        let job = job.map_err(|error| explain::refused(&unit.name, &error).to_string())?;
        let left = deadline.saturating_duration_since(Instant::now());
        let ended = unit.until(left, |life| {
            let broke = (life.breaks != breaks).then_some(Ended::Broke);
            life.end_of(job).map(Ended::Job).or(broke)
        });
        let ended = tokio::select! {
            ended = ended => ended.unwrap_or(Ended::Late),
            () = unwanted => Ended::Unwanted,
            never = read(&mut ours, said) => match never {},
        };
        // What it wrote is in the pipe, whether or not that was noticed.
        let mut chunk = [0; OUTPUT];
        while let Ok(n @ 1..) = ours.try_read(&mut chunk) {
            keep(said, &chunk[..n]);
            if said.len() == OUTPUT {
                break;
            }
        }
        Ok(ended)
    }

    fn properties<'l>(
        &self,
        launch: &'l Launch,
        env_file: &Path,
        output: &'l OwnedFd,
        longest: Duration,
        user: Option<String>,
    ) -> Result<Vec<Property<'l>>, String> {
        let mut of = unit::command(launch, self.options.scope, env_file, output).map_err(|error| error.to_string())?;
        of.push(("TimeoutStartUSec", unit::micros(longest).into()));
        if let Some(user) = user {
            of.push(("User", user.into()));
        }
        // The first user of a folder that is the unit's own would take it away with its end.
        if launch.systemd.contains_key("RuntimeDirectory") {
            of.push(("RuntimeDirectoryPreserve", "yes".into()));
        }
        if SHARED.iter().any(|name| launch.systemd.get(*name).is_some_and(|value| value == true)) {
            let service = unit::name_of(&launch.id).map_err(|error| error.to_string())?;
            of.push(("JoinsNamespaceOf", Variant::new(vec![service.to_string()])));
        }
        for (name, value) in launch.systemd.iter().filter(|(name, _)| !NOT_BESIDE.contains(&name.as_str())) {
            of.extend(super::properties::convert(name, value).map_err(|error| error.to_string())?);
        }
        Ok(of)
    }

    /// The user that systemd made for the unit of the service, if it did.
    async fn dynamic_user(&self, launch: &Launch) -> Result<Option<String>, CallError> {
        if launch.user.is_some() || launch.systemd.get("DynamicUser").is_none_or(|value| value != true) {
            return Ok(None);
        }
        let Ok(service) = unit::name_of(&launch.id) else { return Ok(None) };
        let user = self.link.ask(async |manager| manager.service_property(&service, "User").await).await?;
        Ok(<&str>::try_from(&user).ok().filter(|user| !user.is_empty()).map(str::to_owned))
    }

    /// Starts the unit, and before that ends one that an earlier daemon has left.
    async fn make_command(&self, unit: &Unit, of: &[Property<'_>]) -> Result<u32, CallError> {
        let name = &unit.name;
        let make = async || self.link.call(1, async |manager| manager.start_transient(name, of).await).await;
        match make().await {
            Err(error) if error.short_name() == "UnitExists" => {
                if self.mark_of(name).await?.as_deref() != Some(&self.options.instance) {
                    return Err(error);
                }
                self.end_command(unit).await?;
                make().await
            }
            other => other,
        }
    }

    /// Ends what is left of it, and has the manager forget it.
    async fn end_command(&self, unit: &Unit) -> Result<(), CallError> {
        let name = &unit.name;
        let status = self.read(unit).await?;
        let down = matches!(status.active.as_deref(), Some("inactive" | "failed"));
        if !down || !self.cgroups.pids_in(&self.cgroup(name)).is_empty() {
            self.stop_job(unit, KILLED).await?;
        }
        self.link.ask(async |manager| manager.unreference(name).await).await?;
        self.link.ask(async |manager| manager.reset_failed(name).await).await
    }

    async fn how_ended(&self, launch: &Launch, unit: &Unit, result: &str) -> String {
        match self.read(unit).await {
            Ok(change) => unit.life.borrow_mut().status.apply(change),
            Err(error) => return format!("how it ended cannot be read: {error}"),
        }
        let status = unit.life.borrow().status.clone();
        match (explain::not_executed(launch, &unit.name, &status), status.code) {
            (Some(why), code) if code != 0 => why.to_string(),
            (_, 1) => format!("exit code {}", status.status),
            (_, 2 | 3) => format!("killed by signal {}", status.status),
            _ => format!("systemd did not run it ({result}, {})", status.result),
        }
    }

    /// The log of the daemon is not open to everybody, as what is said of a service is.
    fn with_output(&self, name: &UnitName, why: String, said: &[u8]) -> String {
        let Some(line) = crate::probe::first_line(said) else { return why };
        let line = format!("{why}: {line}");
        if self.commands.said.borrow_mut().insert(name.to_string(), line.clone()).as_ref() != Some(&line) {
            tracing::info!("{name}: {line}");
        }
        format!("{why}; what it said is in the journal of provost.service")
    }

    /// Whether commands are run here: only where they would be run as somebody else otherwise.
    pub(super) fn runs_commands(&self) -> bool {
        self.options.scope == Scope::System
    }
}

/// What it reads from its standard input; a file in memory, which waits for nobody.
fn input(text: &[u8]) -> std::io::Result<Option<OwnedFd>> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut file = File::from(rustix::fs::memfd_create("input", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(text)?;
    file.rewind()?;
    Ok(Some(file.into()))
}

async fn read(from: &mut Receiver, said: &mut Vec<u8>) -> Infallible {
    let mut chunk = [0; OUTPUT];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        keep(said, &chunk[..n]);
    }
    std::future::pending().await
}

fn keep(said: &mut Vec<u8>, chunk: &[u8]) {
    let room = OUTPUT.saturating_sub(said.len());
    said.extend_from_slice(&chunk[..chunk.len().min(room)]);
}
