//! One run, from its beginning to when nothing of it is left, and what comes after it.

use std::time::Duration;

use super::phase::{Launching, Phase, Running, Why};
use super::{CHECK_GRACE, Effect, Effects, Event, Machine};
use crate::model::Signal;
use crate::model::service::{Desired, Exit};

impl Machine {
    pub(super) fn started(&mut self, now: Duration, early: Launching, out: &mut Effects) {
        if std::mem::take(&mut self.again) {
            self.counts.restarts += 1;
        }
        self.run_from(now, early.ready, out);
        let run = self.run;
        if let Some(exit) = early.exit {
            self.step(now, Event::Exited { run, exit }, out);
        }
        if early.stopped_by_others {
            self.step(now, Event::StoppedByOthers { run }, out);
        }
        if let Some(force) = early.stop.filter(|_| matches!(self.phase, Phase::Running(_))) {
            // A restart that was asked for meanwhile ends this run and begins another.
            self.again = self.counts.desired == Desired::Up;
            self.down(now, Why::Asked, force, out);
        }
    }

    /// It runs from now on.
    pub(super) fn run_from(&mut self, now: Duration, ready: bool, out: &mut Effects) {
        let until = self.settings.ready.map(|timeout| now + timeout + CHECK_GRACE);
        let until = until.filter(|_| !self.settings.oneshot);
        self.enter(
            Phase::Running(Running { started: now, before: Duration::ZERO, ready: None, well: None, until }),
            out,
        );
        if self.settings.oneshot {
            // It is when it has ended.
            return;
        }
        if ready || until.is_none() {
            self.ready(now, out);
        } else {
            out.push(Effect::AwaitReady { run: self.run });
        }
    }

    pub(super) fn ready(&mut self, now: Duration, out: &mut Effects) {
        if let Phase::Running(running) = &mut self.phase {
            (running.ready, running.until) = (Some(now), None);
            if !self.settings.looked_at {
                self.well(now);
            }
        }
        // The state is told before what is said of it.
        self.tell(out);
        out.push(Effect::BecameReady);
    }

    /// It does its work from now on: in a while its failures are forgotten.
    pub(super) fn well(&mut self, now: Duration) {
        if let Phase::Running(running) = &mut self.phase {
            running.well = Some(now);
            running.until = (self.counts.failures > 0).then(|| now + self.settings.restart.reset_after.0);
        }
    }

    /// It is stopped, to be started again.
    pub(super) fn not_well(&mut self, now: Duration, why: String, out: &mut Effects) {
        self.counts.last_error = Some(why);
        self.down(now, Why::NotReady, false, out);
    }

    /// The first step down: the first rung of the ladder, or SIGKILL at once.
    pub(super) fn down(&mut self, now: Duration, why: Why, force: bool, out: &mut Effects) {
        out.push(Effect::Cancel);
        match self.settings.stop.0.first() {
            Some(first) if !force && first.signal != Signal::KILL => {
                let (signal, until) = (first.signal, now + first.wait);
                self.enter(Phase::Stopping { rung: 0, until, why, exit: None }, out);
                out.push(Effect::Stop { run: self.run, signal });
            }
            _ => self.clear(why, None, out),
        }
    }

    pub(super) fn clear(&mut self, why: Why, exit: Option<Exit>, out: &mut Effects) {
        self.enter(Phase::Clearing { why, exit, cleared: None }, out);
        out.push(Effect::Clear { run: self.run });
    }

    /// It ended by itself. One that never got ready has not done what it was there for, however it ended.
    pub(super) fn ended(&mut self, exit: Exit, healthy: bool, when: &str, ready: bool, out: &mut Effects) {
        if self.counts.desired == Desired::Up {
            let by = if matches!(exit, Exit::Signal(_)) { "by" } else { "with" };
            let before = if ready { "" } else { ", before it was ready" };
            self.counts.last_error = Some(format!("ended {by} {exit} {when}{before}"));
        }
        let why = if ready || !exit.is_success() { Why::Ended { exit, healthy } } else { Why::NotReady };
        self.clear(why, Some(exit), out);
    }

    /// Nothing of the run is left: what comes now?
    pub(super) fn settle(&mut self, now: Duration, out: &mut Effects) {
        let Phase::Clearing { why, .. } = self.phase else { return };
        self.left_over = false;
        if self.counts.desired == Desired::Down {
            return self.enter(Phase::Stopped, out);
        }
        match why {
            Why::Asked => self.begin(out),
            Why::NotReady => self.failed(now, None, self.counts.failures.saturating_add(1), out),
            Why::Ended { exit, healthy } => {
                let failures = self.coming(exit, healthy);
                match (self.starts_again(Some(exit)), exit.is_success()) {
                    (_, true) if self.settings.oneshot => self.done(out),
                    (false, true) => {
                        // It did what it was there for.
                        self.counts.desired = Desired::Down;
                        self.counts.last_error = None;
                        self.enter(Phase::Stopped, out);
                    }
                    _ => self.failed(now, Some(exit), failures, out),
                }
            }
        }
    }

    /// It has run once, and well: for who comes after it, it is ready.
    pub(super) fn done(&mut self, out: &mut Effects) {
        self.counts.failures = 0;
        self.counts.last_error = None;
        self.enter(Phase::Done, out);
        out.push(Effect::BecameReady);
    }

    /// Begins a start, but first kills what could not be killed before.
    pub(super) fn begin_clean(&mut self, out: &mut Effects) {
        if self.left_over { self.clear_left_over(out) } else { self.begin(out) }
    }

    pub(super) fn clear_left_over(&mut self, out: &mut Effects) {
        self.clear(Why::Asked, Some(Exit::Unknown), out);
    }

    pub(super) fn begin(&mut self, out: &mut Effects) {
        self.enter(Phase::Dependencies, out);
        out.push(Effect::AwaitDependencies);
    }

    /// Notes and tells how the main process ended.
    pub(super) fn exited(&mut self, exit: Exit, out: &mut Effects) {
        self.counts.last_exit = Some(exit);
        out.push(Effect::Exited { exit });
    }
}

/// A duration for people: whole seconds from one second on.
pub(super) fn span(duration: Duration) -> String {
    let round = match duration.as_secs() {
        0 => Duration::from_millis(u64::from(duration.subsec_millis())),
        seconds => Duration::from_secs(seconds),
    };
    humantime::format_duration(round).to_string()
}
