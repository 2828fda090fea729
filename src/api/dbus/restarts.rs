//! Several who want the same service restarted at once get one restart: one that began after a call
//! had come is what that call asked for, however long polkit took to allow it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::Fault;
use super::serve::Api;
use super::system::Permit;
use crate::model::ServiceId;
use crate::supervise::{Command, Selection};

/// When which service was last restarted, counted in calls.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    calls: AtomicU64,
    last: Mutex<HashMap<ServiceId, u64>>,
}

impl Restarts {
    /// A call has come: its number.
    pub(super) fn arrived(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Those of these that were not restarted since the call with this number came. They count as
    /// restarted from now on.
    fn due(&self, arrived: u64, ids: Vec<ServiceId>) -> Vec<ServiceId> {
        let now = self.calls.load(Ordering::Relaxed);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = ids.into_iter().filter(|id| last.get(id).is_none_or(|last| *last <= arrived));
        let due: Vec<ServiceId> = due.collect();
        last.extend(due.iter().map(|id| (id.clone(), now)));
        due
    }

    fn forget(&self, ids: &[ServiceId]) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|id, _| !ids.contains(id));
    }
}

/// Restarts these, or has them restarted already.
pub(super) async fn restart(
    api: &Api,
    arrived: u64,
    permit: &Permit,
    which: Selection,
) -> Result<Vec<(ServiceId, bool)>, Fault> {
    let all = api.handle.ask(|answer| Command::Report { which, resources: false, answer }).await?;
    let all: Vec<ServiceId> = all.into_iter().map(|report| report.id).collect();
    let due = api.restarts.due(arrived, all.clone());
    if !due.is_empty() {
        let which = Selection { ids: due.clone(), project: None };
        let done = api.handle.ask(|answer| permit.bound(Command::Restart { which, answer })).await;
        if let Err(refusal) = done {
            api.restarts.forget(&due);
            return Err(refusal.into());
        }
    }
    Ok(all.into_iter().map(|id| (id, true)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_restart_is_enough_for_all_who_had_asked() {
        let restarts = Restarts::default();
        let (a, b): (ServiceId, ServiceId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let (first, second) = (restarts.arrived(), restarts.arrived());
        assert_eq!(restarts.due(second, vec![a.clone()]), std::slice::from_ref(&a));
        assert_eq!(restarts.due(first, vec![a.clone(), b.clone()]), std::slice::from_ref(&b));
        // Whoever asks afterwards wants it once more.
        let third = restarts.arrived();
        assert_eq!(restarts.due(third, vec![a.clone()]), std::slice::from_ref(&a));
        restarts.forget(std::slice::from_ref(&b));
        assert_eq!(restarts.due(first, vec![b.clone()]), [b]);
    }
}
