//! What a service says of itself, kept until it is told: no service says so much that nothing else is heard.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::Inner;
use crate::backend::What;
use crate::model::ServiceId;

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
        let Some(at) = run.said.wait() else { return };
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
