//! What follows a run, or a start, that failed.

use std::time::Duration;

use super::phase::Phase;
use super::{Effect, Machine};
use crate::backend::StartError;
use crate::model::service::{Desired, Exit, Restart};
use crate::supervise::backoff;

type Effects = Vec<Effect>;

impl Machine {
    /// With so many failures in a row it is given up, or backs off.
    pub(super) fn failed(&mut self, now: Duration, exit: Option<Exit>, failures: u32, out: &mut Effects) {
        self.held_up = 0;
        self.counts.failures = failures;
        let exhausted = failures > 0 && backoff::exhausted(&self.settings.restart, failures);
        if exhausted || !self.starts_again(exit) {
            return self.enter(Phase::Failed, out);
        }
        self.back_off(now, out);
    }

    pub(super) fn back_off(&mut self, now: Duration, out: &mut Effects) {
        let random = self.random();
        let delay = backoff::delay(&self.settings.restart, self.counts.failures, random);
        self.enter(Phase::Backoff { until: now + delay }, out);
        if delay.is_zero() {
            self.again = true;
            self.begin_clean(out);
        }
    }

    pub(super) fn not_started(&mut self, now: Duration, error: StartError, out: &mut Effects) {
        if self.counts.desired == Desired::Down {
            return self.enter(Phase::Stopped, out);
        }
        match error {
            StartError::Permanent(error) => self.fail(error, out),
            StartError::Transient(error) => {
                self.counts.last_error = Some(error);
                self.failed(now, None, self.counts.failures.saturating_add(1), out);
            }
            StartError::Unwritable(error) => {
                self.counts.last_error = Some(error);
                self.hold_up(now, out);
            }
        }
    }

    /// It could not be started through no fault of its own: whatever its policy says of failures, it
    /// is tried again for as long as that takes.
    fn hold_up(&mut self, now: Duration, out: &mut Effects) {
        self.held_up = self.held_up.saturating_add(1);
        let delay = backoff::delay(&Restart::default(), self.held_up, 0.0);
        self.enter(Phase::Backoff { until: now + delay }, out);
    }

    /// It failed, and is not started again.
    pub(super) fn fail(&mut self, error: String, out: &mut Effects) {
        self.counts.failures = self.counts.failures.saturating_add(1);
        self.counts.last_error = Some(error);
        self.enter(Phase::Failed, out);
    }
}
