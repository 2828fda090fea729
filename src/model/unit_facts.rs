//! What a manager says of one of its units.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{Action, UnitName};

/// The manager's own answer to a call that it refuses only after it has authorised it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The call passed authorisation.
    Allowed,
    /// Passed authorisation, and the manager then refused the action itself (RefuseManualStop=,
    /// masked, not found…): its message.
    Refused(String),
    /// A password would be asked for.
    NeedsPassword,
    /// The manager or polkit said no: the message.
    Denied(String),
    /// No answer can be had without doing it: why.
    Unknown(String),
    /// The same, because the question itself would open a password prompt: why.
    WouldPrompt(String),
}

/// The properties of a unit that decisions depend on. Names are systemd's, see
/// org.freedesktop.systemd1(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// The main name (`Id`): an alias resolves to it.
    pub id: UnitName,
    /// `Description`.
    pub description: String,
    /// `LoadState`: loaded, not-found, masked, bad-setting, error.
    pub load_state: String,
    /// `ActiveState`: active, reloading, inactive, failed, activating, deactivating.
    pub active_state: String,
    /// `SubState`: running, dead, exited, auto-restart…
    pub sub_state: String,
    /// `UnitFileState`: enabled, disabled, static, masked, generated, transient; empty if none.
    pub unit_file_state: String,
    /// `FragmentPath`: the unit file; empty for a unit without one.
    pub fragment_path: String,
    /// `Transient`.
    pub transient: bool,
    /// `MainPID`, 0 as `None`.
    pub main_pid: Option<u32>,
    /// `ControlPID`, 0 as `None`: a start, stop or reload command that runs now.
    pub control_pid: Option<u32>,
    /// `User` as the unit says it; empty for the manager's own user.
    pub user: String,
    /// `Restart`: no, always, on-failure…; empty for kinds without it.
    pub restart: String,
    /// `RefuseManualStart`.
    pub refuse_manual_start: bool,
    /// `RefuseManualStop`.
    pub refuse_manual_stop: bool,
    /// `CanStart`.
    pub can_start: bool,
    /// `CanStop`.
    pub can_stop: bool,
    /// `CanReload`.
    pub can_reload: bool,
    /// `TriggeredBy`: sockets, timers, paths that would start it again.
    pub triggered_by: Vec<UnitName>,
    /// Of those, the ones that are active and so would do it.
    pub active_triggers: Vec<UnitName>,
    /// `Triggers`: what a socket, timer or path starts.
    pub triggers: Vec<UnitName>,
    /// `ControlGroup`, from the root of the cgroup tree; empty if it has none now.
    pub control_group: String,
    /// `InvocationID` in hexadecimal; empty before the first start.
    pub invocation_id: String,
    /// `ActiveEnterTimestamp`.
    pub active_since: Option<SystemTime>,
    /// A job of the unit is queued or runs.
    pub job_pending: bool,
    /// What the manager answered for each action; an action that was not asked is absent.
    pub answers: BTreeMap<Action, Answer>,
}

impl UnitFacts {
    /// Whether anything of the unit runs or is about to.
    pub fn is_active(&self) -> bool {
        matches!(self.active_state.as_str(), "active" | "reloading" | "activating" | "refreshing" | "deactivating")
    }

    /// Whether systemd starts the processes again when they end.
    pub fn restarts(&self) -> bool {
        !matches!(self.restart.as_str(), "" | "no")
    }
}
