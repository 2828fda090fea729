//! How many starts are under way at once. What is made for a start, and its stack until the
//! program is executed, is needed as often as that, and not once for each of thousands.

use std::collections::{BTreeSet, VecDeque};

use crate::model::ServiceId;

/// Enough to keep a manager, or all processors, busy.
const AT_ONCE: usize = 100;

/// Who starts, and who comes next.
#[derive(Debug, Default)]
pub(super) struct Turns {
    under_way: BTreeSet<ServiceId>,
    waiting: VecDeque<ServiceId>,
}

impl Turns {
    /// Whether it may start now; else it is among the next.
    pub(super) fn take(&mut self, id: &ServiceId) -> bool {
        let now = self.under_way.len() < AT_ONCE;
        if now {
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
        let free = AT_ONCE - self.under_way.len().min(AT_ONCE);
        self.waiting.drain(..free.min(self.waiting.len()))
    }

    /// Whether anything is being started.
    pub(super) fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Whether somebody waits who need not.
    pub(super) fn is_open(&self) -> bool {
        !self.waiting.is_empty() && self.under_way.len() < AT_ONCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_who_wait_come_next() {
        let mut turns = Turns::default();
        let id = |n: usize| format!("s{n}").parse::<ServiceId>().unwrap();
        let started = (0..AT_ONCE + 3).filter(|n| turns.take(&id(*n))).count();
        assert_eq!((started, turns.next().count()), (AT_ONCE, 0));
        turns.over(&id(5));
        turns.over(&id(6));
        turns.over(&id(7_000));
        assert_eq!(turns.next().collect::<Vec<_>>(), [id(AT_ONCE), id(AT_ONCE + 1)]);
    }
}
