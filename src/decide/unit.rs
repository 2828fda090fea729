//! Units: what can be said before their manager is asked.

use super::{Ctx, PlanExt, ask, helper, process, words};
use crate::model::{Action, Manager, Means, Plan, Reach, Stopper, UnitFacts, UnitKind, UnitName, Verdict, Whom};

/// At most so many other processes of a unit are listed.
const LISTED: usize = 5;

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
        let by_helper = match manager {
            Manager::User(uid) => helper::user_unit(ctx, uid, unit),
            Manager::System => None,
        };
        return by_helper.unwrap_or_else(|| unreachable(ctx, manager, unit));
    };
    missing(ctx, facts)
        .or_else(|| left_over(ctx, facts))
        .or_else(|| running_already(ctx, manager, facts))
        .or_else(|| part(ctx, facts))
        .or_else(|| stopped_already(ctx, manager, facts))
        .or_else(|| scope_without_main(ctx, facts))
        .or_else(|| impossible(ctx, facts))
        .unwrap_or_else(|| ask::ask(ctx, manager, facts))
}

/// The manager told nothing.
fn unreachable(ctx: &Ctx<'_>, manager: Manager, unit: &UnitName) -> Plan {
    let caller = &ctx.facts.caller;
    let directly = helper::directly(ctx);
    if let Manager::User(uid) = manager
        && uid != caller.uid
        && !caller.is_root()
    {
        let user = ctx.owner.user.clone().unwrap_or_else(|| format!("uid {uid}"));
        let reason = format!("{unit} belongs to the user manager of {user}, which obeys {user} and root only");
        let plan = Plan { stopper: Some(Stopper::NotPermitted), ..ctx.plan(Means::Probe, Verdict::Denied, reason) };
        let also = helper::where_it_is_missing(ctx);
        return plan.unlock(directly.unwrap_or_else(|| format!("{user} or root can do it{also}")));
    }
    let (name, reach) = match manager {
        Manager::System => ("systemd", &ctx.facts.host.system_bus),
        Manager::User(uid) if uid == caller.uid => ("your user manager", &ctx.facts.host.user_manager),
        Manager::User(_) => ("the user manager", &Reach::NotAsked),
    };
    let reason = match reach {
        Reach::No(why) => format!("{name} cannot be reached: {why}"),
        Reach::Yes => format!("{name} did not say what it knows of {unit}"),
        Reach::NotAsked => format!("{name} cannot be reached"),
    };
    ctx.refuse(Stopper::Unreachable, reason).unlock_if(directly)
}

/// The unit does not exist.
fn missing(ctx: &Ctx<'_>, facts: &UnitFacts) -> Option<Plan> {
    (facts.load_state == "not-found" && !facts.is_active())
        .then(|| ctx.refuse(Stopper::NotFound, format!("there is no unit {}", facts.id)))
}

/// Processes that outlived their unit (KillMode=process, a daemon that failed): no job and no
/// KillUnit means them any more, so that only a signal does.
fn left_over(ctx: &Ctx<'_>, facts: &UnitFacts) -> Option<Plan> {
    let meant = matches!(ctx.request.action, Action::Stop | Action::Kill) && !facts.is_active();
    let there = meant && process::alive(ctx).any(|p| ctx.owner.matched.contains(&p.pid()));
    there.then(|| {
        let state = &facts.active_state;
        process::decide(ctx).warn(format!("systemd takes {} for {state}: what runs is left over from it", facts.id))
    })
}

fn running_already(ctx: &Ctx<'_>, manager: Manager, facts: &UnitFacts) -> Option<Plan> {
    let there = matches!(facts.active_state.as_str(), "active" | "reloading" | "refreshing");
    (ctx.request.action == Action::Start && there).then(|| {
        let state = match facts.sub_state.as_str() {
            "running" => format!("{} is running already", facts.id),
            other => format!("{} is active already ({other})", facts.id),
        };
        ctx.already(means_of(manager), state)
    })
}

/// The target is a part of the unit only: the rest is not touched unasked.
fn part(ctx: &Ctx<'_>, facts: &UnitFacts) -> Option<Plan> {
    let action = ctx.request.action;
    // A signal for the main process must not stand in for one to a worker that runs its program.
    let another = action == Action::Kill
        && ctx.request.whom == Whom::Main
        && facts.main_pid.is_some_and(|main| !ctx.owner.matched.is_empty() && !ctx.owner.matched.contains(&main));
    if ctx.owner.named || (ctx.owner.includes_main && !another) {
        return None;
    }
    let main = facts.main_pid.and_then(|pid| ctx.owner.process(pid));
    let all = words::all_of_it(ctx);
    let (does, whole) = match (action, ctx.request.whom, main) {
        (Action::Kill, Whom::Main, Some(main)) => {
            (format!("its main process, {}, would get the signal", words::process(main)), "that one")
        }
        _ => (format!("{action} through the unit would also touch {}", rest(ctx)), "all of it"),
    };
    let choices = words::choices(ctx, &format!("provost {action} {all} for {whole}"));
    let reason = format!("it is only a part of {}: {does}", facts.id);
    Some(ctx.refuse(Stopper::Choose, reason).unlock(choices))
}

/// The processes of the unit that the target does not mean.
fn rest(ctx: &Ctx<'_>) -> String {
    let others = ctx.owner.processes.iter().filter(|p| !ctx.owner.tree.contains(&p.pid()));
    let mut list: Vec<String> = others.clone().take(LISTED).map(words::process).collect();
    match others.count() {
        0 => list.push("the rest of it".to_owned()),
        n if n > LISTED => list.push(format!("{} more", n - LISTED)),
        _ => {}
    }
    list.join(", ")
}

fn stopped_already(ctx: &Ctx<'_>, manager: Manager, facts: &UnitFacts) -> Option<Plan> {
    (ctx.request.action == Action::Stop && !facts.is_active()).then(|| {
        let state = format!("{} is not running ({})", facts.id, facts.active_state);
        ask::warn_of_triggers(ctx, manager, facts, ctx.already(means_of(manager), state))
    })
}

/// A scope has no main process; what was matched in it gets the signal itself.
fn scope_without_main(ctx: &Ctx<'_>, facts: &UnitFacts) -> Option<Plan> {
    let meant = ctx.request.action == Action::Kill && ctx.request.whom == Whom::Main;
    (meant && facts.id.kind() == UnitKind::Scope && !ctx.owner.named).then(|| process::decide(ctx))
}

/// The manager would refuse it whoever asked.
fn impossible(ctx: &Ctx<'_>, facts: &UnitFacts) -> Option<Plan> {
    let id = &facts.id;
    let action = ctx.request.action;
    let starts = matches!(action, Action::Start | Action::Restart);
    let stops = matches!(action, Action::Stop | Action::Restart);
    let no = |reason: String| Some(ctx.refuse(Stopper::Impossible, reason));
    if starts && facts.load_state == "masked" {
        return no(format!("{id} is masked: it cannot be started before it is unmasked"))
            .map(|p| p.unlock(format!("{}: {} unmask {id}", words::who_may_change(ctx), words::systemctl(ctx))));
    }
    if starts && facts.load_state == "not-found" {
        return no(format!("{id} runs, but its unit file is gone: systemd cannot start it again"));
    }
    if starts && !matches!(facts.load_state.as_str(), "loaded" | "merged" | "stub") {
        return no(format!(
            "systemd could not load {id} ({}): {} status {id} says why",
            facts.load_state,
            words::systemctl(ctx)
        ));
    }
    // restart is refused for either, whether it runs or not.
    if starts && facts.refuse_manual_start {
        return no(format!("{id} has RefuseManualStart=yes: systemd does not {action} it by hand"));
    }
    if stops && facts.refuse_manual_stop {
        return no(format!("{id} has RefuseManualStop=yes: systemd does not {action} it by hand"));
    }
    if starts && !facts.can_start {
        return no(match id.kind() {
            UnitKind::Scope => format!("{id} is a scope: whoever made it starts its processes, not systemd"),
            _ => format!("{id} cannot be started (CanStart=no)"),
        });
    }
    if stops && !facts.can_stop {
        return no(format!("{id} cannot be stopped (CanStop=no)"));
    }
    match action {
        Action::Reload if !facts.is_active() => no(format!("{id} is not running, so there is nothing to reload")),
        Action::Reload if !facts.can_reload => no(format!("{id} has no way to reload (no ExecReload=)"))
            .map(|p| p.unlock(format!("provost restart {0}, or provost kill -s HUP {0}", words::all_of_it(ctx)))),
        // With hidepid the processes are not seen, but the manager knows the main one.
        Action::Kill if ctx.owner.processes.is_empty() && facts.main_pid.is_none() => {
            no(format!("{id} has no process to signal"))
        }
        Action::Kill if ctx.request.whom == Whom::Main && facts.main_pid.is_none() => {
            no(format!("{id} has no main process")).map(|p| p.unlock("--whom all signals every process of it"))
        }
        _ => None,
    }
}

pub(super) fn means_of(manager: Manager) -> Means {
    match manager {
        Manager::System => Means::SystemUnit,
        Manager::User(_) => Means::UserUnit,
    }
}
