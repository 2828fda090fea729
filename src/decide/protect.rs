//! What must never happen, before every other rule.

use super::{Ctx, PlanExt};
use crate::model::{Action, Manager, Owner, Plan, Stopper, UnitKind, UnitName};

/// Units without which the host, or the way back, is gone.
const NEVER: [(&str, &str); 8] = [
    ("init.scope", "it is PID 1 itself"),
    ("dbus.service", "it is the system bus: nearly everything would lose its connection"),
    ("dbus-broker.service", "it is the system bus: nearly everything would lose its connection"),
    ("dbus.socket", "it is the socket of the system bus"),
    ("polkit.service", "it is polkit, which authorises the very request"),
    ("systemd-logind.service", "it is logind, which holds every login session"),
    ("systemd-journald.service", "it is the journal, and services lose their output without it"),
    ("systemd-udevd.service", "it is the device manager"),
];

/// Units that are stopped by name only: each holds much that does not belong to the target.
const BY_NAME_ONLY: [(&str, &str); 8] = [
    ("docker.service", "every container of docker"),
    ("containerd.service", "every container of containerd"),
    ("crio.service", "every container of CRI-O"),
    ("ssh.service", "the way into this host"),
    ("sshd.service", "the way into this host"),
    ("libvirtd.service", "the manager of every virtual machine"),
    ("gdm.service", "every graphical session"),
    ("display-manager.service", "every graphical session"),
];

/// A refusal, if the request touches what must never be touched.
pub(super) fn check(ctx: &Ctx<'_>) -> Option<Plan> {
    processes(ctx).or_else(|| match ctx.owner.owner.unit() {
        Some((manager, unit)) if !ctx.request.only_process => units(ctx, manager, unit),
        _ => None,
    })
}

fn processes(ctx: &Ctx<'_>) -> Option<Plan> {
    let owner = ctx.owner;
    let direct = ctx.request.only_process || owner.owner.unit().is_none();
    if !direct {
        return None;
    }
    if owner.matched.contains(&1) {
        return Some(ctx.refuse(Stopper::NotPermitted, "it is PID 1: the host would go down with it"));
    }
    let own = ctx.facts.caller.lineage.first()?;
    let reached = match ctx.request.action {
        Action::Kill => &owner.matched,
        _ => &owner.tree,
    };
    reached.contains(own).then(|| {
        ctx.refuse(Stopper::NotPermitted, "provost itself runs below it, and would be ended before it is done")
            .unlock("run provost from elsewhere, another terminal say")
    })
}

fn units(ctx: &Ctx<'_>, manager: Manager, unit: &UnitName) -> Option<Plan> {
    let name = unit.as_str();
    let refuse = |why: &str| Some(ctx.refuse(Stopper::NotPermitted, format!("{name} is protected: {why}")));
    if unit.kind() == UnitKind::Slice {
        return refuse("a slice holds the units of others");
    }
    if let Some((_, why)) = NEVER.iter().find(|(n, _)| *n == name) {
        return refuse(why);
    }
    // A scope that is not the target's own is never acted on; the processes in it may be.
    let scope_of_others = unit.kind() == UnitKind::Scope && !ctx.owner.named && !ctx.owner.includes_main;
    let holds_us = ctx.facts.caller.units.contains(unit) && is_ours(ctx, manager);
    if holds_us && !scope_of_others && ctx.request.action != Action::Reload {
        return refuse("it is the unit that provost itself runs in");
    }
    if ctx.owner.named {
        return None;
    }
    let by_name = BY_NAME_ONLY.iter().find(|(n, _)| *n == name).map(|(_, holds)| *holds);
    let holds =
        by_name.or_else(|| name.starts_with("user@").then_some("every unit and session process of that user"))?;
    let plan =
        ctx.refuse(Stopper::Choose, format!("{name} is {holds}; it is not acted on through one of its processes"));
    Some(plan.unlock(format!("name it, if that is what you mean: provost {} unit:{name}", ctx.request.action)))
}

/// Whether a unit of this manager can be one of those that hold provost.
fn is_ours(ctx: &Ctx<'_>, manager: Manager) -> bool {
    match (manager, &ctx.owner.owner) {
        (Manager::System, Owner::SystemUnit { .. }) => true,
        (Manager::User(uid), _) => uid == ctx.facts.caller.uid,
        _ => false,
    }
}
