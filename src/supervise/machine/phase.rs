//! The phases of a service, finer than its states, and which may follow which.

use std::time::Duration;

use crate::model::service::{Exit, ServiceState};

/// Where a service stands. Times are since the epoch of whoever drives the machine.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    /// It does not run.
    Stopped,
    /// It ended for good, or could not be started.
    Failed,
    /// It was to run once, and has ended well.
    Done,
    /// It waits until what it comes after is ready.
    Dependencies,
    /// What is to be started is resolved; from `port` on somebody holds its port: until when that
    /// is waited for, and who.
    Preparing { port: Option<(Duration, String)> },
    /// It is being executed.
    Launching(Launching),
    /// It runs.
    Running(Running),
    /// It was sent the signal of this rung, which has until then.
    Stopping { rung: usize, until: Duration, why: Why, exit: Option<Exit> },
    /// What is left of it is being killed.
    Clearing { why: Why, exit: Option<Exit>, cleared: Option<Duration> },
    /// It waits for its next start.
    Backoff { until: Duration },
}

/// What came in while a start was on its way, for when it is through.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Launching {
    pub(super) exit: Option<Exit>,
    pub(super) ready: bool,
    pub(super) stopped_by_others: bool,
    /// A stop was asked for; whether by force.
    pub(super) stop: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Running {
    /// When its program was executed, or was taken over.
    pub(super) started: Duration,
    /// For how long it had run before.
    pub(super) before: Duration,
    /// Since when it is ready.
    pub(super) ready: Option<Duration>,
    /// Since when it does its work.
    pub(super) well: Option<Duration>,
    /// Until when it must be ready; of a ready one: when its failures are forgotten.
    pub(super) until: Option<Duration>,
}

/// Why it is on its way down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Why {
    /// Somebody wanted that; whether it comes up again is what it is desired to be.
    Asked,
    /// It ended by itself; healthy: it had been ready for long enough.
    Ended { exit: Exit, healthy: bool },
    /// It did not get ready in time, or did not do its work.
    NotReady,
}

/// A phase without what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stopped,
    Failed,
    Done,
    Dependencies,
    Preparing,
    Launching,
    Running,
    Stopping,
    Clearing,
    Backoff,
}

/// Which phases may follow a phase.
pub(super) const TABLE: [(Kind, &[Kind]); 10] = {
    use Kind::*;
    [
        // A daemon that starts finds what runs, what ended and what waited; others start units.
        (Stopped, &[Dependencies, Running, Clearing, Backoff]),
        // What could not be killed is tried again before the next start.
        (Failed, &[Stopped, Dependencies, Running, Clearing, Backoff]),
        (Done, &[Stopped, Dependencies, Running]),
        (Dependencies, &[Preparing, Stopped, Running]),
        (Preparing, &[Launching, Stopped, Failed, Backoff, Running]),
        (Launching, &[Running, Stopped, Failed, Backoff, Dependencies]),
        (Running, &[Stopping, Clearing, Running]),
        (Stopping, &[Clearing, Running]),
        (Clearing, &[Stopped, Failed, Done, Backoff, Dependencies]),
        (Backoff, &[Dependencies, Clearing, Stopped, Running]),
    ]
};

impl Kind {
    pub(super) fn may_become(self, next: Self) -> bool {
        TABLE.iter().any(|(from, to)| *from == self && to.contains(&next))
    }
}

impl Phase {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Stopped => Kind::Stopped,
            Self::Failed => Kind::Failed,
            Self::Done => Kind::Done,
            Self::Dependencies => Kind::Dependencies,
            Self::Preparing { .. } => Kind::Preparing,
            Self::Launching(_) => Kind::Launching,
            Self::Running(_) => Kind::Running,
            Self::Stopping { .. } => Kind::Stopping,
            Self::Clearing { .. } => Kind::Clearing,
            Self::Backoff { .. } => Kind::Backoff,
        }
    }

    /// What people are told. Clearing after an end that nobody asked for is a part of restarting.
    pub(super) fn state(&self) -> ServiceState {
        match self {
            Self::Stopped => ServiceState::Stopped,
            Self::Failed => ServiceState::Failed,
            Self::Done => ServiceState::Done,
            Self::Dependencies | Self::Preparing { .. } | Self::Launching(_) => ServiceState::Starting,
            Self::Running(_) => ServiceState::Running,
            Self::Stopping { .. } | Self::Clearing { .. } => ServiceState::Stopping,
            Self::Backoff { .. } => ServiceState::Restarting,
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Preparing { port } => port.as_ref().map(|(until, _)| *until),
            Self::Running(running) => running.until,
            Self::Stopping { until, .. } | Self::Backoff { until } => Some(*until),
            Self::Clearing { cleared, .. } => *cleared,
            Self::Stopped | Self::Failed | Self::Done | Self::Dependencies | Self::Launching(_) => None,
        }
    }
}
