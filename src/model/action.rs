//! What can be asked for: one vocabulary for the command line, the library and the JSON.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Ladder, Signal};

/// An action that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Bring it up.
    Start,
    /// Bring it down.
    Stop,
    /// Down and up; a unit that does not run is started.
    Restart,
    /// Have it read its configuration again.
    Reload,
    /// Send a signal.
    Kill,
}

impl Action {
    /// All of them, in the order in which people are shown them.
    pub const ALL: [Self; 5] = [Self::Stop, Self::Start, Self::Restart, Self::Reload, Self::Kill];

    /// The verb.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Kill => "kill",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}

/// Which processes of a unit `kill` signals (`KillUnit`'s `who`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Whom {
    /// The main process.
    #[default]
    Main,
    /// Every process.
    All,
}

impl Whom {
    /// As `KillUnit` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::All => "all",
        }
    }
}

/// An action and how it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What is to be done.
    pub action: Action,
    /// The signal of `kill`.
    pub signal: Signal,
    /// Whom `kill` signals.
    pub whom: Whom,
    /// How `stop` ends processes without a unit.
    pub ladder: Ladder,
    /// SIGKILL at once.
    pub force: bool,
    /// Signal the matched processes in spite of their unit.
    pub only_process: bool,
    /// sudo may be used where it asks for no password.
    pub sudo: bool,
    /// A password may be asked for.
    pub ask_password: bool,
}

impl Request {
    /// The action with everything else as it is by default.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            signal: Signal::TERM,
            whom: Whom::Main,
            ladder: Ladder::default(),
            force: false,
            only_process: false,
            sudo: false,
            ask_password: true,
        }
    }
}
