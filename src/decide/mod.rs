//! Facts and a request in, a plan out: who may do what, by what means, and why.
//!
//! The order of the means, and why: a service of our own is asked of its daemon, which would start
//! it again otherwise; a unit is asked of its manager, for the same reason, and because the manager
//! knows all of it. What no unit owns is signalled, if the kernel lets the caller. Where neither the
//! kernel nor a manager obeys the caller, the privileged helper may, if it is there: last of these,
//! because it asks for more than anybody who may do it alone needs. A container is its runtime's,
//! sudo is used where it was asked for, and where nothing is allowed the process can still be probed.
//!
//! Pure: the same facts and the same request always give the same plan. Nothing here reads the
//! host or changes it. Each kind of owner has its file; `protect` comes before all of them.

mod ask;
mod container;
mod helper;
mod helper_rule;
mod polkit_rule;
mod process;
pub(crate) mod protect;
mod service;
mod unit;
mod words;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod samples;

pub(crate) use container::program as runtime_program;
pub use helper_rule::helper_rule;
pub use polkit_rule::{polkit_rule, sudoers_line};

use crate::model::{Action, Facts, Means, Owner, OwnerFacts, Plan, Request, Step, Stopper, UnitKind, Verdict};

/// Decides how `request` would be carried out for one owner of `facts`.
pub fn decide(facts: &Facts, owner: &OwnerFacts, request: &Request) -> Plan {
    let ctx = Ctx { facts, owner, request };
    if let Some(refusal) = protect::check(&ctx) {
        return refusal;
    }
    match &owner.owner {
        Owner::Kernel => ctx.refuse(Stopper::NotPermitted, "it is a thread of the kernel, which takes no signals"),
        _ if request.only_process => process::only_process(&ctx),
        Owner::Container { container, manager, .. } => container::decide(&ctx, container, *manager),
        Owner::SystemUnit { unit } | Owner::UserUnit { unit, .. } if !ctx.in_scope_of_others() => {
            unit::decide(&ctx, unit)
        }
        Owner::SystemUnit { .. } | Owner::UserUnit { .. } => process::decide(&ctx),
        Owner::OwnService { .. } if owner.service.is_some() => service::decide(&ctx),
        Owner::Session { .. } | Owner::Bare { .. } | Owner::OwnService { .. } => process::decide(&ctx),
    }
}

/// Whether provost never acts on this unit, whoever asks: a rule for it would be of no use, and
/// of much harm.
pub fn is_protected(unit: &crate::model::UnitName) -> bool {
    protect::is_protected(unit)
}

/// The plans for all actions, as `inspect` shows them.
pub fn decide_all(facts: &Facts, owner: &OwnerFacts, like: &Request) -> Vec<Plan> {
    let plan = |action| decide(facts, owner, &Request { action, ..like.clone() });
    Action::ALL.into_iter().map(plan).collect()
}

/// What every rule looks at.
struct Ctx<'a> {
    facts: &'a Facts,
    owner: &'a OwnerFacts,
    request: &'a Request,
}

impl Ctx<'_> {
    /// The target is in a scope that is somebody else's (a terminal's, an editor's): neither
    /// named nor all that is in it. Such a scope is never acted on; the processes in it may be.
    /// PID 1 is always in its own, seen or not.
    fn in_scope_of_others(&self) -> bool {
        let Some((_, unit)) = self.owner.owner.unit() else { return false };
        let part = !self.owner.includes_main || unit.as_str() == "init.scope";
        unit.kind() == UnitKind::Scope && !self.owner.named && part
    }

    fn plan(&self, means: Means, verdict: Verdict, reason: impl Into<String>) -> Plan {
        Plan {
            action: self.request.action,
            means,
            verdict,
            reason: reason.into(),
            unlock: None,
            warnings: Vec::new(),
            steps: Vec::new(),
            already: None,
            stopper: None,
        }
    }

    /// provost will not do it.
    fn refuse(&self, stopper: Stopper, reason: impl Into<String>) -> Plan {
        Plan { stopper: Some(stopper), ..self.plan(Means::Refused, Verdict::Denied, reason) }
    }

    /// There is nothing to do.
    fn already(&self, means: Means, state: impl Into<String>) -> Plan {
        let state = state.into();
        Plan { already: Some(state.clone()), ..self.plan(means, Verdict::Allowed, state) }
    }

    /// It can be tried: the steps by this means.
    fn go(&self, means: Means, verdict: Verdict, reason: impl Into<String>, steps: Vec<Step>) -> Plan {
        let stopper = (verdict == Verdict::Denied).then_some(Stopper::NotPermitted);
        let steps = if stopper.is_some() { Vec::new() } else { steps };
        Plan { steps, stopper, ..self.plan(means, verdict, reason) }
    }
}

trait PlanExt {
    fn unlock(self, how: impl Into<String>) -> Plan;
    fn unlock_if(self, how: Option<String>) -> Plan;
    fn warn(self, what: impl Into<String>) -> Plan;
}

impl PlanExt for Plan {
    fn unlock(mut self, how: impl Into<String>) -> Plan {
        self.unlock = Some(how.into());
        self
    }

    fn unlock_if(self, how: Option<String>) -> Plan {
        match how {
            Some(how) => self.unlock(how),
            None => self,
        }
    }

    fn warn(mut self, what: impl Into<String>) -> Plan {
        self.warnings.push(what.into());
        self
    }
}
