//! Units: a job or KillUnit of the manager that owns them.

use super::{Ctx, PlanExt, words};
use crate::model::{
    Action, Answer, Manager, Means, Plan, Reach, SignalAnswer, Step, Stopper, UnitFacts, UnitKind, UnitName, Verdict,
};

/// Decides for an owner that is a unit.
pub(super) fn decide(ctx: &Ctx<'_>, unit: &UnitName) -> Plan {
    if unit.is_template() {
        let reason = format!("{unit} is a template, which does not run itself");
        let instance = unit.as_str().replacen("@.", "@INSTANCE.", 1);
        return ctx.refuse(Stopper::Choose, reason).unlock(format!("name an instance of it: unit:{instance}"));
    }
    let Some((manager, _)) = ctx.owner.owner.unit() else {
        return ctx.refuse(Stopper::Impossible, "it is no unit");
    };
    let Some(facts) = &ctx.owner.unit else {
        return unreachable(ctx, manager);
    };
    missing(ctx, facts)
        .or_else(|| part(ctx, facts))
        .or_else(|| nothing_to_do(ctx, manager, facts))
        .or_else(|| impossible(ctx, facts))
        .unwrap_or_else(|| ask(ctx, manager, facts))
}

/// The manager told nothing.
fn unreachable(ctx: &Ctx<'_>, manager: Manager) -> Plan {
    let caller = &ctx.facts.caller;
    match manager {
        Manager::User(uid) if uid != caller.uid && !caller.is_root() => {
            let user = ctx.owner.user.clone().unwrap_or_else(|| format!("uid {uid}"));
            let reason = format!("it belongs to the user manager of {user}, which answers only {user} and root");
            Plan { stopper: Some(Stopper::NotPermitted), ..ctx.plan(Means::Probe, Verdict::Denied, reason) }
                .unlock(format!("ask {user}, or root with --sudo rights"))
        }
        _ => {
            let (name, reach) = match manager {
                Manager::System => ("the system manager", &ctx.facts.host.system_bus),
                Manager::User(_) => ("the user manager", &ctx.facts.host.user_manager),
            };
            let why = match reach {
                Reach::No(why) => format!(": {why}"),
                _ => String::new(),
            };
            let plan = ctx.refuse(Stopper::Unreachable, format!("{name} cannot be reached{why}"));
            if ctx.owner.signals.iter().any(|(_, answer)| *answer == SignalAnswer::Allowed) {
                plan.unlock("--only-process signals the process itself; the manager may start it again")
            } else {
                plan
            }
        }
    }
}

/// The unit does not exist.
fn missing(ctx: &Ctx<'_>, facts: &UnitFacts) -> Option<Plan> {
    (facts.load_state == "not-found" && !facts.is_active())
        .then(|| ctx.refuse(Stopper::NotFound, format!("there is no unit {}", facts.id)))
}

/// The target is a part of the unit only: the rest is not touched unasked.
fn part(ctx: &Ctx<'_>, facts: &UnitFacts) -> Option<Plan> {
    if ctx.owner.named || ctx.owner.includes_main || ctx.request.action == Action::Start {
        return None;
    }
    let others: Vec<String> = ctx
        .owner
        .processes
        .iter()
        .filter(|p| !ctx.owner.tree.contains(&p.pid()))
        .map(|p| format!("{} {}", p.pid(), crate::text::clip(&p.command())))
        .collect();
    let action = ctx.request.action;
    let reason = format!(
        "it is only a part of {}: {action} through the unit would also touch {}",
        facts.id,
        if others.is_empty() { "the rest of it".to_owned() } else { others.join(", ") }
    );
    let mut choices = format!("choose: provost {action} {} for all of it", ctx.owner.unit_form());
    if matches!(action, Action::Stop | Action::Kill) {
        choices.push_str(", or --only-process for this part alone");
        if ctx.owner.matched.iter().any(|pid| ctx.owner.signal_answer(*pid) == Some(SignalAnswer::Denied)) {
            choices.push_str(" (which needs the right to signal it)");
        }
    }
    Some(ctx.refuse(Stopper::Choose, reason).unlock(choices))
}

/// The wanted state is there already.
fn nothing_to_do(ctx: &Ctx<'_>, manager: Manager, facts: &UnitFacts) -> Option<Plan> {
    let means = means_of(manager);
    match ctx.request.action {
        Action::Stop if !facts.is_active() => {
            Some(ctx.already(means, format!("{} is not running ({})", facts.id, facts.active_state)))
        }
        Action::Start if matches!(facts.active_state.as_str(), "active" | "reloading" | "refreshing") => {
            Some(ctx.already(means, format!("{} is running already ({})", facts.id, facts.sub_state)))
        }
        _ => None,
    }
}

/// The manager would refuse it whoever asked.
fn impossible(ctx: &Ctx<'_>, facts: &UnitFacts) -> Option<Plan> {
    let id = &facts.id;
    let action = ctx.request.action;
    let starts = matches!(action, Action::Start | Action::Restart);
    let stops = matches!(action, Action::Stop | Action::Restart) && facts.is_active();
    let no = |reason: String| Some(ctx.refuse(Stopper::Impossible, reason));
    if starts && facts.load_state == "masked" {
        return no(format!("{id} is masked: it cannot be started before it is unmasked"))
            .map(|p| p.unlock(format!("an administrator can: systemctl unmask {id}")));
    }
    if starts && !matches!(facts.load_state.as_str(), "loaded" | "merged" | "stub") {
        return no(format!("systemd could not load {id} ({}): systemctl status {id} says why", facts.load_state));
    }
    if starts && facts.refuse_manual_start {
        return no(format!("{id} has RefuseManualStart=yes: it is started as a dependency of others only"));
    }
    if stops && facts.refuse_manual_stop {
        return no(format!("{id} has RefuseManualStop=yes: it is stopped as a dependency of others only"));
    }
    if starts && !facts.can_start {
        return no(match id.kind() {
            UnitKind::Scope => format!("{id} is a scope: whoever made it starts its processes, not systemd"),
            _ => format!("{id} cannot be started (CanStart=no)"),
        });
    }
    match action {
        Action::Reload if !facts.is_active() => no(format!("{id} is not running, so there is nothing to reload")),
        Action::Reload if !facts.can_reload => no(format!("{id} says no way to reload it (no ExecReload=)"))
            .map(|p| p.unlock(format!("provost restart {0}, or provost kill -s HUP {0}", ctx.owner.unit_form()))),
        Action::Kill if ctx.owner.processes.is_empty() => no(format!("{id} has no process to signal")),
        Action::Kill if ctx.request.whom == crate::model::Whom::Main && facts.main_pid.is_none() => {
            no(format!("{id} has no main process")).map(|p| p.unlock("--whom all signals every process of it"))
        }
        _ => None,
    }
}

/// The manager is asked; its answer to a call that it refuses only after authorisation is the verdict.
fn ask(ctx: &Ctx<'_>, manager: Manager, facts: &UnitFacts) -> Plan {
    let request = ctx.request;
    let action = request.action;
    let answer = worst(facts, action, request.force);
    let interactive =
        matches!(answer, Answer::NeedsPassword | Answer::Unknown(_)) && words::no_password_here(ctx).is_none();
    let unit = facts.id.clone();
    let step = match action {
        Action::Kill => Step::KillUnit { manager, unit, whom: request.whom, signal: request.signal, interactive },
        _ => Step::Job { manager, unit, action, force: request.force && action == Action::Stop, interactive },
    };
    let id = &facts.id;
    let sudo_allows =
        manager == Manager::System && ctx.owner.sudo.as_ref().is_some_and(|v| v.iter().any(|v| v == action.verb()));
    if sudo_allows && answer != Answer::Allowed {
        let reason = format!("sudo allows systemctl {action} {id} without a password");
        let step = Step::Command { argv: sudo_argv(ctx, facts) };
        return notes(ctx, facts, ctx.go(Means::Sudo, Verdict::Allowed, reason, vec![step]));
    }
    let means = means_of(manager);
    let plan = match answer {
        Answer::Allowed => ctx.go(means, Verdict::Allowed, why_allowed(ctx, manager), vec![step]),
        Answer::Refused(message) => ctx.refuse(Stopper::Impossible, format!("systemd refuses it: {message}")),
        Answer::NeedsPassword => {
            let mut reason = format!(
                "systemd will be asked, and will ask for a password, {} (polkit manage-units)",
                words::whose_password(ctx)
            );
            if let Some(why) = words::no_password_here(ctx) {
                reason.push_str(&format!("; {why}"));
            }
            ctx.go(means, Verdict::NeedsPassword, reason, vec![step])
                .unlock_if(words::standing_permission(ctx, facts, action))
        }
        Answer::Denied(message) => ctx
            .go(means, Verdict::Denied, format!("systemd denies it: {message}"), Vec::new())
            .unlock_if(words::standing_permission(ctx, facts, action)),
        Answer::Unknown(why) => ctx
            .go(
                means,
                Verdict::UnknownUntilAsked,
                format!("systemd will be asked; the answer cannot be known before: {why}"),
                vec![step],
            )
            .unlock_if(words::standing_permission(ctx, facts, action)),
    };
    notes(ctx, facts, plan)
}

/// The answer for the action; `stop --force` needs those for stop and for kill.
fn worst(facts: &UnitFacts, action: Action, force: bool) -> Answer {
    let of = |action| {
        facts.answers.get(&action).cloned().unwrap_or_else(|| Answer::Unknown("the manager was not asked".to_owned()))
    };
    let first = of(action);
    if !(force && action == Action::Stop) || first != Answer::Allowed { first } else { of(Action::Kill) }
}

/// What the person should know besides.
fn notes(ctx: &Ctx<'_>, facts: &UnitFacts, mut plan: Plan) -> Plan {
    let id = &facts.id;
    if plan.stopper.is_some() && plan.verdict != Verdict::Denied {
        return plan;
    }
    match ctx.request.action {
        Action::Stop => {
            for trigger in &facts.active_triggers {
                plan = plan.warn(format!(
                    "{trigger} stays active and starts {id} again when it is triggered; stop it too, to keep {id} down"
                ));
            }
        }
        Action::Kill if facts.restarts() => {
            plan = plan.warn(format!("systemd starts {id} again when it ends (Restart={})", facts.restart));
        }
        _ => {}
    }
    if ctx.request.action == Action::Kill && plan.verdict != Verdict::Allowed {
        let direct = ctx.owner.matched.iter().filter_map(|pid| ctx.owner.signal_answer(*pid));
        if direct.clone().any(|a| a == SignalAnswer::Allowed) {
            plan = plan.warn("--only-process signals it directly, without asking systemd");
        } else if direct.clone().next().is_some() {
            plan.reason.push_str(&format!("; a direct signal is not permitted: {}", words::run_as_others(ctx)));
        }
    }
    plan
}

fn means_of(manager: Manager) -> Means {
    match manager {
        Manager::System => Means::SystemUnit,
        Manager::User(_) => Means::UserUnit,
    }
}

fn why_allowed(ctx: &Ctx<'_>, manager: Manager) -> String {
    let caller = &ctx.facts.caller;
    match manager {
        Manager::User(uid) if uid == caller.uid => "your own user manager does it".to_owned(),
        Manager::User(_) => "the user's manager does it for root".to_owned(),
        Manager::System if caller.is_root() => "systemd does it: you are root".to_owned(),
        Manager::System => format!("systemd does it: polkit allows it for {} without a password", caller.user),
    }
}

fn sudo_argv(ctx: &Ctx<'_>, facts: &UnitFacts) -> Vec<String> {
    let mut argv: Vec<String> = ["sudo", "-n", "systemctl", ctx.request.action.verb()].map(String::from).to_vec();
    if ctx.request.action == Action::Kill {
        argv.push(format!("--kill-whom={}", ctx.request.whom.as_str()));
        argv.push(format!("--signal={}", ctx.request.signal));
    }
    argv.push(facts.id.to_string());
    argv
}
