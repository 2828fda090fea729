//! How many services are in which state, by the events: for the status line, and to know when
//! nothing is left to do. Pure.

use std::collections::BTreeMap;

use crate::model::ServiceId;
use crate::model::service::{Event, EventKind, ServiceReport, ServiceState};

/// The states of all services.
#[derive(Debug, Default)]
pub(super) struct Tally {
    states: BTreeMap<ServiceId, ServiceState>,
    /// Some service has been alive.
    was_busy: bool,
}

impl Tally {
    /// As these reports say.
    pub(super) fn reset(&mut self, reports: &[ServiceReport]) {
        self.states = reports.iter().map(|report| (report.id.clone(), report.state)).collect();
        self.was_busy |= !self.nothing_runs();
    }

    /// After this event. Whether anything of it changed.
    pub(super) fn apply(&mut self, event: &Event) -> bool {
        let before = match &event.kind {
            EventKind::Removed => self.states.remove(&event.id),
            EventKind::Added => self.states.insert(event.id.clone(), ServiceState::Stopped),
            EventKind::State { to, .. } => self.states.insert(event.id.clone(), *to),
            EventKind::Adopted => self.states.insert(event.id.clone(), ServiceState::Running),
            _ => return false,
        };
        self.was_busy = self.was_busy || !self.nothing_runs();
        before != self.states.get(&event.id).copied()
    }

    /// Whether something ran, and now nothing does nor will by itself.
    pub(super) fn is_done(&self) -> bool {
        self.was_busy && self.nothing_runs()
    }

    /// Whether nothing runs, nor will by itself.
    pub(super) fn nothing_runs(&self) -> bool {
        !self.states.values().any(|state| state.is_alive() || *state == ServiceState::Restarting)
    }

    /// `3 services: 2 running, 1 failed`.
    pub(super) fn line(&self) -> String {
        use ServiceState::{Done, Failed, Restarting, Running, Starting, Stopped, Stopping};
        let number = self.states.len();
        let parts = [Running, Starting, Restarting, Stopping, Failed, Stopped, Done].into_iter().filter_map(|state| {
            let n = self.states.values().filter(|other| **other == state).count();
            (n > 0).then(|| format!("{n} {state}"))
        });
        let parts: Vec<String> = parts.collect();
        match number {
            0 => "no services".to_owned(),
            1 => format!("1 service: {}", parts.join(", ")),
            _ => format!("{number} services: {}", parts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_and_knows_when_nothing_is_left() {
        let mut tally = Tally::default();
        let event =
            |id: &str, kind| Event { seq: 0, at: String::new(), id: id.parse().unwrap(), kind, message: String::new() };
        let state = |id, to| event(id, EventKind::State { from: ServiceState::Stopped, to, pid: None });
        assert_eq!((tally.line().as_str(), tally.is_done()), ("no services", false));
        assert!(tally.apply(&event("a", EventKind::Added)));
        assert!(!tally.is_done(), "nothing has run yet");
        assert!(tally.apply(&state("a", ServiceState::Running)));
        assert!(!tally.apply(&event("a", EventKind::Ready)));
        assert!(tally.apply(&event("b", EventKind::Adopted)));
        assert_eq!(tally.line(), "2 services: 2 running");
        tally.apply(&state("a", ServiceState::Restarting));
        tally.apply(&event("b", EventKind::Removed));
        assert!(!tally.is_done(), "it will run again");
        tally.apply(&state("a", ServiceState::Failed));
        assert_eq!((tally.line().as_str(), tally.is_done()), ("1 service: 1 failed", true));
    }
}
