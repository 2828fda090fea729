//! Facts and requests of every kind, as far as a host could have them together.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::samples::{self, OWN, unit_name};
use crate::model::{
    Action, Answer, Caller, Container, Explained, Facts, HelperFacts, Host, Ladder, Manager, Owner, OwnerFacts, Polkit,
    ProcState, Process, Reach, Request, Runtime, Signal, SignalAnswer, UnitFacts, Verdict, Whom,
};

/// Names that the rules treat differently, protected and ordinary ones.
pub(super) const UNITS: [&str; 26] = [
    "ollama.service",
    "llama.service",
    "x\\x2dy.service",
    "-.mount",
    "foo@.service",
    "foo@bar.service",
    "x.socket",
    "x.timer",
    "app-editor-12.scope",
    "run-r1.scope",
    "session-3.scope",
    "session-7.scope",
    "system.slice",
    "-.slice",
    "init.scope",
    "dbus.service",
    "dbus-broker.service",
    "dbus.socket",
    "polkit.service",
    "systemd-logind.service",
    "systemd-journald.service",
    "user@1000.service",
    "user@1001.service",
    "docker.service",
    "sshd.service",
    "terminal.service",
];

fn text() -> impl Strategy<Value = String> {
    select(vec!["", "Permission denied", "a\nb", "polkit.service is masked"]).prop_map(str::to_owned)
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        3 => Just(Answer::Allowed),
        3 => Just(Answer::NeedsPassword),
        1 => text().prop_map(Answer::Refused),
        2 => text().prop_map(Answer::Denied),
        1 => text().prop_map(Answer::Unknown),
        1 => text().prop_map(Answer::WouldPrompt),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    select(Action::ALL.to_vec())
}

fn state(of: &[&str]) -> impl Strategy<Value = String> + use<> {
    select(of.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
}

/// Requests, `--force` and sudo included.
pub(super) fn request() -> impl Strategy<Value = Request> {
    let ladder = select(vec!["TERM:5s,KILL:5s", "TERM", "INT:1s,TERM:1s", "KILL"]);
    let signal = select(vec![Signal::TERM, Signal::HUP, Signal::KILL, Signal::STOP]);
    let flags = (any::<bool>(), prop::bool::weighted(0.25), any::<bool>(), any::<bool>(), any::<bool>());
    (action(), signal, ladder, flags).prop_map(|(action, signal, ladder, (force, only_process, sudo, ask, all))| {
        Request {
            action,
            signal,
            whom: if all { Whom::All } else { Whom::Main },
            ladder: ladder.parse::<Ladder>().expect("a ladder"),
            force,
            only_process,
            sudo,
            ask_password: ask,
        }
    })
}

fn caller() -> impl Strategy<Value = Caller> {
    // Where provost runs: a session, a terminal below a user manager, a system unit.
    let places = vec![
        vec!["user.slice", "user-1000.slice", "session-3.scope"],
        vec!["user.slice", "user-1000.slice", "user@1000.service", "app.slice", "terminal.service"],
        vec!["system.slice", "llama.service"],
        vec![],
    ];
    (any::<bool>(), any::<bool>(), any::<bool>(), select(places)).prop_map(|(is_root, terminal, cap, place)| {
        let mut caller = if is_root { samples::root() } else { samples::watson() };
        caller.interactive = terminal;
        caller.units = place.into_iter().map(unit_name).collect();
        if cap && !is_root {
            caller.capabilities.push("cap_kill".to_owned());
        }
        caller
    })
}

fn reach() -> impl Strategy<Value = Reach> {
    prop_oneof![Just(Reach::Yes), Just(Reach::NotAsked), text().prop_map(Reach::No)]
}

fn host() -> impl Strategy<Value = Host> {
    let version = |v: &str| Polkit::Version(v.to_owned());
    let polkit = select(vec![version("126"), version("0.105"), version("?"), Polkit::Absent, Polkit::NotAsked]);
    let group = select(vec![None, Some("wheel".to_owned())]);
    (reach(), reach(), polkit, group, any::<bool>(), reach()).prop_map(
        |(system_bus, user_manager, polkit, group, agent, helper)| Host {
            system_bus,
            user_manager,
            polkit,
            admin_group: group,
            pkttyagent: agent,
            helper,
            ..samples::host()
        },
    )
}

/// Processes with different pids, among them perhaps PID 1, provost, and a kernel thread.
fn processes() -> impl Strategy<Value = Vec<Process>> {
    let special = prop_oneof![6 => Just(None), 1 => Just(Some(1)), 2 => Just(Some(OWN)), 1 => Just(Some(2))];
    let uid = || select(vec![0u32, 998, 1000, 1001]);
    let alive = select(vec![ProcState::Alive, ProcState::Alive, ProcState::Uninterruptible, ProcState::Zombie]);
    (vec((uid(), alive), 0..5), special, uid()).prop_map(|(rows, special, uid)| {
        let mut all: Vec<Process> = rows
            .into_iter()
            .zip(100u32..)
            .map(|((uid, state), pid)| Process { state, ..samples::process(pid, pid - 1, uid, "/usr/bin/x --y") })
            .collect();
        if let Some(pid) = special {
            let one = samples::process(pid, 0, uid, "special");
            all.push(Process { kernel_thread: pid == 2, ..one });
        }
        all
    })
}

fn unit_facts() -> impl Strategy<Value = UnitFacts> {
    let active = state(&["active", "inactive", "failed", "activating", "deactivating", "reloading"]);
    let load = state(&["loaded", "loaded", "loaded", "masked", "not-found", "bad-setting"]);
    let restart = state(&["no", "always", "on-failure", ""]);
    let flags = vec(prop::bool::weighted(0.8), 7);
    let triggers = prop_oneof![Just(vec![]), Just(vec![unit_name("x.socket")])];
    let answers = btree_map(action(), answer(), 0..6);
    let main = select(vec![None, Some(100), Some(101), Some(777)]);
    (active, load, restart, flags, triggers, answers, main).prop_map(
        |(active_state, load_state, restart, flags, active_triggers, answers, main_pid)| UnitFacts {
            active_state,
            load_state,
            restart,
            can_start: flags[0],
            can_stop: flags[1],
            can_reload: flags[2],
            refuse_manual_start: !flags[3],
            refuse_manual_stop: !flags[4],
            transient: !flags[5],
            fragment_path: if flags[5] && flags[6] { "/etc/systemd/system/x".to_owned() } else { String::new() },
            active_triggers,
            answers,
            ..samples::unit("x.service", "", main_pid, &Answer::Allowed)
        },
    )
}

fn who() -> impl Strategy<Value = Owner> {
    let unit = || select(UNITS.to_vec()).prop_map(unit_name);
    let manager = select(vec![Manager::System, Manager::User(1000), Manager::User(1001)]);
    let runtimes = vec![
        Runtime::Docker,
        Runtime::Podman,
        Runtime::Containerd,
        Runtime::Crio,
        Runtime::Lxc,
        Runtime::Nspawn,
        Runtime::Machine,
    ];
    let id = state(&["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "web", "-Hhost"]);
    let pod = select(vec![None, Some("pod-uid".to_owned())]);
    let around = proptest::option::of(unit());
    let container = (select(runtimes), id, pod, manager, around).prop_map(|(runtime, id, pod, manager, unit)| {
        Owner::Container { container: Container { runtime, id, pod }, manager, unit }
    });
    let root = samples::process(100, 1, 0, "x").identity;
    prop_oneof![
        6 => unit().prop_map(|unit| Owner::SystemUnit { unit }),
        4 => (select(vec![1000, 1001]), unit()).prop_map(|(uid, unit)| Owner::UserUnit { uid, unit }),
        3 => container,
        2 => Just(Owner::Bare { root }),
        1 => Just(Owner::Session { id: "3".to_owned(), uid: Some(1000), root }),
        1 => Just(Owner::OwnService { id: "llm".to_owned() }),
        1 => Just(Owner::Kernel),
    ]
}

/// What the helper says, of whatever it is asked.
fn explained() -> impl Strategy<Value = Explained> {
    let verdict = select(vec![Verdict::Allowed, Verdict::NeedsPassword, Verdict::Denied]);
    let action = state(&["org.provost.signal-process", "org.provost.signal-root-process", ""]);
    let exe = select(vec!["/usr/bin/x", "", "relative"]);
    (verdict, action, exe, text()).prop_map(|(verdict, polkit_action, exe, reason)| {
        let details = [("user", "mary"), ("exe", exe)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        Explained { verdict, polkit_action, details: details.into_iter().collect(), reason }
    })
}

/// The helper's answers of an owner with these processes, some of them missing.
fn helper(processes: &[Process]) -> impl Strategy<Value = Option<HelperFacts>> + use<> {
    let identities: Vec<_> = processes.iter().map(|process| process.identity).collect();
    let count = identities.len();
    let of_one = btree_map(action(), explained(), 0..6);
    let facts = (vec(of_one, count), btree_map(action(), explained(), 0..6)).prop_map(move |(answers, unit)| {
        HelperFacts { processes: identities.iter().copied().zip(answers).collect(), unit }
    });
    proptest::option::weighted(0.7, facts)
}

/// One owner. The kernel's answers follow kill(2) for most processes, and now and then a
/// process is gone, was not asked, or an LSM says no.
fn owner(caller: &Caller) -> impl Strategy<Value = OwnerFacts> + use<> {
    let uid = caller.uid;
    let may_all = caller.is_root() || caller.has("cap_kill");
    let facts = prop_oneof![5 => unit_facts().prop_map(Some), 1 => Just(None)];
    let quirks = vec(prop_oneof![8 => Just(0u8), 1 => Just(1), 1 => Just(2), 1 => Just(3)], 6);
    let runtime = select(vec![None, Some(vec!["docker".to_owned()])]);
    let sudo = select(vec![None, Some(vec![]), Some(vec!["stop".to_owned(), "restart".to_owned(), "kill".to_owned()])]);
    let shape = (any::<bool>(), any::<bool>(), quirks, runtime, sudo);
    (who(), processes(), facts, shape).prop_flat_map(move |(who, processes, facts, shape)| {
        let pids: Vec<u32> = processes.iter().map(Process::pid).collect();
        let count = pids.len();
        let helper = helper(&processes);
        let parts = (subsequence(pids.clone(), 0..=count), subsequence(pids, 0..=count), helper);
        parts.prop_map(move |(matched, more, helper)| {
            let (named, includes_main, quirks, runtime, sudo) = shape.clone();
            let answer = |p: &Process, quirk: u8| match quirk {
                _ if p.kernel_thread => None,
                1 => Some(SignalAnswer::Gone),
                2 => None,
                3 => Some(SignalAnswer::Denied),
                _ if may_all || p.uid() == Some(uid) => Some(SignalAnswer::Allowed),
                _ => Some(SignalAnswer::Denied),
            };
            let signals = processes.iter().zip(&quirks).filter_map(|(p, q)| Some((p.identity, answer(p, *q)?)));
            let name = who.unit().map(|(_, unit)| unit.clone());
            // The manager of another user tells nobody but that user and root.
            let tells = !matches!(&who, Owner::UserUnit { uid: of, .. } if *of != uid && uid != 0);
            let facts = facts.clone().filter(|_| tells).zip(name).map(|(f, id)| UnitFacts { id, ..f });
            OwnerFacts {
                named: named && can_be_named(&who),
                includes_main,
                signals: signals.collect(),
                tree: processes.iter().map(Process::pid).filter(|p| matched.contains(p) || more.contains(p)).collect(),
                matched,
                unit: facts,
                runtime_command: runtime,
                helper: helper.map(Box::new),
                sudo,
                ..samples::owner(who.clone(), "somebody", processes.clone())
            }
        })
    })
}

/// Sessions, containers and bare processes are found, not named.
fn can_be_named(who: &Owner) -> bool {
    who.unit().is_some() || matches!(who, Owner::OwnService { .. })
}

/// What was read for one owner.
pub(super) fn facts() -> impl Strategy<Value = Facts> {
    (caller(), host()).prop_flat_map(|(caller, host)| {
        owner(&caller).prop_map(move |owner| Facts {
            target: "x".to_owned(),
            caller: caller.clone(),
            host: host.clone(),
            owners: vec![owner],
        })
    })
}

/// The strategies reach every kind of step and end; a property of what never occurs says nothing.
#[test]
fn every_kind_of_plan_occurs() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use std::collections::BTreeSet;

    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..3000 {
        let tree = (facts(), request()).new_tree(&mut runner).expect("a value");
        let (facts, request) = tree.current();
        let plan = super::decide(&facts, &facts.owners[0], &request);
        let words = [format!("{:?}", plan.verdict), format!("{:?}", plan.means), format!("{:?}", plan.stopper)];
        seen.extend(words.into_iter().chain(plan.steps.iter().map(|step| {
            let text = format!("{step:?}");
            text.split(' ').next().unwrap_or_default().to_owned()
        })));
        seen.extend(plan.already.map(|_| "already".to_owned()));
    }
    let expected = [
        "Job",
        "KillUnit",
        "Signal",
        "End",
        "Command",
        "Allowed",
        "NeedsPassword",
        "Denied",
        "UnknownUntilAsked",
        "OwnService",
        "SystemUnit",
        "UserUnit",
        "Container",
        "Sudo",
        "Helper",
        "HelperSignal",
        "HelperEnd",
        "HelperUnit",
        "Probe",
        "Refused",
        "already",
        "Some(NotPermitted)",
        "Some(Choose)",
        "Some(Impossible)",
        "Some(NotFound)",
        "Some(Unreachable)",
    ];
    for word in expected {
        assert!(seen.contains(word), "{word} never occurs");
    }
}
