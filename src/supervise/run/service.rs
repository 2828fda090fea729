//! One service as the driver holds it: its record, its machine, and what is on its way.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::health::Watch;
use crate::backend::Launch;
use crate::model::service::{BackendKind, Check, HealthSpec, Ready};
use crate::registry::Record;
use crate::supervise::machine::{Counts, Machine, Settings};
use crate::supervise::pid_file;

/// What comes to it once those that come after it have stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Stop,
    Restart,
}

/// A start with everything resolved, until it is through.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) launch: Launch,
    pub(super) backend: BackendKind,
}

/// What is needed to find out whether it is ready, and does its work then.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    /// With the check as messages name it.
    pub(super) ready: Option<(Ready, Check)>,
    /// The same of what is looked at afterwards.
    pub(super) health: Option<(HealthSpec, HealthSpec)>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: PathBuf,
}

#[derive(Debug)]
pub(super) struct Service {
    /// Shared with a start that is on its way, which writes down where it put the service before
    /// the program is executed: there is only one truth that can be written to the file.
    pub(super) record: Rc<RefCell<Record>>,
    pub(super) machine: Machine,
    /// The number of its run, for what takes time and is meant for that one alone.
    pub(super) run: Rc<Cell<u64>>,
    /// Told when it is stopped, or has been: a reload that is under way ends by it.
    pub(super) stops: Rc<tokio::sync::Notify>,
    /// The wait that may be given up: for the port, readiness, the end of its tree.
    pub(super) wait: Option<AbortHandle>,
    pub(super) held: Option<Held>,
    /// It is forgotten as soon as it has stopped.
    pub(super) removing: bool,
    /// The next start chooses the backend anew.
    pub(super) choose: bool,
    pub(super) prepared: Option<Box<Prepared>>,
    pub(super) checked: Option<Box<Checked>>,
    /// The variables that its config asks for, as they were when it was last prepared.
    pub(super) started_with: BTreeMap<String, Option<String>>,
    /// What it reads and is made of is watched, as it is described now.
    pub(super) watched: bool,
    /// It is looked after.
    pub(super) watch: Option<Watch>,
    /// That it is unhealthy was said, and not yet that it does its work again.
    pub(super) unhealthy: bool,
    /// The main process, while it lives.
    pub(super) main: Option<u32>,
    /// Where its pid was written.
    pub(super) pid_files: Vec<PathBuf>,
    /// It waits for others to say READY=1.
    pub(super) waits_for_room: bool,
    /// What it says of itself (STATUS=).
    pub(super) status: Option<String>,
    /// Its deadline as it stands among the timers.
    pub(super) deadline: Option<Duration>,
    /// Its file is not what its record is; whether that must survive a loss of power.
    pub(super) unsaved: Rc<Cell<Option<bool>>>,
    /// What was last said of its file that cannot be written.
    pub(super) unsaved_why: Option<String>,
}

impl Service {
    pub(super) fn new(record: Record, seed: u64) -> Self {
        let counts = Counts {
            desired: record.desired,
            restarts: record.restarts,
            failures: record.failures,
            last_exit: record.last_exit,
            last_error: record.last_error.clone(),
        };
        let failed = record.state == crate::model::service::ServiceState::Failed;
        let machine = Machine::new(Settings::from(&record.spec), counts, failed, seed);
        Self {
            record: Rc::new(RefCell::new(record)),
            machine,
            run: Rc::default(),
            stops: Rc::default(),
            wait: None,
            held: None,
            removing: false,
            choose: true,
            prepared: None,
            checked: None,
            started_with: BTreeMap::new(),
            watched: false,
            watch: None,
            unhealthy: false,
            main: None,
            pid_files: Vec::new(),
            waits_for_room: false,
            status: None,
            deadline: None,
            unsaved: Rc::default(),
            unsaved_why: None,
        }
    }

    pub(super) fn record(&self) -> Ref<'_, Record> {
        self.record.borrow()
    }

    pub(super) fn record_mut(&self) -> RefMut<'_, Record> {
        self.record.borrow_mut()
    }

    pub(super) fn cancel(&mut self) {
        self.waits_for_room = false;
        if let Some(wait) = self.wait.take() {
            wait.abort();
        }
    }

    /// Writes its pid where it belongs; where it cannot is among what there is to say of it.
    pub(super) fn write_pid_files(&mut self) {
        let mut record = self.record.borrow_mut();
        record.warnings.retain(|warning| !warning.starts_with(pid_file::BEGINS));
        let Some(pid) = self.main else { return };
        let wrong = self.pid_files.iter().filter_map(|path| pid_file::write(path, pid).err());
        record.warnings.extend(wrong.map(|error| error.to_string()));
    }

    pub(super) fn remove_pid_files(&mut self) {
        let Some(pid) = self.main else { return };
        self.pid_files.iter().for_each(|path| pid_file::remove(path, pid));
    }

    /// Its record is to be written; `durable`: so that it survives a loss of power.
    pub(super) fn touch(&mut self, durable: bool) {
        self.unsaved.set(Some(durable || self.unsaved.get() == Some(true)));
    }
}
