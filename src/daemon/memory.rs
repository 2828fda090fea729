//! Memory that a burst of work needed is given back once it is over: thousands of starts, the
//! answer to a long list, the code of a start. Who does little costs nothing.

use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

use crate::model::service::Event;

/// Work is over when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(300);
/// And its last traces, after so long; the search for orphans at the start is over, too.
const SETTLED: Duration = Duration::from_secs(1);
/// Fewer events than this are no burst.
const MANY: u32 = 64;

/// Looks on as long as there are events. What is known of the start of the daemon itself is the
/// first burst.
pub(super) async fn give_back(mut events: broadcast::Receiver<Event>, mut clients: watch::Receiver<usize>) {
    let (mut much, mut settled) = (MANY, false);
    loop {
        if much >= MANY {
            while let Ok(true) = timeout(QUIET, one(&mut events, &mut clients)).await.map(|one| one.is_some()) {}
            crate::sys::memory::give_back();
            crate::sys::memory::unmap_files();
            (much, settled) = (0, false);
        }
        let next = match settled {
            true => one(&mut events, &mut clients).await,
            // What a burst leaves behind, such as files that are synced, takes a moment more.
            false => match timeout(SETTLED, one(&mut events, &mut clients)).await {
                Ok(next) => next,
                Err(_) => {
                    crate::sys::memory::unmap_files();
                    settled = true;
                    continue;
                }
            },
        };
        match next {
            Some(more) => much = much.saturating_add(more),
            None => return,
        }
    }
}

/// Waits for something that takes memory, and says how much of a burst it is; `None`: the end.
async fn one(events: &mut broadcast::Receiver<Event>, clients: &mut watch::Receiver<usize>) -> Option<u32> {
    tokio::select! {
        event = events.recv() => match event {
            Err(broadcast::error::RecvError::Closed) => None,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => Some(1),
        },
        // Somebody has come or gone: answers may be large.
        changed = clients.changed() => changed.ok().map(|()| MANY / 2),
    }
}
