//! Processes without a unit of their own: direct signals through pidfds.

use super::{Ctx, PlanExt, words};
use crate::model::{
    Action, Aim, Ladder, Means, Owner, Plan, ProcState, Process, SignalAnswer, Step, Stopper, Verdict, Whom,
};

/// Decides for bare processes, processes of a session, and processes in a scope of somebody else.
pub(super) fn decide(ctx: &Ctx<'_>) -> Plan {
    match ctx.request.action {
        Action::Start if alive(ctx).next().is_some() => ctx.already(own_means(ctx), "it is running already"),
        Action::Start | Action::Restart => ctx
            .refuse(Stopper::Impossible, "it has no unit, so nothing here knows how to start it again")
            .unlock("provost stop it, and start it as it was started; or provost ensure TARGET -- COMMAND"),
        Action::Reload => {
            ctx.refuse(Stopper::Impossible, "it has no unit, so nothing here knows how it reloads").unlock(format!(
                "many programs reload on SIGHUP: provost kill -s HUP {}",
                crate::text::shell_quote(&ctx.owner.exact)
            ))
        }
        Action::Stop => stop(ctx),
        Action::Kill => kill(ctx),
    }
}

/// `--only-process`: the matched processes alone, in spite of their unit.
pub(super) fn only_process(ctx: &Ctx<'_>) -> Plan {
    let plan = match ctx.request.action {
        Action::Stop => stop(ctx),
        Action::Kill => kill(ctx),
        action => {
            return ctx
                .refuse(Stopper::Choose, format!("--only-process goes with stop and kill; {action} needs the unit"));
        }
    };
    match &ctx.owner.unit {
        Some(unit) if unit.restarts() && ctx.owner.includes_main => {
            plan.warn(format!("systemd starts {} again when its main process ends (Restart={})", unit.id, unit.restart))
        }
        _ => plan,
    }
}

fn stop(ctx: &Ctx<'_>) -> Plan {
    let reached: Vec<&Process> = alive(ctx).filter(|p| ctx.owner.tree.contains(&p.pid())).collect();
    if reached.is_empty() {
        return ended(ctx);
    }
    let ladder = if ctx.request.force { Ladder::force() } else { ctx.request.ladder.clone() };
    let roots: Vec<Aim> =
        reached.iter().filter(|p| ctx.owner.matched.contains(&p.pid())).map(|p| Aim::from(*p)).collect();
    let words = match reached.len() {
        1 => format!("a direct signal: {ladder}"),
        n => format!("direct signals to its {n} processes: {ladder}"),
    };
    permitted(ctx, &reached, words, vec![Step::End { processes: roots, ladder }])
}

fn kill(ctx: &Ctx<'_>) -> Plan {
    let wanted = |p: &&Process| match ctx.request.whom {
        Whom::Main => ctx.owner.matched.contains(&p.pid()),
        Whom::All => ctx.owner.tree.contains(&p.pid()),
    };
    let reached: Vec<&Process> = alive(ctx).filter(wanted).collect();
    if reached.is_empty() {
        return ended(ctx);
    }
    let signal = ctx.request.signal;
    let processes = reached.iter().map(|p| Aim::from(*p)).collect();
    permitted(ctx, &reached, format!("a direct signal: {signal}"), vec![Step::Signal { processes, signal }])
}

/// The kernel's own answer to signal 0 is the verdict.
fn permitted(ctx: &Ctx<'_>, reached: &[&Process], words: String, steps: Vec<Step>) -> Plan {
    let answer = |p: &Process| ctx.owner.signal_answer(p.pid());
    let denied: Vec<&&Process> = reached.iter().filter(|p| answer(p) == Some(SignalAnswer::Denied)).collect();
    let Some(first) = denied.first() else {
        if reached.iter().any(|p| answer(p).is_none()) {
            let reason = "direct signals; the kernel was not asked whether it permits them";
            return ctx.go(own_means(ctx), Verdict::UnknownUntilAsked, reason, steps);
        }
        let plan = ctx.go(own_means(ctx), Verdict::Allowed, words, steps);
        return match reached.iter().find(|p| p.state == ProcState::Uninterruptible) {
            Some(p) => plan.warn(format!(
                "{} is in uninterruptible sleep (D): no signal ends it before the kernel lets go",
                p.pid()
            )),
            None => plan,
        };
    };
    let some_are_ours = denied.len() < reached.len();
    let reason = if some_are_ours {
        format!(
            "{} of its {} processes may not be signalled by you, {} the first",
            denied.len(),
            reached.len(),
            first.pid()
        )
    } else {
        format!("a direct signal is not permitted: {}", words::run_as_others(ctx))
    };
    let plan = Plan { stopper: Some(Stopper::NotPermitted), ..ctx.plan(Means::Probe, Verdict::Denied, reason) };
    let who = ctx.owner.user.as_deref().filter(|u| *u != ctx.facts.caller.user);
    plan.unlock(match who {
        Some(user) if user != "root" => format!("{user} or root may; CAP_KILL also gives the right"),
        _ => "root may; CAP_KILL also gives the right".to_owned(),
    })
}

/// Nothing of it runs any more.
fn ended(ctx: &Ctx<'_>) -> Plan {
    let zombie = ctx.owner.processes.iter().find(|p| p.state == ProcState::Zombie);
    let state = match zombie {
        Some(p) => format!("it has ended; its parent {} has not waited for it yet (a zombie)", p.ppid),
        None => "it has ended".to_owned(),
    };
    if ctx.request.action == Action::Stop {
        return ctx.already(own_means(ctx), state);
    }
    ctx.refuse(Stopper::Impossible, state)
}

fn own_means(ctx: &Ctx<'_>) -> Means {
    match ctx.owner.owner {
        Owner::OwnService { .. } => Means::OwnService,
        _ => Means::Signal,
    }
}

fn alive<'a>(ctx: &'a Ctx<'_>) -> impl Iterator<Item = &'a Process> {
    ctx.owner.processes.iter().filter(|p| p.state != ProcState::Zombie)
}
