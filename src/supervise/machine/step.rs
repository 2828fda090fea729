//! What each event does in each phase.

use std::time::Duration;

use super::phase::{Kind, Launching, Phase, Running, Why};
use super::{CHECK_GRACE, Effect, Event, LAST_WORD, Machine, PORT_WAIT};
use crate::model::Signal;
use crate::model::service::{Desired, Exit};

type Effects = Vec<Effect>;

impl Machine {
    /// Takes an event at this time; what is to be done now. An event that means nothing in this
    /// phase, or is of an earlier run, does nothing.
    pub(crate) fn on_event(&mut self, now: Duration, event: Event) -> Effects {
        let mut effects = Effects::new();
        self.step(now, event, &mut effects);
        self.tell(&mut effects);
        effects
    }

    fn step(&mut self, now: Duration, event: Event, out: &mut Effects) {
        match event {
            Event::Start => self.start(out),
            Event::Restart => self.restart(now, out),
            Event::StopLater => self.stop_later(out),
            Event::Stop { force } => self.stop(now, force, out),
            Event::Resume => self.resume(now, out),
            Event::Adopted { ready } => self.adopted(now, ready, out),
            Event::Ended { exit } => {
                self.exited(exit, out);
                self.ended(exit, false, "while no daemon ran", out);
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
                let lived = now.saturating_sub(running.started);
                let healthy = running.well.is_some_and(|since| now >= since + self.settings.restart.reset_after.0);
                out.push(Effect::Cancel);
                self.exited(exit, out);
                self.ended(exit, healthy, &format!("after {}", span(lived)), out);
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

    fn start(&mut self, out: &mut Effects) {
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

    fn restart(&mut self, now: Duration, out: &mut Effects) {
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

    fn stop_later(&mut self, out: &mut Effects) {
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

    fn stop(&mut self, now: Duration, force: bool, out: &mut Effects) {
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

    fn resume(&mut self, now: Duration, out: &mut Effects) {
        if !matches!(self.phase, Phase::Stopped | Phase::Failed) {
            return;
        }
        self.counts.desired = Desired::Up;
        match self.counts.failures {
            0 => self.begin_clean(out),
            _ => self.back_off(now, out),
        }
    }

    fn adopted(&mut self, now: Duration, ready: bool, out: &mut Effects) {
        if matches!(self.phase, Phase::Stopped | Phase::Failed) {
            self.run_from(now, ready, out);
            if self.counts.desired == Desired::Down {
                self.down(now, Why::Asked, false, out);
            }
        }
    }

    fn started(&mut self, now: Duration, early: Launching, out: &mut Effects) {
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
    fn run_from(&mut self, now: Duration, ready: bool, out: &mut Effects) {
        let until = self.settings.ready.map(|timeout| now + timeout + CHECK_GRACE);
        let until = until.filter(|_| !self.settings.oneshot);
        self.enter(Phase::Running(Running { started: now, ready: None, well: None, until }), out);
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

    fn ready(&mut self, now: Duration, out: &mut Effects) {
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
    fn well(&mut self, now: Duration) {
        if let Phase::Running(running) = &mut self.phase {
            running.well = Some(now);
            running.until = (self.counts.failures > 0).then(|| now + self.settings.restart.reset_after.0);
        }
    }

    /// It is stopped, to be started again.
    fn not_well(&mut self, now: Duration, why: String, out: &mut Effects) {
        self.counts.last_error = Some(why);
        self.down(now, Why::NotReady, false, out);
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

    /// The first step down: the first rung of the ladder, or SIGKILL at once.
    fn down(&mut self, now: Duration, why: Why, force: bool, out: &mut Effects) {
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

    fn clear(&mut self, why: Why, exit: Option<Exit>, out: &mut Effects) {
        self.enter(Phase::Clearing { why, exit, cleared: None }, out);
        out.push(Effect::Clear { run: self.run });
    }

    /// It ended by itself.
    fn ended(&mut self, exit: Exit, healthy: bool, when: &str, out: &mut Effects) {
        if self.counts.desired == Desired::Up {
            let by = if matches!(exit, Exit::Signal(_)) { "by" } else { "with" };
            self.counts.last_error = Some(format!("ended {by} {exit} {when}"));
        }
        self.clear(Why::Ended { exit, healthy }, Some(exit), out);
    }

    /// Nothing of the run is left: what comes now?
    fn settle(&mut self, now: Duration, out: &mut Effects) {
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
    fn done(&mut self, out: &mut Effects) {
        self.counts.failures = 0;
        self.counts.last_error = None;
        self.enter(Phase::Done, out);
        out.push(Effect::BecameReady);
    }

    /// Begins a start, but first kills what could not be killed before.
    pub(super) fn begin_clean(&mut self, out: &mut Effects) {
        if self.left_over { self.clear_left_over(out) } else { self.begin(out) }
    }

    fn clear_left_over(&mut self, out: &mut Effects) {
        self.clear(Why::Asked, Some(Exit::Unknown), out);
    }

    fn begin(&mut self, out: &mut Effects) {
        self.enter(Phase::Dependencies, out);
        out.push(Effect::AwaitDependencies);
    }

    fn stopped_by_others(&mut self, out: &mut Effects) {
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

    fn started_by_others(&mut self, now: Duration, out: &mut Effects) {
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

    /// Notes and tells how the main process ended.
    fn exited(&mut self, exit: Exit, out: &mut Effects) {
        self.counts.last_exit = Some(exit);
        out.push(Effect::Exited { exit });
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

    fn tell(&mut self, out: &mut Effects) {
        let (from, to) = (self.told, self.state());
        if from != to {
            self.told = to;
            out.push(Effect::State { from, to });
        }
    }
}

/// A duration for people: whole seconds from one second on.
fn span(duration: Duration) -> String {
    let round = match duration.as_secs() {
        0 => Duration::from_millis(u64::from(duration.subsec_millis())),
        seconds => Duration::from_secs(seconds),
    };
    humantime::format_duration(round).to_string()
}
