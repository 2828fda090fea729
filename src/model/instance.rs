//! Which provost: a user's own, or the system's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instance of provost. Each has its own config, registry and daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Instance {
    /// The caller's own.
    User,
    /// The one of the system, which is root's.
    System,
}

impl Instance {
    /// The one that a caller means who names none.
    pub fn usual(uid: u32) -> Self {
        if uid == 0 { Self::System } else { Self::User }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::User => "user",
            Self::System => "system",
        })
    }
}
