//! What happened to a service: for `events`, D-Bus signals and the log.

use serde::{Deserialize, Serialize};

use super::{Exit, ServiceState};
use crate::model::ServiceId;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number within this run of the daemon: they have no gaps.
    pub seq: u64,
    /// When, in RFC 3339.
    pub at: String,
    /// To which service.
    pub id: ServiceId,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
    /// In words, for people.
    pub message: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// It is known from now on.
    Added,
    /// It is forgotten.
    Removed,
    /// Its description changed.
    Changed,
    /// It went from one state to another.
    State {
        /// From this one.
        from: ServiceState,
        /// To this one.
        to: ServiceState,
        /// Its main process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
    },
    /// It became ready.
    Ready,
    /// It does its work again.
    Healthy,
    /// It does not do its work; the message says why.
    Unhealthy,
    /// Its main process ended.
    Exited {
        /// How.
        exit: Exit,
    },
    /// It has another port than before.
    Port {
        /// Which.
        port: u16,
    },
    /// It read its configuration again.
    Reloaded,
    /// A running one was taken over by a daemon that started.
    Adopted,
    /// Something to know that is no change of state.
    Warning,
}

impl EventKind {
    /// The names under which `on = {…}` has commands for it, besides `any`: of a state that it came
    /// to, that state.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::State { to, .. } => to.as_str(),
            Self::Ready => "ready",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Exited { .. } => "exited",
            Self::Port { .. } => "port",
            Self::Reloaded => "reloaded",
            Self::Adopted => "adopted",
            Self::Warning => "warning",
        }
    }
}
