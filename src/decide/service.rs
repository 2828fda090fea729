//! Services that provost supervises: their daemon carries out what is asked for.

use super::{Ctx, PlanExt, process, protect, words};
use crate::model::service::{Desired, ServiceState};
use crate::model::{Action, Means, Owner, Plan, Process, SaidBy, ServiceFacts, ServiceId, Step, Stopper, Verdict};

/// Decides for an owner of which [`OwnerFacts::service`] is known.
pub(super) fn decide(ctx: &Ctx<'_>) -> Plan {
    let (Some(facts), Owner::OwnService { .. }) = (&ctx.owner.service, &ctx.owner.owner) else {
        return process::decide(ctx);
    };
    silent(ctx, facts)
        .or_else(|| already(ctx, facts))
        .or_else(|| part(ctx, facts))
        .or_else(|| not_running(ctx, facts))
        .or_else(|| cannot_reload(ctx, facts))
        .or_else(|| unrecorded(ctx, facts))
        .or_else(|| holds_provost(ctx))
        .unwrap_or_else(|| ask(ctx, facts))
}

/// Nobody else may start or stop what a daemon supervises, and that one cannot be told.
fn silent(ctx: &Ctx<'_>, facts: &ServiceFacts) -> Option<Plan> {
    let why = "provost supervises it, and its daemon runs and does not answer; is it stopped?";
    (facts.said_by == SaidBy::Silent).then(|| ctx.refuse(Stopper::Unreachable, why))
}

fn already(ctx: &Ctx<'_>, facts: &ServiceFacts) -> Option<Plan> {
    let (id, state) = (&facts.report.id, facts.report.state);
    let same = |words: String| Some(ctx.already(Means::OwnService, words));
    // Nobody supervises it: a daemon is still to be started.
    let alone = facts.said_by != SaidBy::Daemon;
    match (ctx.request.action, state) {
        (Action::Start, ServiceState::Running | ServiceState::Starting) if alone => None,
        (Action::Start, ServiceState::Running) => same(format!("{id} is running already")),
        (Action::Start, ServiceState::Done) => same(format!("{id} has run, and is done already")),
        // What it waits for may have failed, and is to be started again.
        (Action::Start, ServiceState::Starting) if facts.report.pid.is_none() => None,
        (Action::Start, ServiceState::Starting) => same(format!("{id} is starting already")),
        // The next daemon would start it, or has to end what it left behind.
        (Action::Stop, ServiceState::Stopped) if is_to_come(facts) || facts.report.has_processes() => None,
        (Action::Stop, ServiceState::Stopped) => same(format!("{id} is stopped already")),
        _ => None,
    }
}

/// It does not run because no daemon does, and is to run.
fn is_to_come(facts: &ServiceFacts) -> bool {
    let report = &facts.report;
    facts.said_by == SaidBy::Registry && report.desired == Desired::Up && !report.has_processes()
}

/// A child of it was named: the rest is not touched unasked.
fn part(ctx: &Ctx<'_>, facts: &ServiceFacts) -> Option<Plan> {
    if ctx.owner.named || ctx.owner.includes_main {
        return None;
    }
    let (action, id) = (ctx.request.action, &facts.report.id);
    let reason = format!("it is only a part of {id}, which provost supervises: {action} would touch all of that");
    let choices = words::choices(ctx, &format!("provost {action} service:{id} for all of it"));
    Some(ctx.refuse(Stopper::Choose, reason).unlock(choices))
}

fn not_running(ctx: &Ctx<'_>, facts: &ServiceFacts) -> Option<Plan> {
    let (action, id) = (ctx.request.action, &facts.report.id);
    let state = facts.report.state;
    // What it comes after, or its port, may be waited for still.
    let begins = state == ServiceState::Starting && facts.report.pid.is_none();
    if !matches!(action, Action::Reload | Action::Kill) || state.is_alive() && !begins {
        return None;
    }
    let why = facts.report.reason.as_ref().filter(|_| begins).map(|why| format!(": {why}")).unwrap_or_default();
    let plan = ctx.refuse(Stopper::Impossible, format!("{id} does not run: it is {state}{why}"));
    Some(if begins { plan } else { plan.unlock(format!("provost start {id}")) })
}

fn cannot_reload(ctx: &Ctx<'_>, facts: &ServiceFacts) -> Option<Plan> {
    (ctx.request.action == Action::Reload && !facts.report.can_reload).then(|| {
        let reason = format!("the config of {} does not say how it reloads", facts.report.id);
        ctx.refuse(Stopper::Impossible, reason)
            .unlock("reload = { signal = \"HUP\" } in its config, or { restart = true }".to_owned())
    })
}

/// Its record is lost: a daemon would not know what to stop.
fn unrecorded(ctx: &Ctx<'_>, facts: &ServiceFacts) -> Option<Plan> {
    let lost = ctx.request.action == Action::Stop && facts.said_by == SaidBy::Config && facts.report.has_processes();
    lost.then(|| {
        let why = facts.report.reason.clone().unwrap_or_default();
        ctx.refuse(Stopper::Impossible, why).unlock("provost orphans --clean".to_owned())
    })
}

fn holds_provost(ctx: &Ctx<'_>) -> Option<Plan> {
    if !matches!(ctx.request.action, Action::Stop | Action::Restart | Action::Kill) {
        return None;
    }
    let all: Vec<&Process> = ctx.owner.processes.iter().collect();
    protect::processes(ctx, &all)
}

fn ask(ctx: &Ctx<'_>, facts: &ServiceFacts) -> Plan {
    let id: &ServiceId = &facts.report.id;
    let request = ctx.request;
    let own = !facts.system || ctx.facts.caller.is_root();
    // Nothing is to be stopped but what its record says: that needs no daemon.
    let only_written = request.action == Action::Stop && is_to_come(facts);
    let start_daemon = facts.said_by != SaidBy::Daemon && own && !only_written;
    let verdict = match facts.verdicts.get(&request.action) {
        _ if own => Verdict::Allowed,
        Some(verdict) => *verdict,
        None => Verdict::UnknownUntilAsked,
    };
    let no_password = words::no_password_here(ctx).filter(|_| !own);
    let interactive =
        matches!(verdict, Verdict::NeedsPassword | Verdict::UnknownUntilAsked) && !own && no_password.is_none();
    let step = Step::Service {
        id: id.clone(),
        action: request.action,
        force: request.force && request.action == Action::Stop,
        signal: request.signal,
        whom: request.whom,
        system: facts.system,
        interactive,
        start_daemon,
        load: facts.report.project.clone().filter(|_| facts.said_by == SaidBy::Config),
    };
    let why = match (facts.said_by, own) {
        (_, false) => match (of_system(ctx, verdict, no_password), verdict) {
            (why, Verdict::Denied) => return not_permitted(ctx, verdict, why + &with_others(ctx, facts)),
            (why, Verdict::NeedsPassword) if no_password.is_some() => {
                return not_permitted(ctx, verdict, why + &with_others(ctx, facts));
            }
            (why, _) => why,
        },
        (SaidBy::Daemon, _) => "provost supervises it".to_owned(),
        (SaidBy::Registry, _) if only_written => {
            "it does not run, and its record is to say that it stays so".to_owned()
        }
        (SaidBy::Registry | SaidBy::Silent, _) => {
            "provost started it; no daemon runs, so that one is started for this".to_owned()
        }
        (SaidBy::Config, _) => "it is described in the config, and is started under supervision".to_owned(),
    };
    let plan = ctx.go(Means::OwnService, verdict, why, vec![step]);
    others(ctx, facts).into_iter().fold(plan, |plan, warning| plan.warn(warning))
}

fn not_permitted(ctx: &Ctx<'_>, verdict: Verdict, why: String) -> Plan {
    Plan { stopper: Some(Stopper::NotPermitted), ..ctx.plan(Means::OwnService, verdict, why) }
}

/// Why the system's daemon lets the caller do it, or why not.
fn of_system(ctx: &Ctx<'_>, verdict: Verdict, no_password: Option<&str>) -> String {
    let who = "the system's provost supervises it";
    let action = "polkit org.provost.manage-services";
    match (verdict, no_password) {
        (Verdict::Allowed, _) => format!("{who}, and lets {} do it ({action})", ctx.facts.caller.user),
        (Verdict::Denied, _) => format!("{who}, and does not let {} do it ({action})", ctx.facts.caller.user),
        (Verdict::NeedsPassword, Some(why)) => {
            format!("{who}, and wants a password, {} ({action}), and {why}", words::whose_password(ctx))
        }
        (Verdict::NeedsPassword, None) => {
            format!("{who}, and will ask for a password, {} ({action})", words::whose_password(ctx))
        }
        _ => format!("{who}, and decides by polkit who may"),
    }
}

/// The answer may be to one that was not named.
fn with_others(ctx: &Ctx<'_>, facts: &ServiceFacts) -> String {
    match others(ctx, facts) {
        Some(others) if ctx.request.action == Action::Stop => format!("; {others}: it is asked about all of them"),
        _ => String::new(),
    }
}

/// What else happens: others start or stop before it.
fn others(ctx: &Ctx<'_>, facts: &ServiceFacts) -> Option<String> {
    let names = |ids: &[ServiceId]| ids.iter().map(ServiceId::as_str).collect::<Vec<_>>().join(", ");
    match (ctx.request.action, facts.report.after.as_slice(), facts.later.as_slice()) {
        (Action::Start, [one], _) => Some(format!("{one} starts before it, where it does not run")),
        (Action::Start, [_, ..], _) => {
            Some(format!("{} start before it, where they do not run", names(&facts.report.after)))
        }
        (Action::Stop, _, [one]) => Some(format!("{one} stops before it, because it comes after it")),
        (Action::Stop, _, [_, ..]) => {
            Some(format!("{} stop before it, because they come after it", names(&facts.later)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::model::service::ServiceReport;
    use crate::model::{Facts, OwnerFacts, Request, Signal};

    fn facts(state: &str, said_by: SaidBy) -> Facts {
        let report = serde_json::json!({
            "id": "llm", "state": state, "ready": true, "desired": "up", "enabled": true, "health": "ok",
            "restarts": 0, "failures": 0, "project": "/p/provost.toml", "after": ["db"],
        });
        let report: ServiceReport = serde_json::from_value(report).unwrap();
        let owner = samples::owner(
            Owner::OwnService { id: "llm".to_owned() },
            "watson",
            vec![samples::process(7000, 1, 1000, "llama-server")],
        );
        let service = Some(Box::new(ServiceFacts {
            report,
            said_by,
            system: false,
            verdicts: Default::default(),
            later: Vec::new(),
        }));
        let owner = OwnerFacts { service, named: true, ..owner };
        samples::facts(samples::watson(), owner)
    }

    fn plan(facts: &Facts, action: Action) -> Plan {
        super::super::decide(facts, &facts.owners[0], &Request::new(action))
    }

    #[test]
    fn the_daemon_is_asked_or_started() {
        for (said_by, daemon, load) in
            [(SaidBy::Daemon, false, false), (SaidBy::Registry, true, false), (SaidBy::Config, true, true)]
        {
            let plan = plan(&facts("stopped", said_by), Action::Start);
            assert_eq!((plan.means, plan.verdict), (Means::OwnService, Verdict::Allowed));
            assert_eq!(plan.warnings, ["db starts before it, where it does not run"]);
            let [Step::Service { start_daemon, load: config, .. }] = plan.steps.as_slice() else { panic!("{plan:?}") };
            assert_eq!((*start_daemon, config.is_some()), (daemon, load));
        }
    }

    #[test]
    fn a_daemon_that_does_not_answer_is_told_nothing() {
        for state in ["running", "stopped"] {
            for action in [Action::Start, Action::Stop, Action::Restart, Action::Kill] {
                let plan = plan(&facts(state, SaidBy::Silent), action);
                assert_eq!((plan.stopper, plan.verdict), (Some(Stopper::Unreachable), Verdict::Denied), "{action}");
                assert!(plan.steps.is_empty() && plan.reason.contains("does not answer"), "{plan:?}");
            }
        }
    }

    #[test]
    fn what_stops_with_it_is_said() {
        let mut facts = facts("running", SaidBy::Daemon);
        for (later, said) in [
            (vec![], None),
            (vec!["web"], Some("web stops before it, because it comes after it")),
            (vec!["web", "top"], Some("web, top stop before it, because they come after it")),
        ] {
            let service = facts.owners[0].service.as_mut().unwrap();
            service.later = later.into_iter().map(|id| id.parse().unwrap()).collect();
            let warnings = plan(&facts, Action::Stop).warnings;
            assert_eq!(warnings.first().map(String::as_str), said);
        }
    }

    #[test]
    fn what_is_so_already_needs_nothing() {
        for (state, action, already) in [
            ("running", Action::Start, true),
            ("stopped", Action::Stop, true),
            // It is no longer wanted then.
            ("failed", Action::Stop, false),
            ("failed", Action::Start, false),
            ("restarting", Action::Stop, false),
            ("restarting", Action::Start, false),
            ("starting", Action::Start, false),
            ("stopped", Action::Restart, false),
        ] {
            assert_eq!(plan(&facts(state, SaidBy::Daemon), action).already.is_some(), already, "{state} {action}");
        }
        // Without a daemon it is told to the next one.
        let told = plan(&facts("stopped", SaidBy::Registry), Action::Stop);
        assert!(matches!(told.steps.as_slice(), [Step::Service { start_daemon: false, .. }]), "{told:?}");
        // What it left behind is not ended by a word in its record.
        let mut left = facts("stopped", SaidBy::Registry);
        left.owners[0].service.as_mut().unwrap().report.processes = Some(2);
        let told = plan(&left, Action::Stop);
        assert!(matches!(told.steps.as_slice(), [Step::Service { start_daemon: true, .. }]), "{told:?}");
        // Of what is in no record a daemon would know nothing either.
        let service = left.owners[0].service.as_mut().unwrap();
        (service.said_by, service.report.reason) = (SaidBy::Config, Some("it is in no record".to_owned()));
        let told = plan(&left, Action::Stop);
        assert_eq!(
            (told.stopper, told.unlock.as_deref()),
            (Some(Stopper::Impossible), Some("provost orphans --clean"))
        );
        let killed = plan(&facts("stopped", SaidBy::Daemon), Action::Kill);
        assert_eq!(killed.stopper, Some(Stopper::Impossible));
        let mut facts = facts("running", SaidBy::Daemon);
        assert_eq!(plan(&facts, Action::Reload).verdict, Verdict::Allowed);
        facts.owners[0].service.as_mut().unwrap().report.can_reload = false;
        assert_eq!(plan(&facts, Action::Reload).stopper, Some(Stopper::Impossible));
    }

    #[test]
    fn what_has_no_process_yet_gets_no_signal() {
        let mut facts = facts("starting", SaidBy::Daemon);
        let service = facts.owners[0].service.as_mut().unwrap();
        service.report.reason = Some("waits for db".to_owned());
        for action in [Action::Kill, Action::Reload] {
            let plan = plan(&facts, action);
            assert_eq!((plan.stopper, plan.unlock), (Some(Stopper::Impossible), None));
            assert_eq!(plan.reason, "llm does not run: it is starting: waits for db");
        }
        facts.owners[0].service.as_mut().unwrap().report.pid = Some(7000);
        assert_eq!(plan(&facts, Action::Kill).stopper, None);
    }

    #[test]
    fn a_start_of_what_nobody_supervises_starts_a_daemon() {
        for (state, said_by) in [("running", SaidBy::Registry), ("starting", SaidBy::Registry)] {
            let plan = plan(&facts(state, said_by), Action::Start);
            assert!(matches!(plan.steps.as_slice(), [Step::Service { start_daemon: true, .. }]), "{plan:?}");
        }
    }

    #[test]
    fn the_systems_daemon_says_what_the_caller_may() {
        let mut facts = facts("running", SaidBy::Daemon);
        let service = facts.owners[0].service.as_mut().unwrap();
        service.system = true;
        service.verdicts = [
            (Action::Restart, Verdict::Allowed),
            (Action::Stop, Verdict::NeedsPassword),
            (Action::Reload, Verdict::Denied),
        ]
        .into();
        facts.caller.interactive = true;
        facts.host.pkttyagent = true;
        for (action, verdict, asks, stopper) in [
            (Action::Restart, Verdict::Allowed, false, None),
            (Action::Stop, Verdict::NeedsPassword, true, None),
            (Action::Reload, Verdict::Denied, false, Some(Stopper::NotPermitted)),
            (Action::Kill, Verdict::UnknownUntilAsked, true, None),
        ] {
            let plan = plan(&facts, action);
            assert_eq!((plan.verdict, plan.asks_password(), plan.stopper), (verdict, asks, stopper), "{action}");
        }
        facts.caller.interactive = false;
        facts.owners[0].service.as_mut().unwrap().later = vec!["api".parse().unwrap()];
        let plan = plan(&facts, Action::Stop);
        assert_eq!((plan.stopper, plan.steps.len()), (Some(Stopper::NotPermitted), 0));
        assert!(plan.reason.contains("no terminal"), "{}", plan.reason);
        assert!(plan.reason.contains("api stops before it"), "{}", plan.reason);
    }

    #[test]
    fn a_child_is_not_the_service() {
        let mut facts = facts("running", SaidBy::Daemon);
        facts.owners[0].named = false;
        facts.owners[0].includes_main = false;
        let plan = plan(&facts, Action::Stop);
        assert_eq!(plan.stopper, Some(Stopper::Choose));
        assert!(plan.unlock.unwrap().contains("service:llm"));
        let request = Request { only_process: true, signal: Signal::HUP, ..Request::new(Action::Kill) };
        assert_ne!(super::super::decide(&facts, &facts.owners[0], &request).means, Means::OwnService);
    }
}
