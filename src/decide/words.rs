//! The sentences of reasons and unlocks that several rules share.

use super::Ctx;
use crate::model::{Action, Polkit, UnitFacts};
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
pub(super) fn standing_permission(ctx: &Ctx<'_>, unit: &UnitFacts, action: Action) -> Option<String> {
    let user = &ctx.facts.caller.user;
    let exact = shell_quote(&ctx.owner.unit_form());
    let verbs = super::polkit_rule::verbs(unit);
    if !verbs.contains(&action.verb()) {
        return None;
    }
    let (verbs, unit) = (verbs.join(", "), &unit.id);
    Some(match &ctx.facts.host.polkit {
        Polkit::Absent => format!(
            "there is no polkit here; root can allow {user} with a sudoers line for systemctl {verbs} of {unit}: provost inspect {exact} --polkit-rule"
        ),
        polkit if polkit.has_rules() == Some(false) => format!(
            "polkit here is older than 0.106 and knows no rules; a sudoers line for {user}: provost inspect {exact} --polkit-rule"
        ),
        _ => format!("a polkit rule for {user} on {verbs} of {unit}: provost inspect {exact} --polkit-rule"),
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
