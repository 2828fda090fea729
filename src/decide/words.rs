//! The sentences of reasons and unlocks that several rules share.

use super::{Ctx, PlanExt, helper};
use crate::model::{Action, Explained, Manager, Plan, Polkit, Process, SignalAnswer, UnitFacts};
use crate::text::shell_quote;

/// Whose password it usually is. Nothing that an ordinary user can read says it for certain.
pub(super) fn whose_password(ctx: &Ctx<'_>) -> String {
    match &ctx.facts.host.admin_group {
        Some(group) => format!("usually that of root or a member of {group}"),
        None => "usually that of root".to_owned(),
    }
}

/// Why a password cannot be typed here, if it cannot.
pub(super) fn no_password_here(ctx: &Ctx<'_>) -> Option<&'static str> {
    if !ctx.request.ask_password {
        Some("--no-ask-password forbids to ask for it")
    } else if !ctx.facts.caller.interactive {
        Some("there is no terminal to ask on")
    } else if !ctx.facts.host.pkttyagent {
        Some("pkttyagent, which asks on a terminal, is not installed")
    } else {
        None
    }
}

/// What an administrator can do so that it works without a password; nothing for what the rule
/// that provost prints does not cover.
pub(super) fn standing_permission(ctx: &Ctx<'_>, manager: Manager, facts: &UnitFacts) -> Option<String> {
    let caller = &ctx.facts.caller;
    let verbs = super::polkit_rule::verbs(facts);
    // polkit decides about the units of the system, and root needs no rule.
    if manager != Manager::System || caller.is_root() || !verbs.contains(&ctx.request.action.verb()) {
        return None;
    }
    let print = format!("provost inspect {} --polkit-rule", shell_quote(&ctx.owner.unit_form()));
    let what = format!("for {} on {} of {}", caller.user, verbs.join(", "), facts.id);
    Some(match &ctx.facts.host.polkit {
        Polkit::Absent => format!("there is no polkit here; a sudoers line {what}, to use with --sudo: {print}"),
        polkit if polkit.has_rules() == Some(false) => {
            format!(
                "polkit here is older than 0.106 and knows no rules; a sudoers line {what}, to use with --sudo: {print}"
            )
        }
        _ => format!("a polkit rule {what}: {print}"),
    })
}

/// What an administrator can do so that the helper does it without a password.
pub(super) fn helper_rule(ctx: &Ctx<'_>, of: &Explained) -> Option<String> {
    let caller = &ctx.facts.caller;
    super::helper_rule(caller, of)?;
    let print = format!("provost inspect {} --polkit-rule", shell_quote(&ctx.owner.exact));
    Some(format!("a polkit rule for {} on this: {print}", caller.user))
}

/// Whether the owner's processes run as somebody else, said in a sentence.
pub(super) fn run_as_others(ctx: &Ctx<'_>) -> String {
    let caller = &ctx.facts.caller.user;
    match &ctx.owner.user {
        Some(user) if user != caller => format!("it runs as {user}, you are {caller}"),
        _ => format!("the kernel does not let {caller} signal it"),
    }
}

/// Tells that systemd starts the unit again, and how sure that is.
pub(super) fn warn_if_comes_again(plan: Plan, unit: &UnitFacts) -> Plan {
    let (id, restart) = (&unit.id, &unit.restart);
    if !unit.restarts() {
        plan
    } else if restart == "always" {
        plan.warn(format!("systemd starts {id} again when it ends (Restart=always)"))
    } else {
        plan.warn(format!("systemd may start {id} again when it ends (Restart={restart})"))
    }
}

/// A process in a sentence.
pub(super) fn process(process: &Process) -> String {
    format!("{} {}", process.pid(), crate::text::clip(&process.command()))
}

/// What to choose from where the target is a part of something: the `whole`, or the part.
pub(super) fn choices(ctx: &Ctx<'_>, whole: &str) -> String {
    let denied = ctx.owner.matched.iter().any(|pid| ctx.owner.signal_answer(*pid) == Some(SignalAnswer::Denied));
    match ctx.request.action {
        Action::Stop | Action::Kill if denied && !helper::may_signal(ctx) => {
            format!("choose: {whole}; --only-process is for this part alone, which you may not signal")
        }
        Action::Stop | Action::Kill => format!("choose: {whole}, or --only-process for this part alone"),
        _ => whole.to_owned(),
    }
}

/// A target that leads to the whole unit: its name, or the main process of a unit that belongs to
/// the manager of another user, which `user-unit:` does not reach.
pub(super) fn all_of_it(ctx: &Ctx<'_>) -> String {
    let foreign = matches!(ctx.owner.owner.unit(), Some((Manager::User(uid), _)) if uid != ctx.facts.caller.uid);
    match ctx.owner.unit.as_ref().and_then(|u| u.main_pid) {
        Some(main) if foreign => format!("pid:{main}"),
        _ => shell_quote(&ctx.owner.unit_form()),
    }
}

/// systemctl, as it speaks to the manager of the owner's unit.
pub(super) fn systemctl(ctx: &Ctx<'_>) -> &'static str {
    match ctx.owner.owner.unit() {
        Some((Manager::User(_), _)) => "systemctl --user",
        _ => "systemctl",
    }
}

/// Who may change what the manager loads.
pub(super) fn who_may_change(ctx: &Ctx<'_>) -> &'static str {
    match ctx.owner.owner.unit() {
        Some((Manager::User(_), _)) => "its user can",
        _ => "an administrator can",
    }
}
