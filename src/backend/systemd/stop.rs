//! Signals, stops, and what is left after them.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::unit::name_of;
use super::units::Unit;
use super::{Scope, Shared, env_file, io_error};
use crate::model::{ProcState, ServiceId, Signal, Whom};
use crate::systemd::CallError;

/// Stop jobs at the same time: each has a match rule, see [`super::references`].
pub(super) const STOPS: usize = 64;
/// How long SIGKILL may take: memory has to be given back.
const KILLED: Duration = Duration::from_secs(10);

impl Shared {
    pub(super) async fn signal(&self, id: &ServiceId, signal: Signal, whom: Whom) -> io::Result<()> {
        let unit = self.units.of(id)?;
        let sent = self.kill(&unit, whom, signal).await;
        sent.map_err(|error| io_error(&format!("{signal} to"), unit.name.as_str(), &error))
    }

    /// Nothing to signal is no error.
    async fn kill(&self, unit: &Unit, whom: Whom, signal: Signal) -> Result<(), CallError> {
        let name = &unit.name;
        match self.link.ask(async |manager| manager.kill(name, whom, signal, false).await).await {
            Err(error) if !matches!(error.short_name(), "NoSuchUnit" | "NoSuchProcess" | "UnitNotLoaded") => Err(error),
            _ => Ok(()),
        }
    }

    /// SIGKILL to all. A frozen process takes no signal before it is thawed.
    pub(super) async fn kill_all(&self, unit: &Unit) -> Result<(), CallError> {
        self.thaw(unit).await?;
        self.kill(unit, Whom::All, Signal::KILL).await
    }

    async fn thaw(&self, unit: &Unit) -> Result<(), CallError> {
        if !self.cgroups.is_frozen(&self.cgroup(&unit.name)) {
            return Ok(());
        }
        let name = &unit.name;
        self.link.ask(async |manager| manager.thaw(name).await).await
    }

    /// A signal, and no job that stops the unit: a unit that was stopped by a job is gone when we are,
    /// and whoever looks for it later takes that for somebody's wish.
    pub(super) async fn stop(&self, id: &ServiceId, signal: Signal) -> io::Result<()> {
        let unit = self.units.of(id)?;
        unit.life.borrow_mut().stopping = true;
        let begun = async {
            self.thaw(&unit).await?;
            self.kill(&unit, Whom::All, signal).await?;
            // A suspended process takes nothing before it goes on.
            self.kill(&unit, Whom::All, Signal::CONT).await
        };
        begun.await.map_err(|error| io_error("stopping", unit.name.as_str(), &error))
    }

    pub(super) async fn clear(self: &Rc<Self>, id: &ServiceId) -> Result<(), String> {
        let unit = self.units.of(id).map_err(|error| error.to_string())?;
        unit.life.borrow_mut().stopping = true;
        let begun = async {
            if unit.main.borrow().is_none() {
                // What a start that failed has left, or an earlier daemon.
                let change = self.read(&unit).await?;
                unit.life.borrow_mut().status.apply(change);
                self.hold(&unit);
            }
            if !self.processes(id).is_empty() {
                self.kill_all(&unit).await?;
            }
            Ok::<_, CallError>(())
        };
        if let Err(error) = begun.await {
            // The manager is away, or may not: the control group is ours as well, in our own manager.
            if let Err(second) = self.cgroups.kill(&self.cgroup(&unit.name)) {
                return Err(format!("{} could not be killed: {error}; {second}", unit.name));
            }
        }
        match self.emptied(&unit).await {
            true => Ok(()),
            false => Err(self.unkillable(&unit, &self.processes(id))),
        }
    }

    /// Waits until nothing is left of a unit, and its end was told. The kernel tells nobody of the
    /// end of processes that the manager does not wait for.
    async fn emptied(&self, unit: &Unit) -> bool {
        let wait = async {
            let mut pause = Duration::from_millis(1);
            loop {
                let news = unit.news.notified();
                let over = {
                    let status = &unit.life.borrow().status;
                    status.has_ended() || status.is_down()
                };
                if over && self.processes(&unit.id).is_empty() {
                    return;
                }
                let _either = tokio::time::timeout(pause, news).await;
                pause = (pause * 2).min(Duration::from_millis(100));
            }
        };
        let _late = tokio::time::timeout(KILLED, wait).await;
        self.processes(&unit.id).is_empty()
    }

    /// Has the manager stop a unit, and waits for the end of that job.
    pub(super) async fn stop_job(&self, unit: &Unit, limit: Duration) -> Result<(), CallError> {
        let _turn = self.stops.acquire().await;
        let (name, breaks) = (&unit.name, unit.life.borrow().breaks);
        let job = self.link.ask(async |manager| manager.stop_job(name).await).await?;
        let Some(job) = job else { return Ok(()) };
        let ended = unit.until(limit, |life| {
            let broke = (life.breaks != breaks).then(|| Err(CallError::Lost("the connection to systemd broke".into())));
            life.end_of(job).map(|_| Ok(())).or(broke)
        });
        ended.await.unwrap_or(Err(CallError::Timeout))
    }

    fn unkillable(&self, unit: &Unit, left: &[u32]) -> String {
        let word = |pid: &u32| match self.proc.stat(*pid) {
            Ok(stat) if stat.state == ProcState::Uninterruptible => {
                format!("pid {pid} ({}, waits in the kernel)", stat.comm)
            }
            Ok(stat) => format!("pid {pid} ({})", stat.comm),
            Err(_) => format!("pid {pid}"),
        };
        let words: Vec<String> = left.iter().take(5).map(word).collect();
        format!("{} cannot be killed: {}", unit.name, words.join(", "))
    }

    pub(super) async fn release(self: &Rc<Self>, id: &ServiceId) {
        match self.units.get(id) {
            Some(unit) => self.let_go(&unit).await,
            None if !self.processes(id).is_empty() => return,
            None => {
                if let Some(unit) = self.left(id).await {
                    self.let_go(&unit).await;
                }
            }
        }
        self.commands.forget(id);
        if self.options.scope == Scope::System {
            env_file::remove(&self.options.env_dir, id.as_str());
        }
    }

    /// The unit of a service that we have not seen: an earlier daemon may have ended before it let go of it.
    async fn left(self: &Rc<Self>, id: &ServiceId) -> Option<Rc<Unit>> {
        // What the manager has made of a call is a file as long as it is loaded. Most have none, and nobody is asked.
        let name = name_of(id).ok()?;
        if !self.link.runtime_dir().join("systemd/transient").join(name.as_str()).exists() {
            return None;
        }
        let unit = self.units.of(id).ok()?;
        match self.look(&unit, 0).await {
            Ok(true) if self.processes(id).is_empty() => return Some(unit),
            Ok(_) => {}
            Err(error) => tracing::warn!(unit = %name, %error, "stays loaded"),
        }
        self.units.forget(&unit);
        None
    }

    async fn let_go(self: &Rc<Self>, unit: &Rc<Unit>) {
        let name = &unit.name;
        unit.life.borrow_mut().stopping = true;
        let gone = async {
            let (down, unsure) = (unit.life.borrow().status.is_down(), unit.life.borrow().unsure);
            // The manager takes calls in their order: if it has made the unit after all, that is seen now.
            if !down || unsure && self.is_ours(name).await? {
                self.stop_job(unit, KILLED).await?;
            }
            self.link.ask(async |manager| manager.reset_failed(name).await).await?;
            let references = unit.life.borrow().references;
            if references > 0 {
                self.count_references(unit, 0);
                self.link.ask(async |manager| manager.unreference(name).await).await?;
            }
            let gate = self.options.scope.gate(&unit.id);
            if self.cgroups.exists(&format!("{}{}/{gate}", self.root, self.options.scope.slice_path()))
                && let Ok(gate) = gate.parse()
            {
                self.link.ask(async |manager| manager.stop_job(&gate).await).await?;
            }
            Ok::<_, CallError>(())
        };
        if let Err(error) = gone.await {
            tracing::warn!(unit = %name, %error, "stays loaded");
        }
        self.units.forget(unit);
    }
}
