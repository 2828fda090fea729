//! Follows the events for the status line and for the end of a daemon with nothing left to do.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};

use super::notify::Notify;
use super::tally::Tally;
use crate::model::service::Event;
use crate::supervise::{Command, Handle, Selection};

/// At least this long between two status lines, and before the end: more may be under way.
const MOMENT: Duration = Duration::from_secs(1);

/// Follows for ever, or until nothing is left to do if the daemon is to end then.
pub(super) async fn follow(
    handle: Handle,
    mut events: broadcast::Receiver<Event>,
    notify: Rc<Notify>,
    exit_when_idle: bool,
    clients: tokio::sync::watch::Receiver<usize>,
) {
    let mut tally = Tally::default();
    if read(&handle, &mut tally).await.is_err() {
        return;
    }
    let mut said = String::new();
    loop {
        if notify.is_heard() {
            let line = tally.line();
            if line != said {
                notify.say(&format!("STATUS={line}"));
                said = line;
            }
        }
        let mut changed = false;
        if exit_when_idle && tally.is_done() && *clients.borrow() == 0 {
            match tokio::time::timeout(MOMENT, events.recv()).await {
                Err(_) if *clients.borrow() == 0 => return,
                Err(_) => {}
                Ok(event) => changed |= take(event, &handle, &mut tally).await.unwrap_or_default(),
            }
        } else if exit_when_idle && tally.is_done() {
            // Those that are connected may want to know how it ended.
            let mut clients = clients.clone();
            tokio::select! {
                gone = clients.wait_for(|clients| *clients == 0) => if gone.is_err() { return },
                event = events.recv() => match take(event, &handle, &mut tally).await {
                    Some(news) => changed |= news,
                    None => return,
                },
            }
        } else {
            match take(events.recv().await, &handle, &mut tally).await {
                Some(news) => changed |= news,
                None => return,
            }
        }
        if !changed {
            continue;
        }
        // Many come at once: one line for all of them.
        if notify.is_heard() && !(exit_when_idle && tally.is_done()) {
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
