//! What must never happen, before every other rule.

use super::{Ctx, PlanExt, words};
use crate::model::{Manager, Plan, Process, Stopper, UnitKind, UnitName};

/// Units without which the host, or the way back, is gone. Their processes are not signalled
/// directly either.
const NEVER: [(&str, &str); 10] = [
    ("init.scope", "it is PID 1 itself"),
    ("dbus.service", "it is the message bus, on which nearly everything depends"),
    ("dbus-broker.service", "it is the message bus, on which nearly everything depends"),
    ("dbus.socket", "it is the socket of the message bus"),
    ("polkit.service", "it is polkit, which authorises the very request"),
    ("systemd-logind.service", "it is logind, which holds every login session"),
    ("systemd-journald.service", "it is the journal, and services lose their output without it"),
    ("systemd-journald.socket", "it is a socket of the journal, and services lose their output without it"),
    ("systemd-journald-dev-log.socket", "it is a socket of the journal, and services lose their output without it"),
    ("systemd-udevd.service", "it is the device manager"),
];

/// Units that are acted on by name only: each holds much that does not belong to the target.
const BY_NAME_ONLY: [(&str, &str); 15] = [
    ("docker.service", "holds every container of docker"),
    ("snap.docker.dockerd.service", "holds every container of docker"),
    ("containerd.service", "holds every container of containerd"),
    ("crio.service", "holds every container of CRI-O"),
    ("k3s.service", "holds every pod of this host"),
    ("k3s-agent.service", "holds every pod of this host"),
    ("kubelet.service", "holds every pod of this host"),
    ("ssh.service", "is the way into this host"),
    ("sshd.service", "is the way into this host"),
    ("libvirtd.service", "manages every virtual machine"),
    // A display manager's main name is its own; display-manager.service is an alias.
    ("gdm.service", "holds every graphical session"),
    ("gdm3.service", "holds every graphical session"),
    ("lightdm.service", "holds every graphical session"),
    ("sddm.service", "holds every graphical session"),
    ("display-manager.service", "holds every graphical session"),
];

/// Whether provost never acts on the unit of this owner, whoever asks.
pub(super) fn is_protected(unit: &UnitName) -> bool {
    unit.kind() == UnitKind::Slice || never(unit).is_some()
}

/// Why a unit is one without which the host, or the way back, is gone.
pub(crate) fn never(unit: &UnitName) -> Option<&'static str> {
    NEVER.iter().find(|(name, _)| *name == unit.as_str()).map(|(_, why)| *why)
}

/// What a unit holds that does not belong to any one process of it: it is acted on by name only.
pub(crate) fn holds_others(unit: &UnitName) -> Option<&'static str> {
    let name = unit.as_str();
    let known = BY_NAME_ONLY.iter().find(|(n, _)| *n == name).map(|(_, holds)| *holds);
    known.or_else(|| name.starts_with("user@").then_some("holds every unit of that user"))
}

/// A refusal, if the request touches a unit that must not be touched.
pub(super) fn check(ctx: &Ctx<'_>) -> Option<Plan> {
    let (manager, unit) = ctx.owner.owner.unit()?;
    let name = unit.as_str();
    let refuse = |why: &str| Some(ctx.refuse(Stopper::NotPermitted, format!("{name} is protected: {why}")));
    if unit.kind() == UnitKind::Slice {
        return refuse("a slice holds the units of others");
    }
    if let Some(why) = never(unit)
        && !beside_pid_1(ctx, name)
    {
        return refuse(why);
    }
    // Here it is not the unit that is acted on; `processes` has its say later.
    if ctx.request.only_process || ctx.in_scope_of_others() {
        return None;
    }
    if holds_provost(ctx, manager, unit) {
        return refuse("it is the unit that provost itself runs in")
            .map(|plan| plan.unlock("run provost from elsewhere, another terminal say"));
    }
    if ctx.owner.named && !ctx.owner.by_pattern {
        return None;
    }
    let holds = holds_others(unit)?;
    let what = if ctx.owner.named { "the pattern matches" } else { "it is a process of" };
    let reason = format!("{what} {name}, which {holds}");
    Some(ctx.refuse(Stopper::Choose, reason).unlock(format!(
        "if you mean all of that: provost {} {}",
        ctx.request.action,
        words::all_of_it(ctx)
    )))
}

/// Whether the target is a process that was put into the scope of PID 1 (by nsenter, docker exec)
/// and is not PID 1: it is a process in a scope of others, like one in a terminal's.
fn beside_pid_1(ctx: &Ctx<'_>, name: &str) -> bool {
    let meant = |pid| ctx.owner.matched.contains(&pid) || ctx.owner.tree.contains(&pid);
    name == "init.scope" && ctx.in_scope_of_others() && !meant(1)
}

/// A refusal, if direct signals would reach a process that must not be reached.
pub(super) fn processes(ctx: &Ctx<'_>, reached: &[&Process]) -> Option<Plan> {
    let has = |pid| reached.iter().any(|p| p.pid() == pid);
    if has(1) {
        return Some(ctx.refuse(Stopper::NotPermitted, "it is PID 1: the host would go down with it"));
    }
    if let Some(thread) = reached.iter().find(|p| p.kernel_thread) {
        let reason = format!("{} is a thread of the kernel, which takes no signals", thread.pid());
        return Some(ctx.refuse(Stopper::NotPermitted, reason));
    }
    let own = ctx.facts.caller.lineage.first()?;
    has(*own).then(|| {
        ctx.refuse(Stopper::NotPermitted, "provost itself runs below it, and would be ended before it is done")
            .unlock("run provost from elsewhere, another terminal say")
    })
}

/// Whether the unit is one of those around provost. What stands behind `user@UID.service` in
/// the path belongs to the manager of that user, whoever provost runs as (sudo in a terminal).
fn holds_provost(ctx: &Ctx<'_>, manager: Manager, unit: &UnitName) -> bool {
    let units = &ctx.facts.caller.units;
    let uid_of = |u: &UnitName| u.as_str().strip_prefix("user@")?.strip_suffix(".service")?.parse::<u32>().ok();
    let border = units.iter().enumerate().find_map(|(at, u)| Some((at, uid_of(u)?)));
    let at = border.map_or(units.len(), |(at, _)| at + 1);
    match manager {
        Manager::System => units.iter().take(at).any(|u| u == unit),
        Manager::User(uid) => border.is_some_and(|(_, of)| of == uid) && units.iter().skip(at).any(|u| u == unit),
    }
}
