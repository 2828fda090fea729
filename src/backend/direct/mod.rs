//! Services as children of the daemon, for hosts without a manager.
//!
//! Each runs in a session of its own, in a control group of its own where one can be made
//! ([`cgroup`]), and is held by its pidfd. The daemon is the reaper of all that loses its parent:
//! whatever a service leaves behind becomes a child of the daemon and is found there ([`tree`]),
//! without a look at every process of the host. Of what an earlier daemon started that is not so;
//! there the mark in the environment tells.
//!
//! What runs outlives a daemon that dies: its output goes to named pipes that it holds open
//! itself (see `logs::capture`).

mod adopt;
mod cgroup;
mod look;
mod notify;
mod said;
mod start;
mod strays;
mod tree;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Adoption, Backend, Happened, Launch, Marked, Placed, Reports, StartError, What};
use crate::model::service::{BackendKind, Containment};
use crate::model::{Identity, ServiceId, Signal, Whom};
use crate::observe::ProcFs;
use crate::paths::Places;
use crate::registry::Record;
use crate::sys::pidfd::PidFd;
use crate::sys::spawn::Own;
use cgroup::{Cgroup, Cgroups};
use look::Look;
use notify::Notify;
use said::Said;

/// The output of services: given at a start, taken up again, and done with.
pub(crate) trait Output {
    /// What becomes descriptors 1 and 2 of the child.
    fn open(&self, id: &ServiceId) -> io::Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)>;
    /// A service that an earlier daemon started goes on writing.
    fn resume(&self, id: &ServiceId) -> io::Result<()>;
    /// What it has written until now is taken in: it is about to be killed.
    fn drain(&self, id: &ServiceId) -> io::Result<()>;
    /// The service has ended, and does not start again for now.
    fn close(&self, id: &ServiceId) -> io::Result<()>;
}

/// The backend.
pub(crate) struct Direct {
    inner: Rc<Inner>,
    reaper: Option<JoinHandle<()>>,
    listener: Option<JoinHandle<()>>,
}

/// What its tasks share.
struct Inner {
    instance: String,
    proc: ProcFs,
    reports: Reports,
    output: Box<dyn Output>,
    cgroups: Option<Cgroups>,
    notify: Option<Notify>,
    runs: RefCell<HashMap<ServiceId, Run>>,
    /// The services by the pids of their main processes.
    mains: RefCell<HashMap<u32, ServiceId>>,
    /// What an earlier program of this process started was taken over; before, nothing is reaped.
    settled: Cell<bool>,
    /// What was last seen of the host's processes.
    last_look: RefCell<Option<Rc<Look>>>,
}

/// The last run of a service, until it is released.
struct Run {
    number: u64,
    /// The main process: the first, or the one that it named later.
    identity: Identity,
    /// The first one's session, by its number.
    session: u32,
    pidfd: Rc<PidFd>,
    cgroup: Option<Cgroup>,
    /// An earlier daemon started it: what it leaves behind is no child of this process.
    adopted: bool,
    /// When its main process was seen to have ended.
    ended: Cell<Option<Instant>>,
    /// What it says of itself.
    said: Said,
    /// Waits for its end; it is not awaited any more when this is dropped.
    watch: Option<JoinHandle<()>>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

impl Direct {
    /// Ready to start services; what happens is sent to `reports`. Must run in a `LocalSet`.
    pub(crate) fn new(places: &Places, instance: &str, output: Box<dyn Output>, reports: Reports) -> io::Result<Self> {
        strays::become_reaper()?;
        let notify = Notify::bind(&places.runtime.join("notify"));
        let notify = notify.map_err(|error| tracing::warn!("services cannot say that they are ready: {error}")).ok();
        let inner = Rc::new(Inner {
            instance: instance.to_owned(),
            proc: ProcFs::host()?,
            reports,
            output,
            cgroups: Cgroups::find(instance),
            notify,
            runs: RefCell::default(),
            mains: RefCell::default(),
            settled: Cell::new(false),
            last_look: RefCell::default(),
        });
        let reaper = Some(crate::tasks::spawn_local(strays::reap(Rc::downgrade(&inner))?));
        let listener = inner.notify.is_some().then(|| crate::tasks::spawn_local(notify::listen(Rc::downgrade(&inner))));
        Ok(Self { inner, reaper, listener })
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        for task in [&self.reaper, &self.listener].into_iter().flatten() {
            task.abort();
        }
    }
}

impl Inner {
    fn tell(&self, id: &ServiceId, run: u64, what: What) {
        // Nobody listens any more only when the daemon ends.
        let _ = self.reports.send(Happened { id: id.clone(), run, what });
    }

    /// From now on this is the run of a service: what its process says counts.
    fn insert(&self, id: &ServiceId, run: Run) {
        self.mains.borrow_mut().insert(run.identity.pid, id.clone());
        self.runs.borrow_mut().insert(id.clone(), run);
    }

    /// Forgets the run of a service, which has no process.
    fn remove(&self, id: &ServiceId) -> Option<Run> {
        let run = self.runs.borrow_mut().remove(id)?;
        let mut mains = self.mains.borrow_mut();
        if mains.get(&run.identity.pid) == Some(id) {
            mains.remove(&run.identity.pid);
        }
        Some(run)
    }

    /// Waits for the end of the run of a service.
    fn watch(self: &Rc<Self>, id: &ServiceId, own: Option<Own>) {
        let mut runs = self.runs.borrow_mut();
        let Some(run) = runs.get_mut(id) else { return };
        let (pidfd, inner, key) = (Rc::clone(&run.pidfd), Rc::downgrade(self), id.clone());
        let (number, identity, adopted) = (run.number, run.identity, run.adopted);
        let pid = identity.pid;
        run.watch = Some(crate::tasks::spawn_local(async move {
            if let Err(error) = pidfd.ended().await {
                tracing::error!(%key, pid, "its end cannot be waited for: {error}");
            }
            // It may have said that another goes on in its place.
            if let Some(inner) = inner.upgrade() {
                notify::take_all(&inner);
            }
            let exit = strays::exit_of(&inner, &identity, &pidfd, adopted).await;
            drop(own);
            let Some(inner) = inner.upgrade() else { return };
            let is_followed = |run: &Run| run.number == number && run.identity != identity;
            if inner.runs.borrow().get(&key).is_some_and(is_followed) {
                return;
            }
            inner.mains.borrow_mut().remove(&pid);
            if let Some(run) = inner.runs.borrow().get(&key).filter(|run| run.number == number) {
                run.ended.set(Some(Instant::now()));
            }
            inner.tell(&key, number, What::Exited(exit));
        }));
    }
}

impl Backend for Direct {
    fn kind(&self) -> BackendKind {
        BackendKind::Direct
    }

    async fn start(
        &self,
        launch: &Launch,
        run: u64,
        record: &dyn Fn(&Placed) -> io::Result<()>,
    ) -> Result<Placed, StartError> {
        self.inner.settled.set(true);
        start::start(&self.inner, launch, run, record).await
    }

    async fn signal(&self, id: &ServiceId, signal: Signal, whom: Whom) -> io::Result<()> {
        match whom {
            Whom::All => tree::signal(&self.inner, id, &[signal]),
            Whom::Main => {
                let main = self.inner.runs.borrow().get(id).map(|run| Rc::clone(&run.pidfd));
                main.map_or(Ok(()), |pidfd| tree::send(&pidfd, signal))
            }
        }
    }

    async fn stop(&self, id: &ServiceId, signal: Signal) -> io::Result<()> {
        // A stopped process takes nothing before it goes on.
        tree::signal(&self.inner, id, &[signal, Signal::CONT])
    }

    async fn clear(&self, id: &ServiceId) -> Result<(), String> {
        tree::clear(&self.inner, id).await
    }

    async fn adopt(&self, record: &Record, run: u64) -> io::Result<Adoption> {
        // All are taken over in one go, before anything else runs in this thread.
        self.inner.settled.set(true);
        adopt::adopt(&self.inner, record, run).await
    }

    async fn release(&self, id: &ServiceId) {
        if let Some(run) = self.inner.remove(id) {
            if let Some(cgroup) = &run.cgroup {
                cgroup.remove();
            }
        } else if let Some(cgroups) = &self.inner.cgroups {
            cgroups.is_free(id);
        }
        if let Err(error) = self.inner.output.close(id) {
            tracing::warn!(%id, "its output is not closed: {error}");
        }
    }

    fn processes(&self, id: &ServiceId) -> Vec<u32> {
        tree::members(&self.inner, id)
    }

    fn cgroup(&self, id: &ServiceId) -> Option<PathBuf> {
        self.inner.runs.borrow().get(id)?.cgroup.as_ref().map(|cgroup| cgroup.path().to_owned())
    }

    async fn beat(&self, _: &ServiceId) -> Option<Instant> {
        None
    }

    async fn marked(&self) -> io::Result<Vec<Marked>> {
        adopt::marked(&self.inner)
    }
}

/// How the processes of a run are held together.
fn containment(cgroup: Option<&Cgroup>) -> Containment {
    if cgroup.is_some() { Containment::Cgroup } else { Containment::Mark }
}
