//! The host of the sim backend: its processes, and what their ends set off.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Script, report};
use crate::backend::{Marked, Reports, Room, What};
use crate::model::service::Exit;
use crate::model::{Identity, ServiceId, Signal};

/// The greatest pid that Linux gives out is below this: no real process is ever meant.
const FIRST_PID: u32 = 1 << 22;

/// All services of the sim; cheap to clone, and the same world then.
#[derive(Debug, Clone, Default)]
pub(crate) struct World(Rc<RefCell<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    pids: u32,
    runs: BTreeMap<ServiceId, Run>,
    scripts: BTreeMap<ServiceId, VecDeque<Script>>,
    starts: Vec<ServiceId>,
    unready: Option<Arc<Semaphore>>,
}

#[derive(Debug)]
struct Run {
    number: u64,
    main: Identity,
    /// Whether the main process lives.
    alive: bool,
    children: Vec<Identity>,
    script: Script,
    reports: Reports,
    /// Until it has said READY=1.
    room: Room,
}

impl World {
    pub(super) fn next_script(&self, id: &ServiceId) -> Option<Script> {
        self.0.borrow_mut().scripts.get_mut(id)?.pop_front()
    }

    pub(super) fn new_identity(&self) -> Identity {
        let mut inner = self.0.borrow_mut();
        inner.pids += 1;
        Identity { pid: FIRST_PID + inner.pids, start_ticks: u64::from(inner.pids), pidfd_inode: None }
    }

    pub(super) fn add(&self, id: &ServiceId, main: Identity, number: u64, script: Script, reports: Reports) {
        let children = (0..script.children).map(|_| self.new_identity()).collect();
        let mut inner = self.0.borrow_mut();
        let old =
            inner.runs.insert(id.clone(), Run { number, main, alive: true, children, script, reports, room: None });
        assert!(old.is_none_or(|old| !old.alive && old.children.is_empty()), "{id} was started twice");
        inner.starts.push(id.clone());
    }

    pub(super) fn take_room(&self, id: &ServiceId, room: Room) {
        if let Some(run) = self.0.borrow_mut().runs.get_mut(id) {
            run.room = room;
        }
    }

    pub(super) fn unready(&self) -> Option<Arc<Semaphore>> {
        self.0.borrow().unready.clone()
    }

    pub(super) fn end(&self, id: &ServiceId, pid: u32, exit: Exit) {
        if let Some(run) = self.0.borrow_mut().runs.get_mut(id).filter(|run| run.main.pid == pid && run.alive) {
            (run.alive, run.room) = (false, None);
            report(&run.reports, id, run.number, What::Exited(exit));
        }
    }

    pub(super) fn tell(&self, id: &ServiceId, pid: u32, what: What) {
        if let Some(run) = self.0.borrow_mut().runs.get_mut(id).filter(|run| run.main.pid == pid && run.alive) {
            run.room = None;
            report(&run.reports, id, run.number, what);
        }
    }

    pub(super) fn signal(&self, id: &ServiceId, signal: Signal) {
        let found = self.0.borrow().runs.get(id).map(|run| {
            let harmless = run.script.ignore.contains(&signal) || signal == Signal::CONT;
            let exit = run.script.on.get(&signal).copied().unwrap_or(Exit::Signal(signal.number()));
            (run.main.pid, (!harmless && !run.script.stuck).then_some(exit))
        });
        if let Some((pid, Some(exit))) = found {
            self.end(id, pid, exit);
        }
    }

    pub(super) fn clear(&self, id: &ServiceId) -> Result<(), String> {
        let pid = match self.0.borrow_mut().runs.get_mut(id) {
            None => return Ok(()),
            Some(run) if run.script.stuck => {
                return Err(format!("pid {} cannot be killed: it is in uninterruptible sleep", run.main.pid));
            }
            Some(run) => {
                run.children.clear();
                run.main.pid
            }
        };
        self.end(id, pid, Exit::Signal(Signal::KILL.number()));
        Ok(())
    }

    pub(super) fn adopt(&self, id: &ServiceId, main: Identity, number: u64, reports: Reports) -> bool {
        let mut inner = self.0.borrow_mut();
        let Some(run) = inner.runs.get_mut(id).filter(|run| run.main.is(&main) && run.alive) else { return false };
        (run.number, run.reports) = (number, reports);
        true
    }

    /// How long forgetting it takes.
    pub(super) fn release_time(&self, id: &ServiceId) -> Duration {
        self.0.borrow().runs.get(id).map_or(Duration::ZERO, |run| run.script.release)
    }

    pub(super) fn forget(&self, id: &ServiceId) {
        let mut inner = self.0.borrow_mut();
        if inner.runs.get(id).is_some_and(|run| !run.alive) {
            inner.runs.remove(id);
        }
    }

    pub(crate) fn processes(&self, id: &ServiceId) -> Vec<u32> {
        let inner = self.0.borrow();
        inner.runs.get(id).map_or(Vec::new(), |run| run.all().map(|one| one.pid).collect())
    }

    pub(super) fn marked(&self) -> Vec<Marked> {
        let inner = self.0.borrow();
        let living = inner.runs.iter().filter(|(_, run)| run.all().next().is_some());
        living.map(|(id, run)| Marked { id: id.clone(), processes: run.all().collect(), unit: None }).collect()
    }
}

/// What tests do to the world, and ask of it.
#[cfg(test)]
impl World {
    /// What the next starts of a service do, one after another; after them its variable counts again.
    pub(crate) fn script(&self, id: &ServiceId, text: &str) {
        let script = Script::parse(text).expect("a script of a test");
        self.0.borrow_mut().scripts.entry(id.clone()).or_default().push_back(script);
    }

    /// No more may be without READY=1 at the same time.
    pub(crate) fn unready_at_once(&self, most: usize) {
        self.0.borrow_mut().unready = Some(Arc::new(Semaphore::new(most)));
    }

    /// The starts so far, in order.
    pub(crate) fn starts(&self) -> Vec<ServiceId> {
        self.0.borrow().starts.clone()
    }

    /// How many services were started and not released.
    pub(crate) fn known(&self) -> usize {
        self.0.borrow().runs.len()
    }

    /// How many main processes live.
    pub(crate) fn alive(&self) -> usize {
        self.0.borrow().runs.values().filter(|run| run.alive).count()
    }

    /// Ends the main process of a service, as something outside would.
    pub(crate) fn kill(&self, id: &ServiceId, exit: Exit) {
        let pid = self.0.borrow().runs.get(id).map(|run| run.main.pid);
        if let Some(pid) = pid {
            self.end(id, pid, exit);
        }
    }

    /// Somebody else stops a service, as `systemctl stop` does.
    pub(crate) fn stop_by_others(&self, id: &ServiceId) {
        if let Some(run) = self.0.borrow_mut().runs.remove(id) {
            report(&run.reports, id, run.number, What::StoppedByOthers);
        }
    }

    /// Somebody else starts a service again that was released or not; one that runs, anew.
    pub(crate) fn start_by_others(&self, id: &ServiceId, number: u64, reports: &Reports) {
        self.0.borrow_mut().runs.remove(id);
        let main = self.new_identity();
        self.add(id, main, number, Script::default(), reports.clone());
        report(reports, id, number, What::StartedByOthers(super::placed(main)));
    }
}

impl Run {
    fn all(&self) -> impl Iterator<Item = Identity> {
        self.alive.then_some(self.main).into_iter().chain(self.children.iter().copied())
    }
}
