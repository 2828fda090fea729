//! How many starts are under way at once. What is made for a start, and its stack until the
//! program is executed, is needed as often as that, and not once for each of thousands.

use std::collections::{BTreeSet, VecDeque};

use crate::model::ServiceId;

/// Enough to keep a manager, or all processors, busy.
const AT_ONCE: usize = 100;

/// Who begins together: the manager has something to do while the next are prepared.
const TOGETHER: usize = 8;

/// Who starts, and who comes next.
#[derive(Debug, Default)]
pub(super) struct Turns {
    under_way: BTreeSet<ServiceId>,
    /// How many of them began in this round.
    begun: usize,
    waiting: VecDeque<ServiceId>,
}

impl Turns {
    /// Another round: what was to be done for the last one is under way.
    pub(super) fn round(&mut self) {
        self.begun = 0;
    }

    /// Whether it may start now; else it is among the next.
    pub(super) fn take(&mut self, id: &ServiceId) -> bool {
        let now = self.free() > 0;
        if now {
            self.begun += 1;
            self.under_way.insert(id.clone());
        } else {
            self.waiting.push_back(id.clone());
        }
        now
    }

    /// Its start is through, or given up.
    pub(super) fn over(&mut self, id: &ServiceId) {
        self.under_way.remove(id);
    }

    /// Who comes now. They ask again: what they come after may be gone meanwhile.
    pub(super) fn next(&mut self) -> impl Iterator<Item = ServiceId> {
        let free = self.free();
        self.waiting.drain(..free.min(self.waiting.len()))
    }

    /// Whether anything is being started.
    pub(super) fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Whether somebody waits who need not.
    pub(super) fn is_open(&self) -> bool {
        !self.waiting.is_empty() && self.free() > 0
    }

    /// The same, but for the round.
    pub(super) fn has_next_round(&self) -> bool {
        !self.waiting.is_empty() && self.under_way.len() < AT_ONCE
    }

    fn free(&self) -> usize {
        let of_all = AT_ONCE - self.under_way.len().min(AT_ONCE);
        of_all.min(TOGETHER - self.begun.min(TOGETHER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_who_wait_come_next() {
        let mut turns = Turns::default();
        let id = |n: usize| format!("s{n}").parse::<ServiceId>().unwrap();
        let mut started = (0..AT_ONCE + 3).filter(|n| turns.take(&id(*n))).count();
        assert_eq!((started, turns.next().count(), turns.has_next_round()), (TOGETHER, 0, true));
        while turns.has_next_round() {
            turns.round();
            assert!(turns.is_open());
            let next: Vec<ServiceId> = turns.next().collect();
            started += next.iter().filter(|id| turns.take(id)).count();
        }
        turns.round();
        assert_eq!((started, turns.next().count()), (AT_ONCE, 0));
        turns.over(&id(5));
        turns.over(&id(6));
        turns.over(&id(7_000));
        assert_eq!(turns.next().collect::<Vec<_>>(), [id(AT_ONCE), id(AT_ONCE + 1)]);
    }
}
