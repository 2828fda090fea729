//! What holds of every plan, whatever the facts and the request are.

use proptest::prelude::*;

use super::arbitrary;
use super::samples::OWN;
use super::{decide, decide_all};
use crate::model::{
    Action, Aim, Facts, Ladder, Manager, Means, Owner, Plan, ProcState, Request, SignalAnswer, Step, Stopper, UnitKind,
    Verdict,
};

const CASES: u32 = 600;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

fn plan(facts: &Facts, request: &Request) -> Plan {
    decide(facts, &facts.owners[0], request)
}

/// The processes that a step names.
fn aims(step: &Step) -> &[Aim] {
    match step {
        Step::Signal { processes, .. } | Step::End { processes, .. } => processes,
        _ => &[],
    }
}

/// The same, through the helper.
fn helped(step: &Step) -> &[Aim] {
    match step {
        Step::HelperSignal { processes, .. } | Step::HelperEnd { processes, .. } => processes,
        _ => &[],
    }
}

fn on_unit(step: &Step) -> bool {
    matches!(step, Step::Job { .. } | Step::KillUnit { .. } | Step::HelperUnit { .. })
}

fn by_sudo(step: &Step) -> bool {
    matches!(step, Step::Command { argv } if argv[0] == "sudo")
}

fn protected(name: &str) -> bool {
    name.ends_with(".slice")
        || ["init.scope", "polkit.service", "systemd-logind.service", "systemd-journald.service"].contains(&name)
        || name.starts_with("dbus")
}

/// In the scope of PID 1, which is not named and of which PID 1 is not meant.
fn beside_pid_1(facts: &Facts) -> bool {
    let owner = &facts.owners[0];
    let in_scope = owner.owner.unit().is_some_and(|(_, unit)| unit.as_str() == "init.scope");
    in_scope && !owner.named && !owner.matched.iter().chain(&owner.tree).any(|pid| *pid == 1)
}

/// The units around provost in the callers of [`arbitrary`], said once more in another way.
fn holds_provost(facts: &Facts) -> bool {
    let around = |unit: &str| facts.caller.units.iter().any(|u| u.as_str() == unit);
    match &facts.owners[0].owner {
        Owner::SystemUnit { unit } => unit.as_str() != "terminal.service" && around(unit.as_str()),
        Owner::UserUnit { uid: 1000, unit } => unit.as_str() == "terminal.service" && around("terminal.service"),
        _ => false,
    }
}

fn is_part(facts: &Facts) -> bool {
    let owner = &facts.owners[0];
    !owner.named && !owner.includes_main
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn signals_go_only_where_the_kernel_allows_them(facts in arbitrary::facts(), request in arbitrary::request()) {
        let owner = &facts.owners[0];
        for aim in plan(&facts, &request).steps.iter().flat_map(aims) {
            let pid = aim.identity.pid;
            let process = owner.process(pid).expect("a process of the owner");
            prop_assert_eq!(owner.signal_answer(pid), Some(SignalAnswer::Allowed));
            prop_assert_eq!(aim, &Aim::from(process), "nobody but the one that was looked at");
            prop_assert!(pid != 1 && pid != OWN && !process.kernel_thread && process.state != ProcState::Zombie);
        }
    }

    #[test]
    fn the_helper_is_for_what_the_caller_may_not_do(facts in arbitrary::facts(), request in arbitrary::request()) {
        let owner = &facts.owners[0];
        let plan = plan(&facts, &request);
        let by_helper = |step: &Step| {
            matches!(step, Step::HelperSignal { .. } | Step::HelperEnd { .. } | Step::HelperUnit { .. })
        };
        if plan.steps.iter().any(by_helper) {
            prop_assert!(!facts.caller.is_root(), "root needs none: {:?}", plan);
            prop_assert_eq!(plan.means, Means::Helper);
            prop_assert!(owner.helper.is_some(), "it was not asked: {:?}", plan);
        }
        for step in &plan.steps {
            for aim in helped(step) {
                let process = owner.process(aim.identity.pid).expect("a process of the owner");
                prop_assert_eq!(aim, &Aim::from(process), "nobody but the one that was looked at");
                prop_assert!(![1, OWN].contains(&aim.identity.pid) && !process.kernel_thread);
                prop_assert!(process.state != ProcState::Zombie);
            }
            if let Step::HelperSignal { processes, .. } = step {
                let denied = |aim: &Aim| owner.signal_answer(aim.identity.pid) == Some(SignalAnswer::Denied);
                prop_assert!(!processes.is_empty() && processes.iter().all(denied), "{:?}", plan);
            }
            if let Step::HelperEnd { .. } = step {
                let denied = |pid: &u32| owner.signal_answer(*pid) == Some(SignalAnswer::Denied);
                prop_assert!(owner.tree.iter().any(denied), "{:?}", plan);
            }
        }
    }

    #[test]
    fn a_stopped_tree_never_holds_provost(facts in arbitrary::facts(), request in arbitrary::request()) {
        let owner = &facts.owners[0];
        let plan = plan(&facts, &request);
        if owner.tree.contains(&OWN) && owner.process(OWN).is_some() && owner.signal_answer(OWN) != Some(SignalAnswer::Gone) {
            prop_assert!(!plan.steps.iter().any(|s| matches!(s, Step::End { .. } | Step::HelperEnd { .. })), "{:?}", plan);
        }
        if matches!(owner.owner, Owner::Container { .. }) && owner.process(OWN).is_some() {
            prop_assert!(!plan.steps.iter().any(|s| matches!(s, Step::Command { .. })), "{:?}", plan);
        }
    }

    #[test]
    fn what_is_protected_is_not_touched(facts in arbitrary::facts(), request in arbitrary::request()) {
        let plan = plan(&facts, &request);
        if let Some((_, unit)) = facts.owners[0].owner.unit() {
            if beside_pid_1(&facts) {
                prop_assert!(!plan.steps.iter().any(|s| on_unit(s) || by_sudo(s)), "{:?}", plan);
            } else if protected(unit.as_str()) {
                prop_assert!(plan.steps.is_empty() && plan.already.is_none(), "{:?}", plan);
            }
            if holds_provost(&facts) {
                prop_assert!(!plan.steps.iter().any(|s| on_unit(s) || by_sudo(s)), "{:?}", plan);
            }
        }
    }

    #[test]
    fn a_plan_is_whole(facts in arbitrary::facts(), request in arbitrary::request()) {
        let plan = plan(&facts, &request);
        prop_assert_eq!(plan.action, request.action);
        prop_assert!(!plan.reason.trim().is_empty() && !plan.reason.contains("  "), "{:?}", plan);
        prop_assert!(plan.unlock.as_deref().is_none_or(|u| !u.trim().is_empty()));
        if plan.verdict == Verdict::Denied {
            prop_assert!(plan.stopper.is_some(), "{:?}", plan);
        }
        if plan.means == Means::Refused {
            prop_assert_eq!(plan.verdict, Verdict::Denied);
        }
        match (&plan.already, plan.stopper) {
            (Some(state), stopper) => {
                prop_assert!(plan.steps.is_empty() && stopper.is_none() && plan.verdict == Verdict::Allowed);
                prop_assert!(!state.is_empty());
            }
            (None, Some(_)) => prop_assert!(plan.steps.is_empty() && plan.verdict != Verdict::Allowed, "{:?}", plan),
            (None, None) => prop_assert!(!plan.steps.is_empty(), "{:?}", plan),
        }
        for step in &plan.steps {
            let aimless = matches!(step, Step::Signal { .. } | Step::End { .. }) && aims(step).is_empty()
                || matches!(step, Step::HelperSignal { .. } | Step::HelperEnd { .. }) && helped(step).is_empty();
            prop_assert!(!aimless, "{:?}", plan);
        }
        let text = serde_json::to_string(&plan).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Plan>(&text).expect("the same"), plan);
    }

    #[test]
    fn a_step_acts_on_its_owner_only(facts in arbitrary::facts(), request in arbitrary::request()) {
        let owner = &facts.owners[0];
        let plan = plan(&facts, &request);
        for step in &plan.steps {
            match step {
                Step::Job { manager, unit, .. } | Step::KillUnit { manager, unit, .. } => {
                    prop_assert_eq!(owner.owner.unit(), Some((*manager, unit)));
                    prop_assert!(!unit.is_template() && !request.only_process);
                    prop_assert!(!is_part(&facts), "a part, or a process in a scope of others: {:?}", plan);
                    let expected = if *manager == Manager::System { Means::SystemUnit } else { Means::UserUnit };
                    prop_assert_eq!(plan.means, expected);
                }
                Step::Command { argv } if by_sudo(step) => {
                    let Owner::SystemUnit { unit } = &owner.owner else { panic!("{plan:?}") };
                    prop_assert_eq!(&argv[1..], ["-n", "systemctl", request.action.verb(), unit.as_str()]);
                    prop_assert!(request.sudo && !unit.as_str().starts_with('-') && !is_part(&facts));
                    prop_assert!(owner.sudo.iter().flatten().any(|verb| verb == request.action.verb()));
                    prop_assert!(request.action != Action::Kill && !(request.force && request.action == Action::Stop));
                }
                Step::Command { argv } => {
                    let Owner::Container { container, manager, .. } = &owner.owner else { panic!("{plan:?}") };
                    let command = owner.runtime_command.as_deref().expect("access to the runtime");
                    prop_assert_eq!(&argv[..command.len()], command);
                    prop_assert_eq!(argv.last(), Some(&container.id));
                    prop_assert!(!container.id.starts_with('-') && !container.id.is_empty());
                    let foreign = matches!(manager, Manager::User(uid) if *uid != facts.caller.uid);
                    prop_assert!(!foreign, "a name that another user chose: {:?}", plan);
                }
                Step::Service { id, action, .. } => {
                    prop_assert_eq!(&owner.owner, &Owner::OwnService { id: id.to_string() });
                    prop_assert!(*action == request.action && !request.only_process && !is_part(&facts));
                    prop_assert!(owner.service.is_some() && plan.means == Means::OwnService);
                }
                Step::HelperUnit { uid, unit, action, signal, .. } => {
                    prop_assert_eq!(&owner.owner, &Owner::UserUnit { uid: *uid, unit: unit.clone() });
                    prop_assert!(*uid != facts.caller.uid && !unit.is_template() && !request.only_process);
                    prop_assert!(!is_part(&facts), "a part: {:?}", plan);
                    prop_assert_eq!((*action, *signal), (request.action, request.signal));
                    prop_assert!(!request.force || request.action != Action::Stop);
                }
                Step::Signal { .. } | Step::End { .. } | Step::HelperSignal { .. } | Step::HelperEnd { .. } => {
                    let scope = |kind| kind == UnitKind::Scope;
                    let unit = owner.owner.unit().map(|(_, unit)| unit.kind());
                    let ended = owner.unit.as_ref().is_some_and(|u| !u.is_active());
                    let container = matches!(owner.owner, Owner::Container { .. });
                    prop_assert!(request.only_process || !container);
                    prop_assert!(request.only_process || ended || unit.is_none_or(scope), "{:?}", plan);
                }
            }
        }
    }

    #[test]
    fn nobody_is_told_of_a_password_that_cannot_be_asked_for(facts in arbitrary::facts(), request in arbitrary::request()) {
        let plan = plan(&facts, &request);
        let can = request.ask_password && facts.caller.interactive && facts.host.pkttyagent;
        for step in &plan.steps {
            if let Step::Job { interactive, .. }
            | Step::KillUnit { interactive, .. }
            | Step::HelperSignal { interactive, .. }
            | Step::HelperEnd { interactive, .. }
            | Step::HelperUnit { interactive, .. } = step
            {
                prop_assert!(can || !interactive, "{:?}", plan);
                prop_assert!(plan.verdict != Verdict::NeedsPassword || *interactive, "{:?}", plan);
                prop_assert!(plan.verdict != Verdict::Allowed || !interactive, "{:?}", plan);
            }
        }
        if plan.verdict == Verdict::NeedsPassword && !can {
            prop_assert_eq!(plan.stopper, Some(Stopper::NotPermitted));
            prop_assert!(!plan.reason.contains("will ask"), "{}", plan.reason);
        }
    }

    #[test]
    fn sigkill_only_where_it_was_asked_for(facts in arbitrary::facts(), request in arbitrary::request()) {
        for step in plan(&facts, &request).steps {
            match step {
                Step::Job { force, action, .. } => {
                    prop_assert!(!force || (request.force && request.action == Action::Stop));
                    prop_assert_eq!(action, request.action);
                }
                Step::KillUnit { signal, whom, .. } => prop_assert_eq!((signal, whom), (request.signal, request.whom)),
                Step::Signal { signal, .. } | Step::HelperSignal { signal, .. } => prop_assert_eq!(signal, request.signal),
                Step::HelperUnit { .. } => {}
                Step::Service { action, force, signal, whom, .. } => {
                    prop_assert!(!force || (request.force && action == Action::Stop));
                    prop_assert_eq!((signal, whom), (request.signal, request.whom));
                }
                Step::End { ladder, .. } | Step::HelperEnd { ladder, .. } => {
                    let expected = if request.force { Ladder::force() } else { request.ladder.clone() };
                    prop_assert_eq!(ladder, expected);
                }
                Step::Command { argv } => {
                    let at_once = ["kill", "terminate", "0", "-k"].iter().any(|w| argv.iter().any(|a| a == w));
                    prop_assert!(!at_once || request.force || request.action == Action::Kill, "{:?}", argv);
                }
            }
        }
    }

    #[test]
    fn what_unlocks_is_no_wider_than_what_is_locked(facts in arbitrary::facts(), request in arbitrary::request()) {
        let plan = plan(&facts, &request);
        let Some(unlock) = plan.unlock else { return Ok(()) };
        prop_assert!(!unlock.contains('*') && !unlock.contains("ALL"), "{}", unlock);
        if unlock.contains("on this: ") {
            let helper = facts.owners[0].helper.as_ref().expect("the helper was asked");
            let mut said = helper.unit.values().chain(helper.processes.iter().flat_map(|(_, all)| all.values()));
            prop_assert!(!facts.caller.is_root() && said.any(|of| super::helper_rule(&facts.caller, of).is_some()));
        } else if unlock.contains("--polkit-rule") {
            let Owner::SystemUnit { unit } = &facts.owners[0].owner else { panic!("{unlock}") };
            let facts_of = facts.owners[0].unit.as_ref().expect("a unit");
            let verbs = super::polkit_rule::verbs(facts_of);
            let scope = format!("on {} of {unit}: ", verbs.join(", "));
            prop_assert!(unlock.contains(&scope) || unlock.contains(&scope.replace(": ", ", to use")), "{}", unlock);
            prop_assert!(verbs.contains(&request.action.verb()), "the rule does not cover it: {}", unlock);
            prop_assert!(!facts.caller.is_root(), "root needs no rule: {}", unlock);
            prop_assert!(!is_part(&facts) || request.only_process, "{}", unlock);
        }
    }

    #[test]
    fn the_same_facts_always_give_the_same_plan(facts in arbitrary::facts(), request in arbitrary::request()) {
        let first = plan(&facts, &request);
        prop_assert_eq!(&plan(&facts.clone(), &request.clone()), &first);
        let all = decide_all(&facts, &facts.owners[0], &request);
        prop_assert_eq!(all.iter().map(|p| p.action).collect::<Vec<_>>(), Action::ALL);
        prop_assert_eq!(all.iter().find(|p| p.action == request.action), Some(&first));
    }
}
