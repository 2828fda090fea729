//! The privileged helper as the means: where the caller's own rights do not suffice, and polkit may
//! allow it all the same. Its own answer, for this caller and this target, is the verdict.
//!
//! It comes after everything that the caller may do alone, and root never needs it.

use super::{Ctx, PlanExt, process, words};
use crate::model::{
    Action, Aim, Explained, Ladder, Means, Plan, Process, Reach, SignalAnswer, Step, Stopper, UnitKind, UnitName,
    Verdict, Whom,
};

/// What was answered, taken together: the worst of it counts.
struct Answer<'a> {
    verdict: Verdict,
    of: &'a Explained,
}

/// Ends or signals processes of which the kernel lets the caller signal `denied` not. `None` where
/// the helper said nothing of them.
pub(super) fn processes(ctx: &Ctx<'_>, reached: &[&Process], denied: &[&Process], step: &Step) -> Option<Plan> {
    if ctx.facts.caller.is_root() {
        return None;
    }
    let (asked, action): (Vec<u32>, Action) = match step {
        Step::End { processes, .. } => (processes.iter().map(|aim| aim.identity.pid).collect(), Action::Stop),
        _ => (denied.iter().map(|process| process.pid()).collect(), Action::Kill),
    };
    let answer = worst(ctx, &asked, action)?;
    let why = why_not_alone(ctx, reached, denied);
    if answer.verdict == Verdict::Denied {
        return Some(refused(ctx, &format!("a direct signal is not permitted: {why}"), answer.of, None));
    }
    let interactive = may_ask(ctx, answer.verdict);
    let steps = match step {
        Step::End { processes, ladder } => {
            vec![Step::HelperEnd { processes: processes.clone(), ladder: ladder.clone(), interactive }]
        }
        // The helper first: who is not let, or types no password, has done nothing.
        Step::Signal { processes, signal } => {
            let is_denied = |aim: &&Aim| denied.iter().any(|process| process.identity == aim.identity);
            let (theirs, own): (Vec<&Aim>, Vec<&Aim>) = processes.iter().partition(is_denied);
            // Of many processes the kernel was not asked about each.
            let allowed = |aim: &&Aim| ctx.owner.signal_answer(aim.identity.pid) == Some(SignalAnswer::Allowed);
            if !own.iter().all(allowed) {
                return None;
            }
            let cloned = |all: Vec<&Aim>| all.into_iter().cloned().collect::<Vec<Aim>>();
            let signal = *signal;
            let helped = Step::HelperSignal { processes: cloned(theirs), signal, interactive };
            let own = (!own.is_empty()).then(|| Step::Signal { processes: cloned(own), signal });
            [helped].into_iter().chain(own).collect()
        }
        _ => return None,
    };
    Some(go(ctx, &answer, &why, steps))
}

/// A unit of another user's manager. `None` where the helper said nothing of it.
pub(super) fn user_unit(ctx: &Ctx<'_>, uid: u32, unit: &UnitName) -> Option<Plan> {
    let action = ctx.request.action;
    if ctx.facts.caller.is_root() || uid == ctx.facts.caller.uid {
        return None;
    }
    let of = ctx.owner.helper.as_ref()?.unit.get(&action)?;
    let user = ctx.owner.user.clone().unwrap_or_else(|| format!("uid {uid}"));
    if action == Action::Start && process::alive(ctx).next().is_some() {
        return Some(ctx.already(Means::Helper, format!("{unit} of {user} is running already")));
    }
    if let Some(refusal) = part(ctx, unit) {
        return Some(refusal);
    }
    // A scope has no main process; what was matched in it gets the signal itself.
    if action == Action::Kill && unit.kind() == UnitKind::Scope && ctx.request.whom == Whom::Main {
        return Some(process::decide(ctx));
    }
    let directly = directly(ctx);
    if action == Action::Stop && ctx.request.force {
        let reason = format!("the helper stops {unit} as its unit says, and never at once");
        return Some(
            ctx.refuse(Stopper::Impossible, reason)
                .unlock("without --force it is stopped; --only-process --force kills its processes"),
        );
    }
    if action == Action::Kill && ctx.request.whom == Whom::All {
        let reason = format!("the helper signals the main process of {unit} only");
        return Some(
            ctx.refuse(Stopper::Impossible, reason).unlock("--only-process --whom all signals each of its processes"),
        );
    }
    let why = format!("{unit} belongs to the user manager of {user}, which obeys {user} and root only");
    if of.verdict == Verdict::Denied {
        return Some(refused(ctx, &why, of, directly));
    }
    let answer = Answer { verdict: of.verdict, of };
    let interactive = may_ask(ctx, of.verdict);
    let step = Step::HelperUnit { uid, unit: unit.clone(), action, signal: ctx.request.signal, interactive };
    let mut plan = go(ctx, &answer, &format!("{unit} is a unit of the user manager of {user}"), vec![step]);
    if action == Action::Stop && ctx.request.ladder != Ladder::default() {
        plan = plan.warn("--signals is for processes without a unit; this one is stopped as its unit says");
    }
    if action == Action::Reload {
        plan = plan.warn(format!("whether {unit} can reload, its manager says only when it is asked"));
    }
    if plan.verdict != Verdict::Allowed && directly.is_some() {
        plan = plan.unlock_if(directly);
    }
    Some(plan)
}

/// Whether the helper would do it for these processes, asked or not: what to offer beside others.
pub(super) fn may_signal(ctx: &Ctx<'_>) -> bool {
    let action = if ctx.request.action == Action::Kill { Action::Kill } else { Action::Stop };
    worst(ctx, &ctx.owner.matched, action).is_some_and(|answer| answer.verdict != Verdict::Denied)
}

/// The worst of the answers for these processes; unknown where some were not given.
fn worst<'a>(ctx: &'a Ctx<'_>, pids: &[u32], action: Action) -> Option<Answer<'a>> {
    let helper = ctx.owner.helper.as_ref()?;
    let answers: Vec<&Explained> = pids.iter().filter_map(|pid| helper.of_process(*pid, action)).collect();
    let rank = |verdict: Verdict| match verdict {
        Verdict::Allowed => 0,
        Verdict::NeedsPassword => 1,
        Verdict::UnknownUntilAsked => 2,
        Verdict::Denied => 3,
    };
    let of = answers.iter().copied().max_by_key(|answer| rank(answer.verdict))?;
    let missing = answers.len() < pids.len() && of.verdict != Verdict::Denied;
    Some(Answer { verdict: if missing { Verdict::UnknownUntilAsked } else { of.verdict }, of })
}

fn may_ask(ctx: &Ctx<'_>, verdict: Verdict) -> bool {
    verdict != Verdict::Allowed && words::no_password_here(ctx).is_none()
}

/// The plan by the helper, with its reason.
fn go(ctx: &Ctx<'_>, answer: &Answer<'_>, why: &str, steps: Vec<Step>) -> Plan {
    let polkit = polkit(answer.of);
    let user = &ctx.facts.caller.user;
    let rule = words::helper_rule(ctx, answer.of);
    match (answer.verdict, words::no_password_here(ctx)) {
        (Verdict::Allowed, _) => {
            let reason = format!("{why}; provost's helper does it, and asks {user} for no password{polkit}");
            ctx.go(Means::Helper, Verdict::Allowed, reason, steps)
        }
        (Verdict::NeedsPassword, Some(no)) => {
            let whose = words::whose_password(ctx);
            let reason = format!("{why}; provost's helper wants a password, {whose}{polkit}, and {no}");
            let plan = ctx.plan(Means::Helper, Verdict::NeedsPassword, reason);
            Plan { stopper: Some(Stopper::NotPermitted), ..plan }.unlock_if(rule)
        }
        (Verdict::NeedsPassword, None) => {
            let whose = words::whose_password(ctx);
            let reason = format!("{why}; provost's helper will ask for a password, {whose}{polkit}");
            ctx.go(Means::Helper, Verdict::NeedsPassword, reason, steps).unlock_if(rule)
        }
        (verdict, _) => {
            let reason = format!("{why}; provost's helper will be asked, and not all of its answers are known before");
            ctx.go(Means::Helper, verdict, reason, steps).unlock_if(rule)
        }
    }
}

/// The polkit action that decides, as " (polkit signal-process)".
fn polkit(of: &Explained) -> String {
    let action = of.polkit_action.as_str();
    match action.strip_prefix("org.provost.").unwrap_or(action) {
        "" => String::new(),
        action => format!(" (polkit {action})"),
    }
}

/// Neither the caller's own rights nor the helper allow it.
fn refused(ctx: &Ctx<'_>, why: &str, of: &Explained, directly: Option<String>) -> Plan {
    let said = match of.reason.trim().trim_end_matches('.') {
        "" => format!("polkit says no{}", polkit(of)),
        reason => crate::text::clip_to(reason, 200),
    };
    let reason = format!("{why}; provost's helper refuses it, too: {said}");
    let plan = Plan { stopper: Some(Stopper::NotPermitted), ..ctx.plan(Means::Probe, Verdict::Denied, reason) };
    let root = || "root can do it".to_owned();
    plan.unlock(directly.or_else(|| words::helper_rule(ctx, of)).unwrap_or_else(root))
}

fn why_not_alone(ctx: &Ctx<'_>, reached: &[&Process], denied: &[&Process]) -> String {
    match denied {
        [first, ..] if denied.len() < reached.len() => {
            format!("you may not signal {} of its {} processes: {}", denied.len(), reached.len(), words::process(first))
        }
        _ => words::run_as_others(ctx),
    }
}

/// What a direct signal could do beside the unit.
pub(super) fn directly(ctx: &Ctx<'_>) -> Option<String> {
    let allowed = ctx.owner.matched.iter().any(|pid| ctx.owner.signal_answer(*pid) == Some(SignalAnswer::Allowed));
    let fits = allowed && matches!(ctx.request.action, Action::Stop | Action::Kill);
    fits.then(|| "--only-process signals the process itself; its manager may start it again".to_owned())
}

/// The target is a part of the unit only. Which process is the main one is not known: that of
/// which all others descend stands for the whole.
fn part(ctx: &Ctx<'_>, unit: &UnitName) -> Option<Plan> {
    if ctx.owner.named || ctx.owner.includes_main {
        return None;
    }
    let action = ctx.request.action;
    let tops: Vec<&Process> = ctx.owner.processes.iter().filter(|p| ctx.owner.process(p.ppid).is_none()).collect();
    let others: Vec<&Process> = ctx.owner.processes.iter().filter(|p| !ctx.owner.tree.contains(&p.pid())).collect();
    let touched = others.first().map_or_else(|| "the rest of it".to_owned(), |first| words::process(first));
    let touched = if others.len() > 1 { format!("{touched}, and {} more", others.len() - 1) } else { touched };
    let reason = format!("it is only a part of {unit}: {action} through the unit would also touch {touched}");
    let whole = match tops.as_slice() {
        [top] => format!("provost {action} pid:{} for all of it", top.pid()),
        _ => format!("{unit} as a whole can be named by all of its processes only"),
    };
    Some(ctx.refuse(Stopper::Choose, reason).unlock(words::choices(ctx, &whole)))
}

/// What would make the helper a means where there is none.
pub(super) fn where_it_is_missing(ctx: &Ctx<'_>) -> &'static str {
    match ctx.facts.host.helper {
        Reach::No(_) if ctx.facts.host.has_systemd() => {
            "; with provost installed for the system, also whom polkit allows: provost install --system"
        }
        _ => "",
    }
}
