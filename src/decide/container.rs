//! Containers are left to their runtime: its command is named, and used where its socket is
//! accessible to the caller.

use super::{Ctx, PlanExt, process, words};
use crate::model::{
    Action, Container, Manager, Means, Plan, Process, Runtime, SignalAnswer, Step, Stopper, Verdict, Whom,
};

/// Decides for an owner that is a container; `manager` says in whose part of the tree it stands.
pub(super) fn decide(ctx: &Ctx<'_>, container: &Container, manager: Manager) -> Plan {
    let name = container.runtime.name();
    let short = short(container);
    let action = ctx.request.action;
    if action == Action::Start && process::alive(ctx).next().is_some() {
        return ctx.already(Means::Container, "the container is running already");
    }
    if let Some(refusal) = holds_provost(ctx).or_else(|| part(ctx, container)) {
        return refusal;
    }
    let Some(arguments) = arguments(ctx, container) else {
        let what = match (action, ctx.request.whom) {
            (Action::Kill, Whom::All) => "signal all of its processes".to_owned(),
            (action, _) => format!("{action} it"),
        };
        let reason = format!("it runs in the container {short} ({name}), and {name} has no way to {what}");
        return ctx.refuse(Stopper::Impossible, reason).unlock_if(elsewhere(ctx, container));
    };
    let plan = match &ctx.owner.runtime_command {
        Some(command) if is_ours(ctx, manager) => {
            let argv: Vec<String> = command.iter().cloned().chain(arguments).collect();
            let reason = format!("{name} does it: {}", argv.join(" ").replace(&container.id, short));
            ctx.go(Means::Container, Verdict::Allowed, reason, vec![Step::Command { argv }])
        }
        _ => {
            let command =
                format!("{} {}", program(container.runtime), arguments.join(" ").replace(&container.id, short));
            let whose = match manager {
                Manager::User(uid) if !is_ours(ctx, manager) => format!(" of uid {uid}"),
                _ => String::new(),
            };
            let reason = format!(
                "it runs in the container {short} ({name}{whose}), to which {} has no access",
                ctx.facts.caller.user
            );
            Plan { stopper: Some(Stopper::NotPermitted), ..ctx.plan(Means::Container, Verdict::Denied, reason) }
                .unlock(format!("whoever may use {name}{whose} can run: {command}"))
        }
    };
    match &container.pod {
        Some(pod) if !plan.steps.is_empty() => {
            plan.warn(format!("it is part of the Kubernetes pod {pod}, and the kubelet may start it again"))
        }
        _ => plan,
    }
}

/// The command of a runtime, by its name in the PATH.
pub(crate) fn program(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Docker => "docker",
        Runtime::Podman => "podman",
        Runtime::Containerd | Runtime::Crio => "crictl",
        Runtime::Lxc => "lxc-stop",
        Runtime::Nspawn | Runtime::Machine => "machinectl",
    }
}

/// The id as the runtimes show it in their lists.
fn short(container: &Container) -> &str {
    let hex = container.id.len() == 64 && container.id.bytes().all(|b| b.is_ascii_hexdigit());
    container.id.get(..12).filter(|_| hex).unwrap_or(&container.id)
}

/// A user may name the cgroups below their own manager as they like, with or without a unit. What
/// stands there is not believed to be a container of anybody else's runtime, so that nobody can
/// have root stop the containers of others by such a name.
fn is_ours(ctx: &Ctx<'_>, manager: Manager) -> bool {
    !matches!(manager, Manager::User(uid) if uid != ctx.facts.caller.uid)
}

fn holds_provost(ctx: &Ctx<'_>) -> Option<Plan> {
    let own = ctx.facts.caller.lineage.first()?;
    let inside = ctx.owner.processes.iter().any(|p| p.pid() == *own);
    inside.then(|| ctx.refuse(Stopper::NotPermitted, "it is the container that provost itself runs in"))
}

/// The runtime knows whole containers, and signals their first process only.
fn part(ctx: &Ctx<'_>, container: &Container) -> Option<Plan> {
    let owner = ctx.owner;
    let here = |pid: u32| owner.process(pid);
    let main = owner.processes.iter().filter(|p| here(p.ppid).is_none()).min_by_key(|p| p.identity.start_ticks)?;
    if owner.named || owner.matched.is_empty() || owner.matched.contains(&main.pid()) {
        return None;
    }
    // A wrapper (an init, a shell) that waits for what matched is no company.
    let waits = |p: &Process| owner.matched.iter().any(|pid| ancestors(ctx, *pid).contains(&p.pid()));
    let alone = owner.processes.iter().all(|p| owner.tree.contains(&p.pid()) || waits(p));
    if ctx.request.action != Action::Kill && alone {
        return None;
    }
    let (name, short) = (container.runtime.name(), short(container));
    let action = ctx.request.action;
    let first = words::process(main);
    let (does, whole) = match action {
        Action::Kill => (format!("{name} would signal its first process, {first}"), "that one"),
        _ => (format!("{action} would also touch {first}, and what else runs in it"), "all of it"),
    };
    let choices = words::choices(ctx, &format!("provost {action} pid:{} for {whole}", main.pid()));
    let reason = format!("it is only a part of the container {short} ({name}): {does}");
    Some(ctx.refuse(Stopper::Choose, reason).unlock(choices))
}

/// The pids above a process, as far as they are in the container.
fn ancestors(ctx: &Ctx<'_>, pid: u32) -> Vec<u32> {
    let mut above = Vec::new();
    let mut at = ctx.owner.process(pid);
    while let Some(parent) = at.and_then(|p| ctx.owner.process(p.ppid)).filter(|p| !above.contains(&p.pid())) {
        above.push(parent.pid());
        at = Some(parent);
    }
    above
}

/// Who could do what the runtime's command cannot.
fn elsewhere(ctx: &Ctx<'_>, container: &Container) -> Option<String> {
    match (container.runtime, &container.pod, ctx.request.action) {
        (_, Some(pod), _) => Some(format!("it is part of the Kubernetes pod {pod}, which kubectl controls")),
        (Runtime::Containerd, None, action @ (Action::Stop | Action::Start | Action::Restart | Action::Kill)) => {
            Some(format!("whoever may use containerd can run: nerdctl {action} {}", short(container)))
        }
        (_, None, Action::Kill | Action::Stop) => {
            let may = ctx.owner.signals.iter().any(|(_, answer)| *answer == SignalAnswer::Allowed);
            may.then(|| "--only-process signals its processes directly".to_owned())
        }
        _ => None,
    }
}

/// What follows the program's name, where the runtime can do it at all.
fn arguments(ctx: &Ctx<'_>, container: &Container) -> Option<Vec<String>> {
    use Runtime::{Containerd, Crio, Docker, Lxc, Machine, Nspawn, Podman};
    let id = container.id.clone();
    // It would be read as an option; no runtime allows such a name.
    if id.is_empty() || id.starts_with('-') {
        return None;
    }
    let signal = ctx.request.signal.to_string();
    let all = ctx.request.whom == Whom::All;
    let words = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).chain([id.clone()]).collect());
    match (container.runtime, ctx.request.action) {
        // crictl knows what Kubernetes runs, and nothing else.
        (Containerd, _) if container.pod.is_none() => None,
        (Docker | Podman, Action::Stop) if ctx.request.force => words(&["kill"]),
        (Docker | Podman, Action::Stop) => words(&["stop"]),
        (Docker | Podman, Action::Start) => words(&["start"]),
        (Docker | Podman, Action::Restart) => words(&["restart"]),
        (Docker | Podman, Action::Kill) if !all => words(&["kill", "--signal", &signal]),
        (Containerd | Crio, Action::Stop) if ctx.request.force => words(&["stop", "--timeout", "0"]),
        (Containerd | Crio, Action::Stop) => words(&["stop"]),
        (Lxc, Action::Stop) if ctx.request.force => words(&["-k", "-n"]),
        (Lxc, Action::Stop) => words(&["-n"]),
        (Nspawn | Machine, Action::Stop) if ctx.request.force => words(&["terminate"]),
        (Nspawn | Machine, Action::Stop) => words(&["poweroff"]),
        (Nspawn | Machine, Action::Restart) => words(&["reboot"]),
        (Nspawn | Machine, Action::Kill) => {
            let whom = if all { "--kill-whom=all" } else { "--kill-whom=leader" };
            words(&["kill", whom, "--signal", &signal])
        }
        _ => None,
    }
}
