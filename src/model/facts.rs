//! Everything read from the host for one request.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::service::ServiceReport;
use super::{
    Action, Availability, Caller, HelperFacts, Host, Identity, Manager, Owner, Process, ServiceId, UnitFacts, Verdict,
};

/// What the kernel answered to `pidfd_send_signal(fd, 0)`: LSMs and namespaces included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalAnswer {
    /// The caller may signal it.
    Allowed,
    /// Operation not permitted.
    Denied,
    /// It was gone.
    Gone,
}

/// Everything read from the host for one request; the only input of [`crate::decide`] besides
/// the request itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The target as the user wrote it.
    pub target: String,
    /// Who asks.
    pub caller: Caller,
    /// What the host has.
    pub host: Host,
    /// Whom the target leads to; several are an ambiguity.
    pub owners: Vec<OwnerFacts>,
}

/// What is known of one owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnerFacts {
    /// Who it is.
    pub owner: Owner,
    /// The exact form of a target that leads to this owner and no other: `unit:ollama.service`.
    pub exact: String,
    /// The owner was named itself (`unit:`, `user-unit:`, `service:`, or a word that is a unit's
    /// name), not found through one of its processes.
    pub named: bool,
    /// It was named by a pattern, which is not the same as meaning it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_pattern: bool,
    /// The user as whom it runs, by name, where known.
    pub user: Option<String>,
    /// The same as a number.
    pub uid: Option<u32>,
    /// Every process of the owner, the first one (main process, root of the tree) first.
    pub processes: Vec<Process>,
    /// The pids among them that the target matched; all of them where the owner was named.
    pub matched: Vec<u32>,
    /// The matched processes and all that descend from them: what a signal to the tree reaches.
    pub tree: Vec<u32>,
    /// The matched processes include the main one, or run its program; for a scope, they and
    /// their descendants are all that is in it.
    pub includes_main: bool,
    /// The unit, where the owner is one, or the unit around a container or session.
    pub unit: Option<UnitFacts>,
    /// For each process that could be signalled: what the kernel says.
    pub signals: Vec<(Identity, SignalAnswer)>,
    /// For a container: the runtime's command for stop, start, restart and kill up to the verb
    /// (`["docker"]`), where its socket is accessible to the caller or the container is theirs.
    pub runtime_command: Option<Vec<String>>,
    /// What sudo allows without a password, where it was asked (`--sudo`): the systemctl verbs.
    pub sudo: Option<Vec<String>>,
    /// TCP addresses that it listens on.
    pub listening: Option<Vec<SocketAddr>>,
    /// Whether it answers.
    pub availability: Option<Availability>,
    /// What could not be read, and why.
    pub notes: Vec<String>,
    /// A service that provost supervises: what is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Box<ServiceFacts>>,
    /// What the privileged helper says, where it was asked and answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helper: Option<Box<HelperFacts>>,
}

/// What is known of a service that provost supervises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// What is said of it.
    pub report: ServiceReport,
    /// Who says it.
    pub said_by: SaidBy,
    /// It is a service of the system's instance, not of the caller's own.
    #[serde(default)]
    pub system: bool,
    /// Of the system's: what its daemon, which asks polkit, says of the caller.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verdicts: BTreeMap<Action, Verdict>,
    /// What runs and comes after it, where it is to be stopped: that stops first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<ServiceId>,
}

/// Who says what is known of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaidBy {
    /// The daemon that supervises it.
    Daemon,
    /// Its record: no daemon runs.
    Registry,
    /// Its record: a daemon runs, and does not answer.
    Silent,
    /// A config: it has never been started.
    Config,
}

impl OwnerFacts {
    /// An owner of whom nothing more is known yet.
    pub(crate) fn new(owner: Owner, exact: String) -> Self {
        Self {
            owner,
            exact,
            named: false,
            by_pattern: false,
            user: None,
            uid: None,
            processes: Vec::new(),
            matched: Vec::new(),
            tree: Vec::new(),
            includes_main: true,
            unit: None,
            signals: Vec::new(),
            runtime_command: None,
            sudo: None,
            listening: None,
            availability: None,
            notes: Vec::new(),
            service: None,
            helper: None,
        }
    }

    /// The process with this pid.
    pub fn process(&self, pid: u32) -> Option<&Process> {
        self.processes.iter().find(|p| p.pid() == pid)
    }

    /// The exact form of the unit that holds it (`unit:NAME`, `user-unit:NAME`), or of the owner.
    pub fn unit_form(&self) -> String {
        match self.owner.unit() {
            Some((Manager::System, unit)) => format!("unit:{unit}"),
            Some((Manager::User(_), unit)) => format!("user-unit:{unit}"),
            None => self.exact.clone(),
        }
    }

    /// The kernel's answer for a process.
    pub fn signal_answer(&self, pid: u32) -> Option<SignalAnswer> {
        self.signals.iter().find(|(id, _)| id.pid == pid).map(|(_, answer)| *answer)
    }
}
