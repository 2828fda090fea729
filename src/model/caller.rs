//! Who asks.

use serde::{Deserialize, Serialize};

use super::UnitName;

/// The caller: the user and process that provost runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The effective user id.
    pub uid: u32,
    /// The user's name, or the number where there is none.
    pub user: String,
    /// The group ids, supplementary ones included.
    pub groups: Vec<u32>,
    /// Effective capabilities, in lower case as `cap_kill`; empty for an ordinary user.
    pub capabilities: Vec<String>,
    /// Whether there is a terminal on which a password could be typed.
    pub interactive: bool,
    /// The login session, where the caller is in one.
    pub session: Option<Session>,
    /// provost's own pid and those of its ancestors, nearest first: never signalled.
    pub lineage: Vec<u32>,
    /// The units that hold provost itself, outermost first: never stopped.
    pub units: Vec<UnitName>,
    /// `XDG_RUNTIME_DIR` as it is set.
    pub runtime_dir: Option<String>,
}

impl Caller {
    /// Whether the caller is root by uid.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Whether an effective capability is there, by its lower-case name.
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|c| c == capability)
    }
}

/// The caller's login session, as far as it matters for polkit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// logind's id.
    pub id: String,
    /// Whether it is on a seat (a local screen): polkit's `active` needs one.
    pub seat: bool,
    /// Whether it is graphical, where the desktop's own polkit agent answers.
    pub graphical: bool,
}
