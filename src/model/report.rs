//! The JSON of `inspect`: fields are added, never renamed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Availability, Caller, Container, Facts, Manager, Means, Owner, OwnerFacts, Plan, Process, Verdict};

/// The answer of `inspect`, made from facts and plans.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InspectReport {
    /// The target as it was written.
    pub target: String,
    /// Who asks.
    pub caller: CallerReport,
    /// Whom the target leads to.
    pub owners: Vec<OwnerReport>,
}

/// The caller, in the JSON of `inspect`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CallerReport {
    /// The effective user id.
    pub uid: u32,
    /// The user's name.
    pub user: String,
    /// Effective capabilities, as `cap_kill`.
    pub capabilities: Vec<String>,
    /// Whether a password could be asked for on a terminal.
    pub interactive: bool,
}

/// One owner, in the JSON of `inspect`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OwnerReport {
    /// own-service, system-unit, user-unit, session, container, bare, kernel.
    pub kind: &'static str,
    /// The unit, where there is one.
    pub unit: Option<String>,
    /// For a unit of a user manager: whose.
    pub manager_uid: Option<u32>,
    /// The user as whom it runs, by name.
    pub user: Option<String>,
    /// The same as a number.
    pub uid: Option<u32>,
    /// The container.
    pub container: Option<Container>,
    /// The exact target that leads to this owner.
    pub exact: String,
    /// `ActiveState` of the unit.
    pub active_state: Option<String>,
    /// `SubState` of the unit.
    pub sub_state: Option<String>,
    /// `LoadState` of the unit.
    pub load_state: Option<String>,
    /// `Restart` of the unit.
    pub restart: Option<String>,
    /// Its processes.
    pub processes: Vec<ProcessReport>,
    /// TCP addresses that it listens on; null where they cannot be read.
    pub listening: Option<Vec<String>>,
    /// Whether it answers; null where it was not probed.
    pub availability: Option<Availability>,
    /// The plan for each action.
    pub actions: BTreeMap<&'static str, ActionReport>,
    /// What could not be read, and why.
    pub notes: Vec<String>,
    /// Of a service that provost supervises: the same as `status` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<super::service::ServiceReport>,
}

/// One process, in the JSON of `inspect`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "as in model::Process")]
pub struct ProcessReport {
    pub pid: u32,
    pub ppid: u32,
    pub uid: Option<u32>,
    pub comm: String,
    pub exe: Option<String>,
    pub cmdline: Vec<String>,
    /// RFC 3339, in UTC.
    pub started_at: Option<String>,
    /// alive, uninterruptible or zombie.
    pub state: super::ProcState,
    /// Whether the target matched this process itself.
    pub matched: bool,
}

/// One action, in the JSON of `inspect`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "as in model::Plan")]
pub struct ActionReport {
    pub means: Means,
    pub verdict: Verdict,
    pub reason: String,
    pub unlock: Option<String>,
    pub warnings: Vec<String>,
    /// The state is as wanted already: nothing would be done.
    pub already: Option<String>,
}

impl From<&Plan> for ActionReport {
    fn from(plan: &Plan) -> Self {
        Self {
            means: plan.means,
            verdict: plan.verdict,
            reason: plan.reason.clone(),
            unlock: plan.unlock.clone(),
            warnings: plan.warnings.clone(),
            already: plan.already.clone(),
        }
    }
}

impl From<&Caller> for CallerReport {
    fn from(caller: &Caller) -> Self {
        Self {
            uid: caller.uid,
            user: caller.user.clone(),
            capabilities: caller.capabilities.clone(),
            interactive: caller.interactive,
        }
    }
}

impl ProcessReport {
    fn new(process: &Process, matched: bool) -> Self {
        Self {
            pid: process.pid(),
            ppid: process.ppid,
            uid: process.uid(),
            comm: process.comm.clone(),
            exe: process.exe.clone(),
            cmdline: process.cmdline.clone(),
            started_at: process.started_at.map(|t| humantime::format_rfc3339_millis(t).to_string()),
            state: process.state,
            matched,
        }
    }
}

impl InspectReport {
    /// Puts facts and plans together; `plans` has one map for each owner, in their order.
    pub fn new(facts: &Facts, plans: &[Vec<Plan>]) -> Self {
        let owners = facts.owners.iter().zip(plans).map(|(owner, plans)| OwnerReport::new(owner, plans)).collect();
        Self { target: facts.target.clone(), caller: CallerReport::from(&facts.caller), owners }
    }
}

impl OwnerReport {
    fn new(facts: &OwnerFacts, plans: &[Plan]) -> Self {
        let around = match &facts.owner {
            Owner::Container { manager, unit: Some(unit), .. } => Some((*manager, unit)),
            owner => owner.unit(),
        };
        let unit = facts.unit.as_ref();
        let container = match &facts.owner {
            Owner::Container { container, .. } => Some(container.clone()),
            _ => None,
        };
        Self {
            kind: facts.owner.kind(),
            unit: around.map(|(_, name)| name.to_string()).or_else(|| unit.map(|u| u.id.to_string())),
            manager_uid: around.and_then(|(manager, _)| match manager {
                Manager::User(uid) => Some(uid),
                Manager::System => None,
            }),
            user: facts.user.clone(),
            uid: facts.uid,
            container,
            exact: facts.exact.clone(),
            active_state: unit.map(|u| u.active_state.clone()),
            sub_state: unit.map(|u| u.sub_state.clone()),
            load_state: unit.map(|u| u.load_state.clone()),
            restart: unit.map(|u| u.restart.clone()).filter(|r| !r.is_empty()),
            processes: facts
                .processes
                .iter()
                .map(|p| ProcessReport::new(p, facts.matched.contains(&p.pid())))
                .collect(),
            listening: facts.listening.as_ref().map(|all| all.iter().map(ToString::to_string).collect()),
            availability: facts.availability.clone(),
            actions: plans.iter().map(|plan| (plan.action.verb(), ActionReport::from(plan))).collect(),
            notes: facts.notes.clone(),
            service: facts.service.as_ref().map(|s| s.report.clone()),
        }
    }
}
