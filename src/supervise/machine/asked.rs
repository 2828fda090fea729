//! What is asked of a service, by its owner or past the daemon, and what it was found to be.

use std::time::Duration;

use super::phase::{Phase, Why};
use super::{Effect, Effects, Machine};
use crate::model::service::{Desired, Exit};

impl Machine {
    pub(super) fn start(&mut self, out: &mut Effects) {
        self.counts.desired = Desired::Up;
        match &mut self.phase {
            Phase::Stopped | Phase::Failed | Phase::Backoff { .. } => {
                self.counts.failures = 0;
                // Of one that is held up it stays what it was before.
                self.again = matches!(self.phase, Phase::Backoff { .. }) && (self.again || self.held_up == 0);
                self.held_up = 0;
                self.begin_clean(out);
            }
            Phase::Launching(launching) => launching.stop = None,
            Phase::Stopping { why, .. } | Phase::Clearing { why, .. } => {
                *why = Why::Asked;
                self.counts.failures = 0;
                self.again = false;
            }
            Phase::Dependencies | Phase::Preparing { .. } | Phase::Running(_) | Phase::Done => {}
        }
    }

    pub(super) fn restart(&mut self, now: Duration, out: &mut Effects) {
        self.counts.desired = Desired::Up;
        self.counts.failures = 0;
        match &mut self.phase {
            Phase::Launching(launching) => {
                launching.stop = Some(launching.stop.unwrap_or(false));
                self.again = true;
            }
            Phase::Running(_) => {
                self.again = true;
                self.down(now, Why::Asked, false, out);
            }
            Phase::Stopping { why, .. } | Phase::Clearing { why, .. } => {
                *why = Why::Asked;
                self.again = true;
            }
            Phase::Done => self.begin_clean(out),
            _ => self.start(out),
        }
    }

    pub(super) fn stop_later(&mut self, out: &mut Effects) {
        self.counts.desired = Desired::Down;
        match self.phase {
            Phase::Preparing { .. } => {
                out.push(Effect::Cancel);
                self.enter(Phase::Stopped, out);
            }
            Phase::Failed if self.left_over => self.clear_left_over(out),
            Phase::Dependencies | Phase::Backoff { .. } | Phase::Failed | Phase::Done => {
                self.enter(Phase::Stopped, out);
            }
            _ => {}
        }
    }

    pub(super) fn stop(&mut self, now: Duration, force: bool, out: &mut Effects) {
        self.stop_later(out);
        match &mut self.phase {
            Phase::Launching(launching) => launching.stop = Some(force || launching.stop == Some(true)),
            Phase::Running(_) => self.down(now, Why::Asked, force, out),
            Phase::Stopping { why, exit, .. } if force => {
                let (why, exit) = (*why, *exit);
                out.push(Effect::Cancel);
                self.clear(why, exit, out);
            }
            _ => {}
        }
    }

    pub(super) fn resume(&mut self, now: Duration, out: &mut Effects) {
        if !matches!(self.phase, Phase::Stopped | Phase::Failed) {
            return;
        }
        self.counts.desired = Desired::Up;
        match self.counts.failures {
            0 => self.begin_clean(out),
            _ => self.back_off(now, out),
        }
    }

    pub(super) fn adopted(&mut self, now: Duration, ready: bool, age: Duration, out: &mut Effects) {
        if matches!(self.phase, Phase::Stopped | Phase::Failed) {
            self.run_from(now, ready, out);
            if let Phase::Running(running) = &mut self.phase {
                running.before = age;
            }
        }
    }

    pub(super) fn stopped_by_others(&mut self, out: &mut Effects) {
        self.counts.desired = Desired::Down;
        match &mut self.phase {
            Phase::Launching(launching) => launching.stopped_by_others = true,
            Phase::Running(_) => {
                out.push(Effect::Cancel);
                self.clear(Why::Asked, Some(Exit::Unknown), out);
            }
            Phase::Stopping { exit, .. } => {
                let exit = exit.unwrap_or(Exit::Unknown);
                out.push(Effect::Cancel);
                self.clear(Why::Asked, Some(exit), out);
            }
            Phase::Clearing { exit, .. } => {
                exit.get_or_insert(Exit::Unknown);
            }
            Phase::Backoff { .. } | Phase::Dependencies | Phase::Done => self.enter(Phase::Stopped, out),
            Phase::Stopped | Phase::Failed | Phase::Preparing { .. } => {}
        }
    }

    pub(super) fn started_by_others(&mut self, now: Duration, out: &mut Effects) {
        match self.phase {
            // Our own start, or our own SIGKILL, is on its way: it decides.
            Phase::Launching(_) | Phase::Clearing { .. } => return,
            Phase::Running(_) => self.counts.restarts += 1,
            _ => {}
        }
        self.counts.desired = Desired::Up;
        self.counts.failures = 0;
        self.again = false;
        out.push(Effect::Cancel);
        self.run_from(now, false, out);
    }
}
