//! Follows the events for the status line and for the end of a daemon with nothing left to do.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::notify::Notify;
use super::tally::Tally;
use crate::model::service::Event;
use crate::supervise::{Command, Handle, Selection};

/// At least this long between two status lines, and before the end: more may be under way.
const MOMENT: Duration = Duration::from_secs(1);

/// For so long a daemon that was started for something waits for that.
const UNUSED: Duration = Duration::from_secs(10);

/// When a daemon with nothing to do ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Never.
    Never,
    /// After its last service has ended, or if in a while there is none.
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
    /// What takes clients in. It ends before the daemon leaves: who comes later finds none, and starts the next.
    pub(super) door: AbortHandle,
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
    let mut said = String::new();
    let mut missed = true;
    loop {
        if catch_up(&mut events, missed, &handle, &mut tally).await.is_none() {
            return;
        }
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
            Leave::AfterLast => (tally.nothing_runs(), if tally.is_done() { MOMENT } else { UNUSED }),
            Leave::Unused(quiet) => (tally.nothing_runs(), quiet),
        };
        let event = if idle {
            let nobody = wanted.is_nobody();
            tokio::select! {
                () = tokio::time::sleep(quiet), if nobody => match wanted.is_nobody() {
                    true => return wanted.door.abort(),
                    // They came in the same moment.
                    false => continue,
                },
                // Those that are connected may want to know how it ended.
                changed = wanted.changed() => if changed.is_err() { return } else { continue },
                event = events.recv() => event,
            }
        } else {
            events.recv().await
        };
        missed = matches!(event, Err(RecvError::Lagged(_)));
        let changed = match event {
            Ok(event) => tally.apply(&event),
            Err(RecvError::Lagged(_)) => true,
            Err(RecvError::Closed) => return,
        };
        // Many come at once: one line for all of them.
        let tells = notify.is_heard() && !(leave == Leave::AfterLast && tally.is_done());
        if changed && (tells || missed) {
            tokio::time::sleep(MOMENT).await;
        }
    }
}

/// Takes all that is there. What was missed is asked for once, and not told again by what comes after it.
///
/// Where more happens than is kept, asking at once would miss the next events, and ask again: with each of
/// thousands of services that are started.
async fn catch_up(
    events: &mut broadcast::Receiver<Event>,
    mut missed: bool,
    handle: &Handle,
    tally: &mut Tally,
) -> Option<()> {
    loop {
        if std::mem::take(&mut missed) {
            *events = events.resubscribe();
            read(handle, tally).await.ok()?;
        }
        match events.try_recv() {
            Ok(event) => {
                tally.apply(&event);
            }
            Err(TryRecvError::Lagged(_)) => {
                missed = true;
                tokio::time::sleep(MOMENT).await;
            }
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(()),
        }
    }
}

async fn read(handle: &Handle, tally: &mut Tally) -> Result<(), crate::supervise::Refusal> {
    let which = Selection::default();
    tally.reset(&handle.ask(|answer| Command::Report { which, resources: false, answer }).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::net::UnixDatagram;

    use tokio::sync::mpsc;
    use tokio::task::LocalSet;

    use super::*;
    use crate::model::service::{EventKind, ServiceReport, ServiceSpec, ServiceState};

    /// As many events are kept for who reads slowly.
    const KEPT: usize = 4;

    fn event(id: &str, kind: EventKind) -> Event {
        Event { seq: 0, at: String::new(), id: id.parse().unwrap(), kind, message: String::new() }
    }

    fn report(state: ServiceState) -> ServiceReport {
        let spec = ServiceSpec::new("a".parse().unwrap(), vec!["x".to_owned()], "/".into());
        ServiceReport { state, ..crate::services::of_spec(&spec) }
    }

    fn door() -> AbortHandle {
        crate::tasks::spawn_local(std::future::pending()).abort_handle()
    }

    #[test]
    fn it_stays_for_who_comes_in_the_last_moment_and_takes_nobody_in_after_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            // Which of two things of one moment is seen first is left to chance.
            for _ in 0..20 {
                let (sender, mut commands) = mpsc::channel(1);
                let (events, all) = broadcast::channel(KEPT);
                let handle = Handle::new(sender, events.clone());
                let (come, clients) = watch::channel(0);
                let (_calls, calls) = watch::channel(0);
                crate::tasks::spawn_local(async move {
                    while let Some(Command::Report { answer, .. }) = commands.recv().await {
                        let _ = answer.send(Ok(Vec::new()));
                    }
                });
                let coming = crate::tasks::spawn_local(async move {
                    tokio::time::sleep(MOMENT).await;
                    come.send_replace(1);
                    tokio::time::sleep(MOMENT).await;
                    come.send_replace(0);
                    std::future::pending::<()>().await;
                });
                let _coming = crate::tasks::AbortOnDrop(coming);
                let open = door();
                let wanted = Wanted { clients, calls, door: open.clone() };
                let begun = tokio::time::Instant::now();
                let left = follow(handle, all, Rc::new(Notify::default()), Leave::Unused(MOMENT), wanted);
                crate::tasks::spawn_local(left).await.unwrap();
                assert_eq!(begun.elapsed(), 3 * MOMENT);
                tokio::task::yield_now().await;
                assert!(open.is_finished(), "it would let somebody in, and go");
            }
        });
    }

    #[test]
    fn what_was_missed_while_it_rested_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let heard = || {
            let mut line = [0; 100];
            let length = listener.recv(&mut line).unwrap();
            String::from_utf8(line[..length].to_vec()).unwrap()
        };
        let (sender, mut commands) = mpsc::channel(1);
        let (events, all) = broadcast::channel(KEPT);
        let handle = Handle::new(sender, events.clone());
        let state = Rc::new(Cell::new(ServiceState::Running));
        let is = Rc::clone(&state);
        let (_clients, clients) = watch::channel(0);
        let (_calls, calls) = watch::channel(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            crate::tasks::spawn_local(async move {
                while let Some(Command::Report { answer, .. }) = commands.recv().await {
                    let _ = answer.send(Ok(vec![report(is.get())]));
                }
            });
            let notify = Rc::new(Notify::new(Some(&path)));
            let wanted = Wanted { clients, calls, door: door() };
            let followed = crate::tasks::spawn_local(follow(handle, all, notify, Leave::AfterLast, wanted));
            tokio::time::sleep(MOMENT).await;
            assert_eq!(heard(), "STATUS=1 service: 1 running");
            events.send(event("b", EventKind::Added)).unwrap();
            tokio::time::sleep(MOMENT / 2).await;
            // While it rests more happens than is kept: the end of the last one is lost.
            let to = ServiceState::Stopped;
            state.set(to);
            events.send(event("a", EventKind::State { from: ServiceState::Running, to, pid: None })).unwrap();
            for _ in 0..=KEPT {
                events.send(event("a", EventKind::Ready)).unwrap();
            }
            let ended = tokio::time::timeout(60 * MOMENT, followed).await;
            assert!(ended.is_ok(), "nothing runs, and it stays");
            assert_eq!(heard(), "STATUS=1 service: 1 stopped");
        });
    }

    #[test]
    fn what_is_missed_all_the_time_is_asked_for_now_and_then() {
        let (sender, mut commands) = mpsc::channel(1);
        let (events, all) = broadcast::channel(KEPT);
        let handle = Handle::new(sender, events.clone());
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        let (_clients, clients) = watch::channel(0);
        let (_calls, calls) = watch::channel(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            crate::tasks::spawn_local(async move {
                while let Some(Command::Report { answer, .. }) = commands.recv().await {
                    count.set(count.get() + 1);
                    let _ = answer.send(Ok(vec![report(ServiceState::Running)]));
                }
            });
            let wanted = Wanted { clients, calls, door: door() };
            let followed = follow(handle, all, Rc::new(Notify::default()), Leave::Never, wanted);
            let _followed = crate::tasks::AbortOnDrop(crate::tasks::spawn_local(followed));
            for _ in 0..1000 {
                (0..=KEPT).for_each(|_| drop(events.send(event("a", EventKind::Ready))));
                tokio::time::sleep(MOMENT / 100).await;
            }
        });
        assert!((5..=11).contains(&asked.get()), "asked {} times in ten moments", asked.get());
    }
}
