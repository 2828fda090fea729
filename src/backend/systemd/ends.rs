//! The ends of main processes. The kernel tells them at once, by pidfd; what they mean is asked of
//! the manager, which has seen them before it takes the next call: its handling of SIGCHLD comes
//! before that of its bus.

use std::rc::Rc;
use std::time::Duration;

use super::Shared;
use super::units::Unit;
use crate::model::Identity;
use crate::sys::pidfd::PidFd;
use crate::tasks::AbortOnDrop;

/// How long to wait until a manager that was busy is asked again, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(1));

/// The main process of a unit.
#[derive(Debug)]
pub(super) struct Main {
    pid: u32,
    /// `None`: it had ended before it could be looked at.
    identity: Option<Identity>,
    /// Waits for its end.
    _waits: AbortOnDrop,
}

impl Unit {
    /// Its main process, as far as it is known.
    pub(super) fn identity(&self) -> Option<Identity> {
        let pid = self.life.borrow().status.main_pid;
        self.main.borrow().as_ref().filter(|main| main.pid == pid)?.identity
    }
}

impl Shared {
    /// Waits from now on for the end of the main process that the manager names.
    pub(super) fn hold(self: &Rc<Self>, unit: &Rc<Unit>) {
        let pid = unit.life.borrow().status.main_pid;
        if pid == 0 || unit.main.borrow().as_ref().is_some_and(|main| main.pid == pid) {
            return;
        }
        let (identity, pidfd) = self.proc.identify(pid).ok().unzip();
        // Its number may have become that of another process since the manager named it.
        let own = self.processes(&unit.id).contains(&pid);
        let (shared, of) = (Rc::clone(self), Rc::clone(unit));
        let waits = crate::tasks::spawn_local(async move { shared.wait_for(&of, pid, pidfd, own).await });
        let (identity, _waits) = (identity.filter(|_| own), AbortOnDrop(waits));
        unit.main.replace(Some(Main { pid, identity, _waits }));
    }

    async fn wait_for(self: &Rc<Self>, unit: &Rc<Unit>, pid: u32, pidfd: Option<PidFd>, own: bool) {
        // While the manager calls it the main process, it was not waited for, and its number is its own.
        let still = own || self.read(unit).await.is_ok_and(|change| change.main_pid == Some(pid));
        if let Some(pidfd) = pidfd.filter(|_| still)
            && let Err(error) = pidfd.ended().await
        {
            tracing::warn!(unit = %unit.name, %error, "the end of its main process is looked for");
        }
        let (mut pause, longest) = AGAIN;
        loop {
            let version = unit.life.borrow().version;
            match self.read_end(unit).await {
                // A signal that came meanwhile may be newer than what was read.
                Ok(_) if unit.life.borrow().version != version => {}
                Ok(change) => self.changed(unit, change),
                Err(error) => tracing::debug!(unit = %unit.name, %error, "its end cannot be read yet"),
            }
            if unit.life.borrow().is_over(pid) {
                unit.unready.take();
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}
