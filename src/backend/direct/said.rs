//! What a service says of itself, kept until it is told: no service says so much that nothing else is heard.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Inner, Run};
use crate::backend::What;
use crate::model::ServiceId;
use crate::sys::spawn::Own;

/// How long it is at least between two times that the same service is told of.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// What a run has said.
#[derive(Debug, Default)]
pub(super) struct Said {
    ready: bool,
    /// The status that was told last.
    told: String,
    /// What is to be told.
    status: Option<String>,
    alive: bool,
    /// The process that it named as its main one, until that is seen to.
    main: Option<u32>,
    /// When that may be.
    next: Option<Instant>,
    /// A task waits for it.
    waits: bool,
}

impl Said {
    /// Takes one line; whether it is to be told at once: READY=1 is, and once.
    fn take(&mut self, line: &[u8]) -> bool {
        match line {
            b"READY=1" => return !std::mem::replace(&mut self.ready, true),
            b"WATCHDOG=1" => self.alive = true,
            _ => {
                if let Some(pid) = line.strip_prefix(b"MAINPID=") {
                    self.main = std::str::from_utf8(pid).ok().and_then(|pid| pid.trim().parse().ok());
                }
                if let Some(status) = line.strip_prefix(b"STATUS=") {
                    self.status = Some(crate::text::clip(&String::from_utf8_lossy(status)).to_string());
                }
            }
        }
        false
    }

    /// When the rest is to be told, if nobody waits for that already.
    fn wait(&mut self) -> Option<Instant> {
        let begins = (self.alive || self.status.is_some()) && !std::mem::replace(&mut self.waits, true);
        begins.then(|| self.next.unwrap_or_else(Instant::now))
    }

    /// What is to be told now.
    fn tell(&mut self) -> Vec<What> {
        self.waits = false;
        self.next = Some(Instant::now() + PAUSE);
        let alive = std::mem::take(&mut self.alive).then_some(What::Alive);
        let status = self.status.take().filter(|status| *status != self.told);
        if let Some(status) = &status {
            self.told.clone_from(status);
        }
        alive.into_iter().chain(status.map(What::Status)).collect()
    }
}

impl Inner {
    /// The process that it has named is its main one from now on, if it is one of its own. Before it was seen that it
    /// was executed this waits.
    pub(super) fn take_main(self: &Rc<Self>, id: &ServiceId) {
        let named = |run: &mut Run| Some((run.number, run.identity, run.said.main.take()?));
        let is_followed = |run: &&mut Run| run.watch.is_some() && run.ended.get().is_none();
        let Some((number, before, pid)) = self.runs.borrow_mut().get_mut(id).filter(is_followed).and_then(named) else {
            return;
        };
        let Ok((identity, pidfd)) = self.proc.identify(pid) else { return };
        if pid == before.pid || !super::tree::is_of(self, id, pid) {
            return;
        }
        // Its parent may end before it: then it is a child of ours, and nobody else is to wait for it.
        let own = Own::new(pid);
        if let Some(run) = self.runs.borrow_mut().get_mut(id) {
            (run.identity, run.pidfd) = (identity, Rc::new(pidfd));
        }
        let mut mains = self.mains.borrow_mut();
        mains.remove(&before.pid);
        mains.insert(pid, id.clone());
        drop(mains);
        self.watch(id, Some(own));
        self.tell(id, number, What::Main(identity));
    }

    /// Takes what a service says, and tells it now or soon.
    pub(super) fn says(self: &Rc<Self>, id: &ServiceId, message: &[u8]) {
        let mut runs = self.runs.borrow_mut();
        let Some(run) = runs.get_mut(id) else { return };
        let number = run.number;
        for line in message.split(|byte| *byte == b'\n') {
            if run.said.take(line) {
                self.tell(id, number, What::Ready);
            }
        }
        let wait = run.said.wait();
        drop(runs);
        self.take_main(id);
        let Some(at) = wait else { return };
        let (inner, id) = (Rc::downgrade(self), id.clone());
        crate::tasks::spawn_local(async move {
            tokio::time::sleep_until(at).await;
            let Some(inner) = inner.upgrade() else { return };
            let told =
                inner.runs.borrow_mut().get_mut(&id).filter(|run| run.number == number).map(|run| run.said.tell());
            told.into_iter().flatten().for_each(|what| inner.tell(&id, number, what));
        });
    }
}
