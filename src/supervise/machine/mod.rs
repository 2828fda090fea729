//! The life of one service, pure: events and the time go in, effects come out.
//!
//! ```text
//! stopped ─> dependencies ─> preparing ─> launching ─> running ─> stopping ─> clearing ─┐
//!    ^            ^                                       └── it ended by itself ──^    │
//!    │            └───────────────── backoff <──────────────────────────────────────────┤
//!    └───────────────────────────────────────────────────────────── (failed, or done)───┘
//! ```
//!
//! A machine has at most one run at a time: it leaves `clearing` only when the main process has
//! ended and nothing of its tree is left, and only then begins the next. What is meant by "again",
//! by "failed" and by "stopped" is decided here and nowhere else.

mod asked;
mod event;
mod failure;
mod phase;
mod run;
mod step;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use event::{Effect, Event};
use phase::{Phase, Why};

use crate::model::Ladder;
use crate::model::service::{Desired, Exit, Restart, RestartPolicy, SETTLES, ServiceSpec, ServiceState};
use crate::supervise::backoff;

type Effects = Vec<Effect>;

/// How long a port that somebody else holds is waited for.
pub(crate) const PORT_WAIT: Duration = Duration::from_secs(30);
/// How long the end of a main process is waited for after all of its tree was killed.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long after the time for getting ready its check may take to say so: it knows why.
const CHECK_GRACE: Duration = Duration::from_secs(1);

/// What of its description steers a service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) restart: Restart,
    pub(crate) stop: Ladder,
    /// How long it may take to get ready; `None`: it is ready as soon as it runs.
    pub(crate) ready: Option<Duration>,
    /// Whether it runs once: it is ready when it has ended well.
    pub(crate) oneshot: bool,
    /// Whether it is looked at while it runs: a run is a good one only if it was well.
    pub(crate) looked_at: bool,
}

impl From<&ServiceSpec> for Settings {
    fn from(spec: &ServiceSpec) -> Self {
        let ready = spec.ready.as_ref().map(|ready| ready.timeout.0);
        let looked_at = spec.health.as_ref().is_some_and(|health| !health.is_empty());
        let oneshot = spec.oneshot;
        Self { restart: spec.restart.clone(), stop: spec.stop.clone(), ready, oneshot, looked_at }
    }
}

/// What outlives the machine: it is kept in the record of the service.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counts {
    /// What it was last asked to be.
    pub(crate) desired: Desired,
    /// How often it was started again, ever.
    pub(crate) restarts: u64,
    /// How often in a row it failed.
    pub(crate) failures: u32,
    /// How its main process last ended.
    pub(crate) last_exit: Option<Exit>,
    /// What last went wrong.
    pub(crate) last_error: Option<String>,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Machine {
    settings: Settings,
    counts: Counts,
    phase: Phase,
    /// The state that was last told.
    told: ServiceState,
    /// The number of the run that is on its way, lives, or was the last.
    run: u64,
    /// Something of the last run could not be killed.
    left_over: bool,
    /// Whether the start that is on its way is one again.
    again: bool,
    /// How often in a row a start came to nothing because nothing can be written.
    held_up: u32,
    /// Of the jitter.
    random: u64,
}

impl Machine {
    /// A service that does not run; `failed`: and that had failed. `seed` is for the jitter.
    pub(crate) fn new(settings: Settings, counts: Counts, failed: bool, seed: u64) -> Self {
        let phase = if failed { Phase::Failed } else { Phase::Stopped };
        let told = phase.state();
        Self { settings, counts, phase, told, run: 0, left_over: false, again: false, held_up: 0, random: seed | 1 }
    }

    /// What steers it from now on; delays and waits that have begun stay as they are.
    pub(crate) fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// What is to be kept.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The number of the run that is on its way, lives, or was the last.
    pub(crate) fn run(&self) -> u64 {
        self.run
    }

    /// The number for a run that is taken over: [`Event::Adopted`] or [`Event::Ended`] follows.
    pub(crate) fn next_run(&mut self) -> u64 {
        self.run += 1;
        self.run
    }

    /// Whether anything of it runs is not known: it counts as failed, and a start, or a stop, kills
    /// first what there may be.
    pub(crate) fn doubt(&mut self, why: &str) {
        if matches!(self.phase, Phase::Stopped | Phase::Failed) {
            (self.phase, self.told, self.left_over) = (Phase::Failed, ServiceState::Failed, true);
            self.counts.last_error = Some(why.to_owned());
        }
    }

    /// It had run once, and was done, before this daemon.
    pub(crate) fn was_done(&mut self) {
        if matches!(self.phase, Phase::Stopped) {
            (self.phase, self.told) = (Phase::Done, ServiceState::Done);
        }
    }

    /// Whether something of its last run could not be killed.
    pub(crate) fn is_left_over(&self) -> bool {
        self.left_over
    }

    /// Whether it neither runs nor is about to.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Stopped | Phase::Failed | Phase::Done)
    }

    /// What people are told that it does.
    pub(crate) fn state(&self) -> ServiceState {
        match self.phase {
            Phase::Clearing { why: Why::Ended { exit, healthy }, .. }
                if self.starts_again(Some(exit))
                    && !backoff::exhausted(&self.settings.restart, self.coming(exit, healthy)) =>
            {
                ServiceState::Restarting
            }
            _ => self.phase.state(),
        }
    }

    /// Whether its start is under way. Who waits for a port waits for others.
    pub(crate) fn is_being_executed(&self) -> bool {
        matches!(self.phase, Phase::Preparing { port: None } | Phase::Launching(_))
    }

    /// Whether it runs and is ready, or has done what it was to do.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.phase {
            Phase::Running(running) => running.ready.is_some(),
            Phase::Done => true,
            _ => false,
        }
    }

    /// Whether a process of it may exist.
    pub(crate) fn is_alive(&self) -> bool {
        use Phase::{Clearing, Launching, Running, Stopping};
        matches!(self.phase, Launching(_) | Running(_) | Stopping { .. } | Clearing { .. })
    }

    /// Whether it waits for what it comes after.
    pub(crate) fn awaits_dependencies(&self) -> bool {
        matches!(self.phase, Phase::Dependencies)
    }

    /// Whether somebody holds its port.
    pub(crate) fn awaits_port(&self) -> bool {
        matches!(self.phase, Phase::Preparing { port: Some(_) })
    }

    /// When it is started again, of one that backs off.
    pub(crate) fn next_start(&self) -> Option<Duration> {
        match self.phase {
            Phase::Backoff { until } => Some(until),
            _ => None,
        }
    }

    /// Whether its next start waits until what is kept of it can be written.
    pub(crate) fn is_held_up(&self) -> bool {
        self.held_up > 0 && matches!(self.phase, Phase::Backoff { .. })
    }

    /// When [`Event::Tick`] is due.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.phase.deadline()
    }

    /// Whether it ended by itself, and what is left of it is being ended.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Clearing { why: Why::Ended { .. }, .. })
    }

    /// Why it is in its state, where that needs a word and is known here.
    pub(crate) fn reason(&self) -> Option<String> {
        let last = || self.counts.last_error.clone();
        match &self.phase {
            Phase::Preparing { port: Some((_, holder)) } => Some(format!("waits for its port: {holder}")),
            Phase::Failed | Phase::Backoff { .. } => last(),
            Phase::Clearing { why: Why::Ended { .. } | Why::NotReady, .. } => last(),
            Phase::Stopping { why: Why::NotReady, .. } => last(),
            Phase::Running(running) if running.ready.is_none() && !self.settings.oneshot => {
                Some("not ready yet".to_owned())
            }
            _ => None,
        }
    }

    /// What else is known of why it ended.
    pub(crate) fn add_reason(&mut self, why: &str) {
        if let (Phase::Clearing { why: Why::Ended { .. }, .. }, Some(error)) =
            (&self.phase, &mut self.counts.last_error)
        {
            error.push_str("; ");
            error.push_str(why);
        }
    }

    /// How long it is still to run before others count on it, of one whose being executed is all that says that
    /// it is ready.
    pub(crate) fn settles_in(&self, now: Duration) -> Option<Duration> {
        let Phase::Running(running) = &self.phase else { return None };
        let lived = running.before + now.saturating_sub(running.started);
        SETTLES.checked_sub(lived).filter(|left| self.settings.ready.is_none() && !left.is_zero())
    }

    /// Whether an event that somebody asks for would change nothing.
    pub(crate) fn is_already_so(&self, event: &Event) -> bool {
        use Phase::{Clearing, Dependencies, Done, Launching, Preparing, Running, Stopped, Stopping};
        let up = self.counts.desired == Desired::Up;
        match (event, &self.phase) {
            (Event::Start, Dependencies | Preparing { .. } | Running(_) | Done) => up,
            (Event::Start, Launching(launching)) => up && launching.stop.is_none(),
            (Event::Start, Stopping { why, .. } | Clearing { why, .. }) => up && *why == Why::Asked,
            (Event::Stop { .. } | Event::StopLater, Stopped) => !up,
            (Event::StopLater | Event::Stop { force: false }, Stopping { .. } | Clearing { .. }) => !up,
            (Event::Stop { .. }, Clearing { .. }) => !up,
            (Event::Stop { force }, Launching(launching)) => !up && launching.stop.is_some_and(|was| was || !force),
            _ => false,
        }
    }

    /// How many failures in a row there are with this end. Short runs count, however they ended, for
    /// otherwise a program that ends at once would be started for ever.
    fn coming(&self, exit: Exit, healthy: bool) -> u32 {
        match (healthy, exit.is_success()) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => self.counts.failures.saturating_add(1),
        }
    }

    /// Whether an end is followed by a new start, as far as policy and desire go; `None`: it never
    /// got ready, or could not be started.
    fn starts_again(&self, exit: Option<Exit>) -> bool {
        let by_policy = match self.settings.restart.policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => exit.is_none_or(|exit| !exit.is_success()),
            RestartPolicy::Never => false,
        };
        by_policy && self.counts.desired == Desired::Up
    }

    /// The next random number from 0 to 1 (xorshift64*): good enough to spread starts.
    fn random(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let high = self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        f64::from(u32::try_from(high).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }
}
