//! How much of the daemon one user may take, so that the others are served. Pure.

use std::collections::{HashMap, VecDeque};

/// Calls of one user that are answered at the same time.
const CALLS: usize = 16;
/// Calls of one user that wait for their turn.
const WAITING: usize = 112;

/// Whose calls are under way, and whose wait.
#[derive(Debug)]
pub(super) struct Quota<T> {
    users: HashMap<u32, User<T>>,
}

#[derive(Debug)]
struct User<T> {
    busy: usize,
    waiting: VecDeque<T>,
}

/// What becomes of a call that has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn<T> {
    /// It is answered now; [`Quota::over`] follows.
    Now(T),
    /// It waits.
    Later,
    /// There are too many of this user's.
    Refused(T),
}

impl<T> Default for Quota<T> {
    fn default() -> Self {
        Self { users: HashMap::new() }
    }
}

impl<T> Quota<T> {
    /// A call has come.
    pub(super) fn take(&mut self, uid: u32, call: T) -> Turn<T> {
        let user = self.users.entry(uid).or_insert_with(|| User { busy: 0, waiting: VecDeque::new() });
        if user.busy < CALLS {
            user.busy += 1;
            return Turn::Now(call);
        }
        if user.waiting.len() < WAITING {
            user.waiting.push_back(call);
            return Turn::Later;
        }
        Turn::Refused(call)
    }

    /// A call was answered: the next one of this user, if one waits, is answered now.
    pub(super) fn over(&mut self, uid: u32) -> Option<T> {
        let user = self.users.get_mut(&uid)?;
        if let Some(next) = user.waiting.pop_front() {
            return Some(next);
        }
        user.busy = user.busy.saturating_sub(1);
        if user.busy == 0 {
            self.users.remove(&uid);
        }
        None
    }

    /// Forgets those of a user that wait and that `gone` speaks of.
    pub(super) fn forget(&mut self, uid: u32, gone: impl Fn(&T) -> bool) {
        if let Some(user) = self.users.get_mut(&uid) {
            user.waiting.retain(|call| !gone(call));
        }
    }

    /// Whether nothing is under way.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_takes_no_other_ones_turn() {
        let mut quota = Quota::default();
        let mut answered = 0;
        let turns: Vec<Turn<u32>> = (0..10_000).map(|n| quota.take(1000, n)).collect();
        for turn in &turns {
            answered += usize::from(matches!(turn, Turn::Now(_)));
        }
        assert_eq!(answered, CALLS);
        assert_eq!(turns.iter().filter(|turn| matches!(turn, Turn::Later)).count(), WAITING);
        assert_eq!(quota.take(1001, 1), Turn::Now(1));
        assert_eq!(quota.over(1001), None);
        // The first that waits comes next, and those of a client that has gone never do.
        assert_eq!(quota.over(1000), Some(16));
        quota.forget(1000, |n| *n < 127);
        assert_eq!(quota.over(1000), Some(127));
        assert!((0..CALLS).all(|_| quota.over(1000).is_none()));
        assert!(quota.is_idle());
    }
}
