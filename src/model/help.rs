//! What the privileged helper says beforehand: the system's daemon, which asks polkit for the caller.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Action, Identity, Verdict};

/// The helper's answer to `Explain`: what would come of a call of this caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Allowed, needs-password or denied; of what was not answered, unknown-until-asked.
    pub verdict: Verdict,
    /// The polkit action that decides; empty where polkit is not asked.
    #[serde(default)]
    pub polkit_action: String,
    /// What rules can look at, as the helper verified it itself: pid, user, exe, unit…
    #[serde(default)]
    pub details: BTreeMap<String, String>,
    /// Why, in plain words.
    #[serde(default)]
    pub reason: String,
}

/// What the helper said of one owner, as far as it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelperFacts {
    /// Of processes that the caller may not signal directly: stop with all that they started, and
    /// kill alone.
    #[serde(default)]
    pub processes: Vec<(Identity, BTreeMap<Action, Explained>)>,
    /// Of a unit of another user's manager.
    #[serde(default)]
    pub unit: BTreeMap<Action, Explained>,
}

impl HelperFacts {
    /// The answer for a process.
    pub fn of_process(&self, pid: u32, action: Action) -> Option<&Explained> {
        let (_, answers) = self.processes.iter().find(|(identity, _)| identity.pid == pid)?;
        answers.get(&action)
    }
}
