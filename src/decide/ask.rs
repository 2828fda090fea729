//! The manager of a unit is asked; its answer to a call that it refuses only after authorisation
//! is the verdict.

use super::unit::means_of;
use super::{Ctx, PlanExt, words};
use crate::model::{Action, Answer, Manager, Means, Plan, SignalAnswer, Step, Stopper, UnitFacts, Verdict};

/// A job or KillUnit, by the answer of the manager.
pub(super) fn ask(ctx: &Ctx<'_>, manager: Manager, facts: &UnitFacts) -> Plan {
    let (id, action) = (&facts.id, ctx.request.action);
    let force = ctx.request.force && action == Action::Stop && !facts.control_group.is_empty();
    let answer = answer(facts, action, force);
    let plan = if let Answer::Refused(message) = &answer {
        ctx.refuse(Stopper::Impossible, format!("systemd refuses it: {message}"))
    } else if answer != Answer::Allowed && sudo_allows(ctx, manager, facts, force) {
        let reason = format!("sudo allows systemctl {action} {id} without a password");
        let argv = ["sudo", "-n", "systemctl", action.verb(), id.as_str()].map(String::from).to_vec();
        ctx.go(Means::Sudo, Verdict::Allowed, reason, vec![Step::Command { argv }])
    } else {
        by_manager(ctx, manager, facts, answer, force)
    };
    notes(ctx, manager, facts, plan)
}

fn by_manager(ctx: &Ctx<'_>, manager: Manager, facts: &UnitFacts, answer: Answer, force: bool) -> Plan {
    let request = ctx.request;
    let (means, unit) = (means_of(manager), facts.id.clone());
    let no_password = words::no_password_here(ctx);
    let may_prompt = matches!(answer, Answer::NeedsPassword | Answer::Unknown(_) | Answer::WouldPrompt(_));
    let interactive = may_prompt && no_password.is_none();
    let step = match request.action {
        Action::Kill => Step::KillUnit { manager, unit, whom: request.whom, signal: request.signal, interactive },
        action => Step::Job { manager, unit, action, force, interactive },
    };
    let (verdict, reason) = match answer {
        Answer::Allowed => return ctx.go(means, Verdict::Allowed, why_allowed(ctx, manager), vec![step]),
        Answer::NeedsPassword => {
            let whose = words::whose_password(ctx);
            if let Some(why) = no_password {
                let reason = format!("systemd wants a password, {whose} (polkit manage-units), and {why}");
                let plan = ctx.plan(means, Verdict::NeedsPassword, reason);
                let plan = Plan { stopper: Some(Stopper::NotPermitted), ..plan };
                return plan.unlock_if(words::standing_permission(ctx, manager, facts));
            }
            let reason = format!("systemd will be asked, and will ask for a password, {whose} (polkit manage-units)");
            (Verdict::NeedsPassword, reason)
        }
        Answer::Denied(message) => {
            (Verdict::Denied, format!("systemd does not let {} do it: {message}", ctx.facts.caller.user))
        }
        Answer::WouldPrompt(message) if !request.ask_password => {
            let reason = format!("--no-ask-password forbids to ask systemd: {message}");
            let plan = ctx.plan(means, Verdict::UnknownUntilAsked, reason);
            let plan = Plan { stopper: Some(Stopper::NotPermitted), ..plan };
            return plan.unlock_if(words::standing_permission(ctx, manager, facts));
        }
        Answer::Refused(message) | Answer::Unknown(message) | Answer::WouldPrompt(message) => {
            let reason = format!("systemd will be asked; its answer cannot be known before ({message})");
            (Verdict::UnknownUntilAsked, reason)
        }
    };
    ctx.go(means, verdict, reason, vec![step]).unlock_if(words::standing_permission(ctx, manager, facts))
}

/// The answer for the action; `stop --force` needs both stop and kill, so the worse one counts.
fn answer(facts: &UnitFacts, action: Action, force: bool) -> Answer {
    let of = |action| {
        facts.answers.get(&action).cloned().unwrap_or_else(|| Answer::Unknown("the manager was not asked".to_owned()))
    };
    let rank = |answer: &Answer| match answer {
        Answer::Allowed => 0,
        Answer::NeedsPassword => 1,
        Answer::Unknown(_) | Answer::WouldPrompt(_) => 2,
        Answer::Denied(_) => 3,
        Answer::Refused(_) => 4,
    };
    let first = of(action);
    if !force {
        return first;
    }
    let second = of(Action::Kill);
    if rank(&second) > rank(&first) { second } else { first }
}

/// Whether sudo was asked and allows exactly the command that would be run. It is never asked
/// about kill, and so not for `--force`; a name that begins with `-` would be an option.
fn sudo_allows(ctx: &Ctx<'_>, manager: Manager, facts: &UnitFacts, force: bool) -> bool {
    let action = ctx.request.action;
    let verbs = ctx.owner.sudo.as_deref().filter(|_| ctx.request.sudo && manager == Manager::System);
    let fits = !force && action != Action::Kill && !facts.id.as_str().starts_with('-');
    fits && verbs.is_some_and(|verbs| verbs.iter().any(|v| v == action.verb()))
}

fn why_no_sudo(ctx: &Ctx<'_>, facts: &UnitFacts) -> String {
    match ctx.request.action {
        Action::Kill => "--sudo is not used for kill".to_owned(),
        Action::Stop if ctx.request.force => "--sudo is not used for stop --force".to_owned(),
        _ if ctx.owner.sudo.is_none() => "sudo was not found".to_owned(),
        action => format!("sudo does not allow systemctl {action} {} without a password", facts.id),
    }
}

/// What the person should know besides.
fn notes(ctx: &Ctx<'_>, manager: Manager, facts: &UnitFacts, mut plan: Plan) -> Plan {
    let request = ctx.request;
    if plan.stopper == Some(Stopper::Impossible) {
        return plan;
    }
    if request.sudo && manager == Manager::System && plan.verdict != Verdict::Allowed {
        plan = plan.warn(why_no_sudo(ctx, facts));
    }
    if request.action == Action::Stop {
        if request.ladder != crate::model::Ladder::default() {
            plan = plan.warn("--signals is for processes without a unit; systemd stops this one as its unit says");
        }
        plan = warn_of_triggers(ctx, manager, facts, plan);
    }
    if request.action == Action::Kill {
        plan = words::warn_if_comes_again(plan, facts);
        if plan.verdict != Verdict::Allowed {
            plan = directly(ctx, plan);
        }
    }
    plan
}

/// A socket, timer or path that would start the unit again.
pub(super) fn warn_of_triggers(ctx: &Ctx<'_>, manager: Manager, facts: &UnitFacts, plan: Plan) -> Plan {
    let form = match manager {
        Manager::User(uid) if uid == ctx.facts.caller.uid => "user-unit:",
        Manager::User(_) => "",
        Manager::System => "unit:",
    };
    let id = &facts.id;
    facts.active_triggers.iter().fold(plan, |plan, trigger| {
        let also = crate::text::shell_quote(&format!("{form}{trigger}"));
        plan.warn(format!(
            "{trigger} is active and starts {id} again when it is triggered; to prevent it, stop {also} too"
        ))
    })
}

/// What a direct signal could do where systemd does not simply allow it.
fn directly(ctx: &Ctx<'_>, mut plan: Plan) -> Plan {
    let answers: Vec<_> = ctx.owner.matched.iter().filter_map(|pid| ctx.owner.signal_answer(*pid)).collect();
    if answers.contains(&SignalAnswer::Denied) {
        plan.reason.push_str(&format!("; a direct signal is not permitted: {}", words::run_as_others(ctx)));
        plan
    } else if answers.contains(&SignalAnswer::Allowed) {
        plan.unlock("--only-process signals it directly, without asking systemd")
    } else {
        plan
    }
}

fn why_allowed(ctx: &Ctx<'_>, manager: Manager) -> String {
    let caller = &ctx.facts.caller;
    match manager {
        Manager::User(uid) if uid == caller.uid => "your user manager does it".to_owned(),
        Manager::User(uid) => {
            let user = ctx.owner.user.clone().unwrap_or_else(|| format!("uid {uid}"));
            format!("the user manager of {user} does it: you are root")
        }
        Manager::System if caller.is_root() => "systemd does it: you are root".to_owned(),
        Manager::System => format!("systemd does it, and asks {} for no password", caller.user),
    }
}
