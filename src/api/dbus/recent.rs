//! What happened last, for who asks afterwards.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::model::service::Event;

/// So much is kept: some hundred bytes each.
const KEPT: usize = 256;

/// The most that is read of what the program before this one has left.
const MOST: u64 = 16 << 20;

/// The last events, and in which run of the daemon they have their numbers; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    run: Arc<str>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The number of the last one.
    seq: u64,
    events: VecDeque<Event>,
}

/// What a program leaves the next one.
#[derive(Debug, Serialize, Deserialize)]
struct Left {
    run: String,
    seq: u64,
    events: VecDeque<Event>,
}

impl Recent {
    /// Those of a run that begins, or goes on: a daemon that executes its program anew goes on counting.
    pub(crate) fn after(left: Option<File>) -> Self {
        let left = left.and_then(|mut file| {
            let mut text = Vec::new();
            file.rewind().and_then(|()| file.take(MOST).read_to_end(&mut text)).ok()?;
            serde_json::from_slice::<Left>(&text).ok()
        });
        match left {
            Some(Left { run, seq, events }) => {
                Self { run: run.into(), kept: Arc::new(Mutex::new(Kept { seq, events })) }
            }
            None => {
                let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
                let run = id.ok().and_then(|id| id.get(..8).map(Into::into)).unwrap_or_else(|| "0".into());
                Self { run, kept: Arc::default() }
            }
        }
    }

    /// The same for the next program in this process, in a file without a name.
    pub(crate) fn leave(&self) -> std::io::Result<OwnedFd> {
        let mut file = File::from(rustix::fs::memfd_create("events", MemfdFlags::CLOEXEC)?);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let left = Left { run: self.run.to_string(), seq: kept.seq, events: kept.events.clone() };
        file.write_all(&serde_json::to_vec(&left)?)?;
        Ok(file.into())
    }

    /// The id of the run in which events have their numbers.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// The number of the last one.
    pub(crate) fn seq(&self) -> u64 {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).seq
    }

    /// Keeps what comes, until nothing can come any more.
    pub(crate) async fn keep(self, mut events: broadcast::Receiver<Event>) {
        loop {
            match events.recv().await {
                Ok(event) => self.push(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn push(&self, event: Event) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.seq = event.seq;
        if kept.events.len() == KEPT {
            kept.events.pop_front();
        }
        kept.events.push_back(event);
    }

    /// All that is kept, the oldest first.
    pub(crate) fn all(&self) -> Vec<Event> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).events.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::EventKind;

    #[test]
    fn the_last_are_kept() {
        let recent = Recent::after(None);
        for seq in 0..300 {
            let (at, message) = (String::new(), String::new());
            recent.push(Event { seq, at, id: "a".parse().unwrap(), kind: EventKind::Ready, message });
        }
        let all = recent.all();
        assert_eq!((all.len(), all[0].seq, all[KEPT - 1].seq), (KEPT, 44, 299));
        let next = Recent::after(Some(recent.leave().unwrap().into()));
        assert_eq!((next.run(), next.seq(), next.all()), (recent.run(), 299, all));
        let rubbish = File::from(rustix::fs::memfd_create("rubbish", MemfdFlags::CLOEXEC).unwrap());
        assert_ne!(Recent::after(Some(rubbish)).run(), recent.run());
    }
}
