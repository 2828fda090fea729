//! Processes without a unit of their own: direct signals through pidfds.

use super::{Ctx, PlanExt, helper, protect, words};
use crate::model::{
    Action, Aim, Ladder, Means, Owner, Plan, ProcState, Process, SignalAnswer, Step, Stopper, Verdict, Whom,
};
use crate::text::shell_quote;

/// Decides for bare processes, processes of a session, and processes in a scope of somebody else.
pub(super) fn decide(ctx: &Ctx<'_>) -> Plan {
    let exact = shell_quote(&ctx.owner.exact);
    match ctx.request.action {
        Action::Start if alive(ctx).next().is_some() => ctx.already(own_means(ctx), "it is running already"),
        Action::Start | Action::Restart => {
            let plan = ctx
                .refuse(Stopper::Impossible, "it has no unit of its own, so nothing here knows how to start it again");
            if alive(ctx).next().is_some() {
                plan.unlock(format!("provost stop {exact}, then start it the way it was started"))
            } else {
                plan.unlock("start it the way it was started, or: provost ensure NAME -- COMMAND")
            }
        }
        Action::Reload => ctx
            .refuse(Stopper::Impossible, "it has no unit of its own, so nothing here knows how it reloads")
            .unlock(format!("many programs reload on SIGHUP: provost kill -s HUP {exact}")),
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
        Some(unit) if ctx.owner.includes_main && !plan.steps.is_empty() => words::warn_if_comes_again(plan, unit),
        _ => plan,
    }
}

fn stop(ctx: &Ctx<'_>) -> Plan {
    let reached: Vec<&Process> = alive(ctx).filter(|p| ctx.owner.tree.contains(&p.pid())).collect();
    let roots: Vec<&Process> = reached.iter().copied().filter(|p| ctx.owner.matched.contains(&p.pid())).collect();
    if roots.is_empty() {
        return ended(ctx);
    }
    let ladder = if ctx.request.force { Ladder::force() } else { ctx.request.ladder.clone() };
    let words = why_allowed(ctx, reached.len(), &ladder.to_string());
    let step = Step::End { processes: roots.iter().map(|p| Aim::from(*p)).collect(), ladder };
    permitted(ctx, &reached, &roots, words, step)
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
    let words = why_allowed(ctx, reached.len(), &signal.to_string());
    let processes = reached.iter().map(|p| Aim::from(*p)).collect();
    permitted(ctx, &reached, &reached, words, Step::Signal { processes, signal })
}

/// The kernel's own answer to signal 0 is the verdict. `aims` are those of `reached` that the
/// step names; what descends from them is found when the step is carried out.
fn permitted(ctx: &Ctx<'_>, reached: &[&Process], aims: &[&Process], words: String, step: Step) -> Plan {
    if let Some(refusal) = protect::processes(ctx, reached) {
        return refusal;
    }
    let answer = |p: &Process| ctx.owner.signal_answer(p.pid());
    let denied: Vec<&Process> = reached.iter().copied().filter(|p| answer(p) == Some(SignalAnswer::Denied)).collect();
    if let Some(first) = denied.first() {
        return helper::processes(ctx, reached, &denied, &step)
            .unwrap_or_else(|| not_permitted(ctx, reached, first, denied.len()));
    }
    if aims.iter().any(|p| answer(p).is_none()) {
        let reason = "there are too many processes to ask the kernel about each of them";
        return ctx.refuse(Stopper::Impossible, reason).unlock("name fewer at a time, as pid:N");
    }
    if reached.iter().any(|p| answer(p).is_none()) {
        let reason = "you may signal it; the kernel was not asked about every process below it";
        return ctx.go(own_means(ctx), Verdict::UnknownUntilAsked, reason, vec![step]);
    }
    let plan = ctx.go(own_means(ctx), Verdict::Allowed, words, vec![step]);
    match reached.iter().find(|p| p.state == ProcState::Uninterruptible) {
        Some(p) => plan
            .warn(format!("{} is in uninterruptible sleep (D): no signal ends it before the kernel lets go", p.pid())),
        None => plan,
    }
}

/// Why signals are the means, and which ones.
fn why_allowed(ctx: &Ctx<'_>, count: usize, signals: &str) -> String {
    let why = match &ctx.owner.owner {
        _ if ctx.request.only_process => String::new(),
        Owner::OwnService { .. } => "provost started it, and ".to_owned(),
        Owner::Bare { .. } | Owner::Session { .. } => "it has no unit of its own, and ".to_owned(),
        owner => match owner.unit().filter(|_| ctx.in_scope_of_others()) {
            Some((_, scope)) => format!("it is one of several things in {scope}, and "),
            None => String::new(),
        },
    };
    match count {
        1 => format!("{why}you may signal it: {signals}"),
        n => format!("{why}you may signal its {n} processes: {signals}"),
    }
}

fn not_permitted(ctx: &Ctx<'_>, reached: &[&Process], first: &Process, denied: usize) -> Plan {
    let all = reached.len();
    let partly = denied < all;
    let reason = if partly {
        format!("you may not signal {denied} of its {all} processes: {}", words::process(first))
    } else {
        format!("a direct signal is not permitted: {}", words::run_as_others(ctx))
    };
    let who = ctx.owner.user.as_deref().filter(|u| !partly && *u != "root" && *u != ctx.facts.caller.user);
    let plan = Plan { stopper: Some(Stopper::NotPermitted), ..ctx.plan(Means::Probe, Verdict::Denied, reason) };
    let also = helper::where_it_is_missing(ctx);
    plan.unlock(match who {
        Some(user) => format!("{user} or root can do it, and whoever has CAP_KILL{also}"),
        None => format!("root can do it, and whoever has CAP_KILL{also}"),
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
        Owner::OwnService { .. } if ctx.owner.service.is_none() => Means::OwnService,
        _ => Means::Signal,
    }
}

/// What had not ended when it was looked at.
pub(super) fn alive<'a>(ctx: &'a Ctx<'_>) -> impl Iterator<Item = &'a Process> {
    let gone = |p: &Process| ctx.owner.signal_answer(p.pid()) == Some(SignalAnswer::Gone);
    ctx.owner.processes.iter().filter(move |p| p.state != ProcState::Zombie && !gone(p))
}
