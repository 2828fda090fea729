//! How a supervisor ends.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Supervisor;
use super::commands::reply;
use crate::gather::Gather as _;
use crate::model::service::{BackendKind, ServiceState};
use crate::model::{Ladder, ServiceId};
use crate::supervise::{Answer, Stop};

/// How long the last small tasks may take: units are let go of, no more.
const LAST: Duration = Duration::from_secs(2);
/// For each of them, because a manager does them one after another; and how long at most in all.
const EACH: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(30);
/// How long it may take until what was killed is gone.
const KILLED: Duration = Duration::from_secs(10);

/// An end that is on its way.
#[derive(Debug)]
pub(super) struct Finishing {
    stop: Stop,
    answers: Vec<Answer<()>>,
}

impl Finishing {
    /// Whether services that are stopped now are to run again with the next daemon.
    pub(super) fn keeps_desire(&self) -> bool {
        matches!(self.stop, Stop::None | Stop::Direct)
    }
}

impl Supervisor {
    pub(super) fn finish(&mut self, stop: Stop, answer: Answer<()>) {
        let finishing = self.finishing.get_or_insert(Finishing { stop, answers: Vec::new() });
        finishing.answers.push(answer);
        // Somebody who asks again may want more of it, and not less.
        let rank = |stop: Stop| match stop {
            Stop::None => 0,
            Stop::Direct => 1,
            Stop::All => 2,
            Stop::Force => 3,
        };
        if rank(stop) > rank(finishing.stop) {
            finishing.stop = stop;
        }
        let stop = finishing.stop;
        if stop != Stop::None {
            let ends: BTreeSet<ServiceId> =
                self.services.keys().filter(|id| self.ends_with(id, stop)).cloned().gather();
            self.shared.will_end_within(self.longest_stop(&ends));
            self.stop_all(&ends, stop == Stop::Force);
        }
    }

    /// How long it takes at most to stop these, one after the other.
    fn longest_stop(&self, ids: &BTreeSet<ServiceId>) -> Duration {
        let alive = ids.iter().filter_map(|id| self.services.get(id)).filter(|service| service.machine.is_alive());
        let ladder = |stop: &Ladder| stop.0.iter().map(|rung| rung.wait).sum::<Duration>();
        alive.map(|service| ladder(&service.record().spec.stop) + KILLED).sum()
    }

    /// Whether a service is stopped when the supervisor ends like this.
    fn ends_with(&self, id: &ServiceId, stop: Stop) -> bool {
        match stop {
            Stop::None => false,
            Stop::Direct => {
                let kind = self.services.get(id).and_then(|service| service.record().backend);
                // What is done stays so for the next daemon.
                let done = self.services.get(id).is_some_and(|service| service.machine.state() == ServiceState::Done);
                kind.is_some_and(|kind| kind != BackendKind::Systemd) && !done
            }
            Stop::All | Stop::Force => true,
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finishing.as_ref().is_some_and(|finishing| {
            // What is being executed is known only when that is through.
            self.services.iter().all(|(id, service)| !service.machine.is_alive() || !self.ends_with(id, finishing.stop))
        })
    }

    /// The last things.
    pub(super) async fn end(&mut self) {
        self.save_all();
        let releasing: Vec<_> = std::mem::take(&mut self.releasing).into_values().collect();
        let each = EACH.saturating_mul(u32::try_from(releasing.len()).unwrap_or(u32::MAX));
        let all = crate::join::join_all(releasing);
        if tokio::time::timeout((LAST + each).min(LONGEST), all).await.is_err() {
            tracing::warn!("a backend does not let go of what has stopped");
        }
        for service in self.services.values_mut() {
            service.cancel();
        }
        for answer in self.finishing.take().into_iter().flat_map(|finishing| finishing.answers) {
            reply(answer, Ok(()));
        }
    }
}
