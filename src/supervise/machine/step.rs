//! What each event does in each phase.

use std::time::Duration;

use super::phase::{Kind, Launching, Phase};
use super::run::span;
use super::{Effect, Effects, Event, LAST_WORD, Machine, PORT_WAIT};
use crate::model::Signal;
use crate::model::service::{Desired, Exit};

impl Machine {
    /// Takes an event at this time; what is to be done now. An event that means nothing in this
    /// phase, or is of an earlier run, does nothing.
    pub(crate) fn on_event(&mut self, now: Duration, event: Event) -> Effects {
        let mut effects = Effects::new();
        self.step(now, event, &mut effects);
        self.tell(&mut effects);
        effects
    }

    pub(super) fn step(&mut self, now: Duration, event: Event, out: &mut Effects) {
        match event {
            Event::Start => self.start(out),
            Event::Restart => self.restart(now, out),
            Event::StopLater => self.stop_later(out),
            Event::Stop { force } => self.stop(now, force, out),
            Event::Resume => self.resume(now, out),
            Event::Adopted { ready, age } => self.adopted(now, ready, age, out),
            Event::Ended { exit } => {
                self.exited(exit, out);
                self.ended(exit, false, "while no daemon ran", true, out);
            }
            Event::DependenciesReady => {
                if matches!(self.phase, Phase::Dependencies) {
                    self.run += 1;
                    self.enter(Phase::Preparing { port: None }, out);
                    out.push(Effect::Prepare { run: self.run });
                }
            }
            Event::Tick => self.tick(now, out),
            Event::Writable if self.is_held_up() => self.begin_clean(out),
            Event::Writable => {}
            Event::PortTaken { run, .. }
            | Event::Prepared { run }
            | Event::NotPrepared { run, .. }
            | Event::Started { run }
            | Event::NotStarted { run, .. }
            | Event::Ready { run }
            | Event::NotReady { run, .. }
            | Event::Well { run }
            | Event::Ailing { run }
            | Event::Unhealthy { run, .. }
            | Event::Exited { run, .. }
            | Event::Empty { run }
            | Event::Cleared { run, .. }
            | Event::StoppedByOthers { run }
            | Event::StartedByOthers { run }
                if run != self.run => {}
            of_this_run => self.step_of_run(now, of_this_run, out),
        }
    }

    fn step_of_run(&mut self, now: Duration, event: Event, out: &mut Effects) {
        match (event, &mut self.phase) {
            (Event::PortTaken { holder, .. }, Phase::Preparing { port }) => {
                // Who holds it may change; how long it is waited for does not.
                let until = port.as_ref().map_or(now + PORT_WAIT, |(until, _)| *until);
                *port = Some((until, holder));
            }
            (Event::Prepared { .. }, Phase::Preparing { .. }) => {
                self.enter(Phase::Launching(Launching::default()), out);
                out.push(Effect::Launch { run: self.run });
            }
            (Event::NotPrepared { error, .. }, Phase::Preparing { .. }) => self.not_started(now, error, out),
            (Event::NotStarted { error, .. }, Phase::Launching(launching)) => {
                let again = launching.stop.is_some() && self.counts.desired == Desired::Up;
                if again { self.begin(out) } else { self.not_started(now, error, out) }
            }
            (Event::Started { .. }, Phase::Launching(launching)) => {
                let early = std::mem::take(launching);
                self.started(now, early, out);
            }
            (Event::Ready { .. }, Phase::Launching(launching)) => launching.ready = true,
            (Event::Ready { .. }, Phase::Running(running)) if running.ready.is_none() && !self.settings.oneshot => {
                self.ready(now, out);
            }
            (Event::NotReady { why, .. }, Phase::Running(running)) if running.ready.is_none() => {
                self.not_well(now, why, out);
            }
            (Event::Well { .. }, Phase::Running(running)) if running.ready.is_some() && running.well.is_none() => {
                self.well(now);
            }
            (Event::Ailing { .. }, Phase::Running(running)) if running.ready.is_some() => {
                (running.well, running.until) = (None, None);
            }
            (Event::Unhealthy { why, .. }, Phase::Running(running)) if running.ready.is_some() => {
                (running.well, running.until) = (None, None);
                // Whom nothing starts again is better off as it is.
                if self.starts_again(None) {
                    self.not_well(now, why, out);
                }
            }
            (Event::Exited { exit, .. }, Phase::Launching(launching)) => launching.exit = Some(exit),
            (Event::Exited { exit, .. }, Phase::Running(running)) => {
                let lived = running.before + now.saturating_sub(running.started);
                let healthy = running.well.is_some_and(|since| now >= since + self.settings.restart.reset_after.0);
                let ready = running.ready.is_some() || self.settings.oneshot;
                out.push(Effect::Cancel);
                self.exited(exit, out);
                self.ended(exit, healthy, &format!("after {}", span(lived)), ready, out);
            }
            (Event::Exited { exit, .. }, Phase::Stopping { exit: seen @ None, .. }) => {
                *seen = Some(exit);
                self.exited(exit, out);
                out.push(Effect::AwaitEmpty { run: self.run });
            }
            (Event::Exited { exit, .. }, Phase::Clearing { exit: seen @ None, cleared, .. }) => {
                *seen = Some(exit);
                let cleared = cleared.is_some();
                self.exited(exit, out);
                if cleared {
                    self.settle(now, out);
                }
            }
            (Event::Empty { .. }, Phase::Stopping { why, exit, .. }) => {
                let (why, exit) = (*why, *exit);
                self.clear(why, exit, out);
            }
            (Event::Cleared { result: Ok(()), .. }, Phase::Clearing { exit, cleared, .. }) => {
                *cleared = Some(now + LAST_WORD);
                if exit.is_some() {
                    self.settle(now, out);
                }
            }
            (Event::Cleared { result: Err(error), .. }, Phase::Clearing { .. }) => {
                self.left_over = true;
                self.fail(error, out);
            }
            (Event::StoppedByOthers { .. }, _) => self.stopped_by_others(out),
            (Event::StartedByOthers { .. }, _) => self.started_by_others(now, out),
            _ => {}
        }
    }

    fn tick(&mut self, now: Duration, out: &mut Effects) {
        if self.phase.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        match &mut self.phase {
            Phase::Preparing { port } => {
                let holder = port.take().map_or(String::new(), |(_, holder)| holder);
                out.push(Effect::Cancel);
                self.fail(holder, out);
            }
            Phase::Running(running) if running.ready.is_some() => {
                running.until = None;
                self.counts.failures = 0;
            }
            Phase::Running(running) => {
                running.until = None;
                let limit = self.settings.ready.map_or(String::new(), |limit| format!(" within {}", span(limit)));
                self.not_well(now, format!("not ready{limit}"), out);
            }
            Phase::Stopping { rung, until, why, exit } => {
                let (why, exit) = (*why, *exit);
                match self.settings.stop.0.get(*rung + 1) {
                    Some(next) if next.signal != Signal::KILL => {
                        *rung += 1;
                        *until = now + next.wait;
                        out.push(Effect::Signal { run: self.run, signal: next.signal });
                    }
                    _ => {
                        out.push(Effect::Cancel);
                        self.clear(why, exit, out);
                    }
                }
            }
            Phase::Clearing { exit, .. } => {
                exit.get_or_insert(Exit::Unknown);
                self.exited(Exit::Unknown, out);
                self.settle(now, out);
            }
            Phase::Backoff { .. } => {
                self.again |= self.held_up == 0;
                self.begin_clean(out);
            }
            Phase::Stopped | Phase::Failed | Phase::Done | Phase::Dependencies | Phase::Launching(_) => {}
        }
    }

    pub(super) fn enter(&mut self, phase: Phase, out: &mut Effects) {
        let (from, to) = (self.phase.kind(), phase.kind());
        debug_assert!(from.may_become(to), "{from:?} became {to:?}");
        if matches!(to, Kind::Stopped | Kind::Failed | Kind::Done | Kind::Running) {
            self.held_up = 0;
        }
        self.phase = phase;
        self.tell(out);
    }

    pub(super) fn tell(&mut self, out: &mut Effects) {
        let (from, to) = (self.told, self.state());
        if from != to {
            self.told = to;
            out.push(Effect::State { from, to });
        }
    }
}
