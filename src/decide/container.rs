//! Containers are left to their runtime: its command is named, and used where its socket is
//! accessible to the caller.

use super::{Ctx, PlanExt};
use crate::model::{Action, Container, Means, Plan, Runtime, Step, Stopper, Verdict};

/// Decides for an owner that is a container.
pub(super) fn decide(ctx: &Ctx<'_>, container: &Container) -> Plan {
    let name = container.runtime.name();
    let Some(arguments) = arguments(ctx, container) else {
        let plan = ctx.refuse(
            Stopper::Impossible,
            format!("it runs in a container of {name}, which has no way to {} it", ctx.request.action),
        );
        return match &container.pod {
            Some(pod) => {
                plan.unlock(format!("it is part of the Kubernetes pod {pod}: kubectl decides what runs there"))
            }
            None => plan,
        };
    };
    if ctx.request.action == Action::Start {
        return ctx.already(Means::Container, "the container is running already");
    }
    let short: String = container.id.chars().take(12).collect();
    match &ctx.owner.runtime_command {
        Some(command) => {
            let argv: Vec<String> = command.iter().cloned().chain(arguments).collect();
            let reason = format!("{name} does it, whose container {short} it is: {}", argv.join(" "));
            ctx.go(Means::Container, Verdict::Allowed, reason, vec![Step::Command { argv }])
        }
        None => {
            let command = format!("{} {}", program(container.runtime), arguments.join(" "));
            let reason = format!(
                "it runs in the container {short} of {name}, and {} has no access to {name}",
                ctx.facts.caller.user
            );
            Plan { stopper: Some(Stopper::NotPermitted), ..ctx.plan(Means::Container, Verdict::Denied, reason) }
                .unlock(format!("who may use {name} runs: {command}"))
        }
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

/// What follows the program's name, where the runtime can do it at all.
fn arguments(ctx: &Ctx<'_>, container: &Container) -> Option<Vec<String>> {
    let id = container.id.clone();
    let signal = ctx.request.signal.to_string();
    let words = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).chain([id.clone()]).collect());
    match (container.runtime, ctx.request.action) {
        (Runtime::Docker | Runtime::Podman, Action::Stop) if ctx.request.force => words(&["kill"]),
        (Runtime::Docker | Runtime::Podman, Action::Stop) => words(&["stop"]),
        (Runtime::Docker | Runtime::Podman, Action::Start) => words(&["start"]),
        (Runtime::Docker | Runtime::Podman, Action::Restart) => words(&["restart"]),
        (Runtime::Docker | Runtime::Podman, Action::Kill) => words(&["kill", "--signal", &signal]),
        (Runtime::Containerd | Runtime::Crio, Action::Stop) => words(&["stop"]),
        (Runtime::Lxc, Action::Stop) => words(&["-n"]),
        (Runtime::Nspawn | Runtime::Machine, Action::Stop) if ctx.request.force => words(&["terminate"]),
        (Runtime::Nspawn | Runtime::Machine, Action::Stop) => words(&["poweroff"]),
        (Runtime::Nspawn | Runtime::Machine, Action::Restart) => words(&["reboot"]),
        (Runtime::Nspawn | Runtime::Machine, Action::Kill) => words(&[
            "kill",
            if ctx.request.whom == crate::model::Whom::All { "--kill-whom=all" } else { "--kill-whom=leader" },
            "--signal",
            &signal,
        ]),
        _ => None,
    }
}
