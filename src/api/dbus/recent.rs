//! What happened last, for who asks afterwards.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast::{self, error::RecvError};

use crate::model::service::Event;

/// So much is kept: some hundred bytes each.
const KEPT: usize = 256;

/// The last events; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<VecDeque<Event>>>);

impl Recent {
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
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == KEPT {
            all.pop_front();
        }
        all.push_back(event);
    }

    /// All that is kept, the oldest first.
    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::EventKind;

    #[test]
    fn the_last_are_kept() {
        let recent = Recent::default();
        for seq in 0..300 {
            let (at, message) = (String::new(), String::new());
            recent.push(Event { seq, at, id: "a".parse().unwrap(), kind: EventKind::Ready, message });
        }
        let all = recent.all();
        assert_eq!((all.len(), all[0].seq, all[KEPT - 1].seq), (KEPT, 44, 299));
    }
}
