//! Follows the events for the status line and for the end of a daemon with nothing left to do.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;

use super::notify::Notify;
use super::tally::Tally;
use crate::model::service::Event;
use crate::supervise::{Command, Handle, Selection};

/// At least this long between two status lines, and before the end: more may be under way.
const MOMENT: Duration = Duration::from_secs(1);

/// When a daemon with nothing to do ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Never.
    Never,
    /// After its last service has ended.
    AfterLast,
    /// When nothing runs and nobody has asked for anything for this long: the bus starts the next
    /// one for whoever calls.
    Unused(Duration),
}

/// Who may want something of the daemon just now.
pub(super) struct Wanted {
    /// The clients of the control socket.
    pub(super) clients: watch::Receiver<usize>,
    /// The calls over the system bus that are under way.
    pub(super) calls: watch::Receiver<usize>,
}

impl Wanted {
    /// Whether nobody does; what changes from now on is told by [`Self::changed`].
    fn is_nobody(&mut self) -> bool {
        *self.clients.borrow_and_update() == 0 && *self.calls.borrow_and_update() == 0
    }

    /// The error: the daemon has ended.
    async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        tokio::select! {
            changed = self.clients.changed() => changed,
            changed = self.calls.changed() => changed,
        }
    }
}

/// Follows for ever, or until nothing is left to do if the daemon is to end then.
pub(super) async fn follow(
    handle: Handle,
    mut events: broadcast::Receiver<Event>,
    notify: Rc<Notify>,
    leave: Leave,
    mut wanted: Wanted,
) {
    let mut tally = Tally::default();
    if read(&handle, &mut tally).await.is_err() {
        return;
    }
    let mut said = String::new();
    loop {
        if notify.is_heard() {
            let line = match handle.config_errors().as_slice() {
                [] => tally.line(),
                [first, ..] => format!("{}; the config is not applied: {first}", tally.line()),
            };
            if line != said {
                notify.say(&format!("STATUS={line}"));
                said = line;
            }
        }
        let (idle, quiet) = match leave {
            Leave::Never => (false, MOMENT),
            Leave::AfterLast => (tally.is_done(), MOMENT),
            Leave::Unused(quiet) => (tally.nothing_runs(), quiet),
        };
        let changed = if idle {
            let nobody = wanted.is_nobody();
            tokio::select! {
                () = tokio::time::sleep(quiet), if nobody => return,
                // Those that are connected may want to know how it ended.
                changed = wanted.changed() => if changed.is_err() { return } else { Some(false) },
                event = events.recv() => take(event, &handle, &mut tally).await,
            }
        } else {
            take(events.recv().await, &handle, &mut tally).await
        };
        match changed {
            None => return,
            Some(false) => continue,
            Some(true) => {}
        }
        // Many come at once: one line for all of them.
        if notify.is_heard() && !(leave == Leave::AfterLast && tally.is_done()) {
            tokio::time::sleep(MOMENT).await;
        }
        while let Ok(event) = events.try_recv() {
            tally.apply(&event);
        }
    }
}

/// Whether it changed anything; `None`: the supervisor has ended.
async fn take(event: Result<Event, RecvError>, handle: &Handle, tally: &mut Tally) -> Option<bool> {
    match event {
        Ok(event) => Some(tally.apply(&event)),
        Err(RecvError::Lagged(_)) => read(handle, tally).await.ok().map(|()| true),
        Err(RecvError::Closed) => None,
    }
}

async fn read(handle: &Handle, tally: &mut Tally) -> Result<(), crate::supervise::Refusal> {
    let which = Selection::default();
    tally.reset(&handle.ask(|answer| Command::Report { which, resources: false, answer }).await?);
    Ok(())
}
