//! What is said of services: events with numbers, and their words for people.

use super::Supervisor;
use crate::model::ServiceId;
use crate::model::service::{Event, EventKind, ServiceState};

/// Now, for records and events.
pub(super) fn stamp() -> String {
    humantime::format_rfc3339_millis(crate::clock::now()).to_string()
}

impl Supervisor {
    /// Tells everybody who listens.
    pub(super) fn say(&mut self, id: &ServiceId, kind: EventKind, message: String) {
        match kind {
            EventKind::Warning => tracing::warn!("{id}: {message}"),
            // What goes without saying is said to those who follow the events.
            EventKind::Added => tracing::debug!("{id}: {message}"),
            // That it was taken over is said by then.
            EventKind::State { .. } if self.adopting => tracing::debug!("{id}: {message}"),
            EventKind::Ready if !self.is_checked(id) => tracing::debug!("{id}: {message}"),
            _ => tracing::info!("{id}: {message}"),
        }
        self.seq += 1;
        let event = Event { seq: self.seq, at: stamp(), id: id.clone(), kind, message };
        self.call_hooks(&event);
        // Nobody need listen.
        let _ = self.events.send(event);
    }

    /// Whether it is ready later than it runs.
    fn is_checked(&self, id: &ServiceId) -> bool {
        self.services.get(id).is_some_and(|service| service.record().spec.ready.is_some())
    }

    /// `it runs as pid 5`, `it is to be started again: ended with exit code 1 after 3s`.
    pub(super) fn state_words(&self, id: &ServiceId, to: ServiceState) -> String {
        let Some(service) = self.services.get(id) else { return to.to_string() };
        let machine = &service.machine;
        let because = machine.reason().map_or(String::new(), |reason| format!(": {reason}"));
        match to {
            ServiceState::Running => match service.main {
                Some(pid) => format!("it runs as pid {pid}"),
                None => "it runs".to_owned(),
            },
            ServiceState::Failed => format!("it failed{because}"),
            ServiceState::Restarting => format!("it is to be started again{because}"),
            ServiceState::Starting => "it is being started".to_owned(),
            ServiceState::Stopping if machine.is_over() => format!("it is over{because}"),
            ServiceState::Stopping => format!("it is being stopped{because}"),
            ServiceState::Stopped => "it is stopped".to_owned(),
            ServiceState::Done => "it is done".to_owned(),
        }
    }

    /// Once in a row of failures: there are more of them than its description bears.
    pub(super) fn warn_of_restarts(&mut self, id: &ServiceId) {
        let Some(service) = self.services.get(id) else { return };
        let (failures, bears) = (service.machine.counts().failures, service.record().spec.restart.warn_after);
        if failures == bears.saturating_add(1) {
            let why = service.machine.reason().map_or(String::new(), |why| format!(", the last: {why}"));
            self.say(id, EventKind::Warning, format!("it failed {failures} times in a row{why}"));
        }
    }

    pub(super) fn ready_words(&self, id: &ServiceId) -> String {
        let done = self.services.get(id).is_some_and(|service| service.machine.state() == ServiceState::Done);
        match self.services.get(id).and_then(|service| service.record().port) {
            _ if done => "what comes after it may start".to_owned(),
            Some(port) => format!("it is ready on port {port}"),
            None => "it is ready".to_owned(),
        }
    }
}
