//! The sentences of reasons and unlocks that several rules share.

use super::{Ctx, PlanExt};
use crate::model::{Action, Manager, Plan, Polkit, Process, SignalAnswer, UnitFacts};
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

/// What an administrator can do so that it works without a password. Only what the printed rule
/// or line really grants is promised here.
pub(super) fn standing_permission(ctx: &Ctx<'_>, manager: Manager, facts: &UnitFacts) -> Option<String> {
    let caller = &ctx.facts.caller;
    if manager != Manager::System || caller.is_root() {
        return None;
    }
    let (user, unit, action) = (&caller.user, &facts.id, ctx.request.action);
    let print = format!("provost inspect {} --polkit-rule", shell_quote(&format!("unit:{unit}")));
    let no_rules = match &ctx.facts.host.polkit {
        Polkit::Absent => Some("there is no polkit here"),
        polkit if polkit.has_rules() == Some(false) => Some("polkit here is older than 0.106 and knows no rules"),
        _ => None,
    };
    let starts = matches!(action, Action::Start | Action::Restart);
    Some(match no_rules {
        Some(why) if action == Action::Kill => format!("{why}; root can do it"),
        Some(why) => format!("{why}; a sudoers line for {user} on {action} of {unit}, to use with --sudo: {print}"),
        None if action == Action::Kill => {
            format!("a polkit rule for {user} on kill of {unit}: what {print} prints, with \"kill\" among the verbs")
        }
        None if starts && !super::polkit_rule::may_start(facts) => {
            format!(
                "root can {action} it; a polkit rule would let {user} start anything by that name, as it has no unit file"
            )
        }
        None => format!("a polkit rule for {user} on {action} of {unit}: {print}"),
    })
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
        Action::Stop | Action::Kill if denied => {
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
