//! The states of a service.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a service is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// It does not run, and is not meant to.
    #[default]
    Stopped,
    /// Its start was begun: the port is waited for, or the program is being executed.
    Starting,
    /// It runs, ready or not yet.
    Running,
    /// It was asked to end.
    Stopping,
    /// It ended and waits for its next start.
    Restarting,
    /// It ended, and is not started again.
    Failed,
    /// It was to run once, and has: it ended with 0.
    Done,
}

impl ServiceState {
    /// The word in outputs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Restarting => "restarting",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }

    /// Whether its program has been executed, and has not ended for all that is known.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Stopping)
    }

    /// Whether processes of it may exist.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a service was last asked to be; a daemon that starts again goes by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// It is to run.
    Up,
    /// It is not.
    #[default]
    Down,
}

/// How a service is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// As a transient unit.
    Systemd,
    /// As a child of the daemon.
    Direct,
    /// In memory only.
    Sim,
}

impl BackendKind {
    /// The word in outputs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Direct => "direct",
            Self::Sim => "sim",
        }
    }
}
