//! Units of the system and of users.

use super::super::samples::{self, facts, in_user_unit, ollama, root, unit, unit_name, watson};
use super::{Case, ask};
use crate::model::{
    Action, Answer, Caller, Facts, Host, Owner, OwnerFacts, Polkit, Reach, Request, Session, Signal, SignalAnswer,
    UnitFacts, Whom,
};

const DENIED: SignalAnswer = SignalAnswer::Denied;
const ALLOWED: SignalAnswer = SignalAnswer::Allowed;

fn denied() -> Answer {
    Answer::Denied("Permission denied".to_owned())
}

fn password() -> Facts {
    facts(watson(), ollama(&Answer::NeedsPassword, DENIED))
}

fn on(host: Host, facts: Facts) -> Facts {
    Facts { host, ..facts }
}

/// ollama.service with something else about it.
fn changed(change: impl FnOnce(&mut UnitFacts)) -> Facts {
    let mut owner = ollama(&Answer::Allowed, ALLOWED);
    change(owner.unit.as_mut().expect("a unit"));
    facts(root(), owner)
}

/// Found through its runner, which is a part of it; a program of another name.
fn part() -> OwnerFacts {
    let mut owner = ollama(&Answer::NeedsPassword, DENIED);
    owner.processes[1].cmdline[0] = "/usr/bin/llama-server".to_owned();
    OwnerFacts { named: false, includes_main: false, matched: vec![4200], tree: vec![4200], ..owner }
}

fn own_uid(answer: &Answer) -> OwnerFacts {
    let processes = vec![samples::process(4100, 1, 1000, "/home/watson/agent.py")];
    let unit = UnitFacts { restart: "on-failure".to_owned(), ..unit("agent.service", "watson", Some(4100), answer) };
    let name = Owner::SystemUnit { unit: unit.id.clone() };
    let owner = OwnerFacts {
        exact: "unit:agent.service".to_owned(),
        unit: Some(unit),
        ..samples::owner(name, "watson", processes)
    };
    samples::signals(owner, ALLOWED)
}

pub(super) fn cases() -> Vec<Case> {
    let allowed = || ollama(&Answer::Allowed, DENIED);
    let old_polkit = Host { polkit: Polkit::Version("0.105".to_owned()), ..samples::host() };
    let no_polkit = Host { polkit: Polkit::Absent, ..samples::host() };
    let no_terminal = Caller { interactive: false, ..watson() };
    let desktop = Session { id: "2".to_owned(), seat: true, graphical: true };
    let prompts = "this version of systemd would open a password prompt on the desktop".to_owned();
    let sudo = |verbs: &[&str]| {
        let sudo = Some(verbs.iter().map(|v| (*v).to_owned()).collect());
        facts(watson(), OwnerFacts { sudo, ..ollama(&Answer::NeedsPassword, DENIED) })
    };
    let with_sudo = |action| Request { sudo: true, ..ask(action) };
    let force = Request { force: true, ..ask(Action::Stop) };
    let all = Request { whom: Whom::All, signal: Signal::HUP, ..ask(Action::Kill) };
    let mine = Answer::Allowed;
    vec![
        ("stop-system-unit-as-root", facts(root(), ollama(&Answer::Allowed, ALLOWED)), ask(Action::Stop)),
        ("stop-system-unit-with-password", password(), ask(Action::Stop)),
        ("kill-system-unit-with-password", password(), ask(Action::Kill)),
        ("stop-system-unit-no-terminal", facts(no_terminal, ollama(&Answer::NeedsPassword, DENIED)), ask(Action::Stop)),
        ("stop-system-unit-no-ask-password", password(), Request { ask_password: false, ..ask(Action::Stop) }),
        ("stop-system-unit-allowed-by-rule", facts(watson(), allowed()), ask(Action::Stop)),
        ("stop-system-unit-denied-by-rule", facts(watson(), ollama(&denied(), DENIED)), ask(Action::Stop)),
        ("restart-system-unit-by-sudo", sudo(&["start", "stop", "restart"]), with_sudo(Action::Restart)),
        ("restart-system-unit-sudo-does-not-allow", sudo(&[]), with_sudo(Action::Restart)),
        ("stop-system-unit-force", facts(root(), ollama(&Answer::Allowed, ALLOWED)), force.clone()),
        ("stop-system-unit-force-with-sudo", sudo(&["stop"]), Request { sudo: true, ..force }),
        ("kill-system-unit-all-hup", facts(root(), ollama(&Answer::Allowed, ALLOWED)), all),
        ("stop-system-unit-only-process", facts(root(), ollama(&Answer::Allowed, ALLOWED)), only_process()),
        (
            "stop-system-unit-no-polkit",
            on(no_polkit, facts(watson(), ollama(&Answer::Denied("Access denied".to_owned()), DENIED))),
            ask(Action::Stop),
        ),
        ("stop-system-unit-old-polkit", on(old_polkit, password()), ask(Action::Stop)),
        (
            "stop-system-unit-252-desktop",
            facts(Caller { session: Some(desktop), ..watson() }, ollama(&Answer::Unknown(prompts), DENIED)),
            ask(Action::Stop),
        ),
        ("stop-system-unit-user-is-caller", facts(watson(), own_uid(&Answer::NeedsPassword)), ask(Action::Stop)),
        ("kill-system-unit-user-is-caller", facts(watson(), own_uid(&Answer::NeedsPassword)), ask(Action::Kill)),
        (
            "stop-own-user-unit",
            facts(watson(), in_user_unit(1000, "watson", "llm.service", Some(&mine))),
            ask(Action::Stop),
        ),
        (
            "stop-user-unit-of-other",
            facts(watson(), in_user_unit(1001, "mary", "llm.service", None)),
            ask(Action::Stop),
        ),
        (
            "stop-user-unit-of-other-as-root",
            facts(root(), in_user_unit(1001, "mary", "llm.service", Some(&mine))),
            ask(Action::Stop),
        ),
        ("stop-part-of-unit", facts(watson(), part()), ask(Action::Stop)),
        ("kill-part-of-unit", facts(watson(), part()), ask(Action::Kill)),
        ("stop-part-of-unit-only-process", facts(watson(), part()), only_process()),
    ]
}

fn only_process() -> Request {
    Request { only_process: true, ..ask(Action::Stop) }
}

/// A system unit of this name, as it was named by root.
fn named(name: &str) -> Facts {
    let mut facts = changed(|unit| unit.id = unit_name(name));
    let owner = &mut facts.owners[0];
    owner.owner = Owner::SystemUnit { unit: unit_name(name) };
    owner.exact = format!("unit:{name}");
    facts.target = owner.exact.clone();
    facts
}

/// The same, found through one of its processes.
fn by_process(name: &str) -> Facts {
    let mut facts = named(name);
    facts.owners[0].named = false;
    facts
}

/// What stands in the way of a unit's action.
pub(super) fn obstacles() -> Vec<Case> {
    let idle = |change: fn(&mut UnitFacts)| {
        let mut facts = unit("ollama.service", "ollama", None, &Answer::Allowed);
        change(&mut facts);
        samples::facts(root(), samples::idle(facts))
    };
    let socket = |unit: &mut UnitFacts| {
        unit.triggered_by = vec![unit_name("ollama.socket")];
        unit.active_triggers = unit.triggered_by.clone();
    };
    let mut failed = idle(|_| ());
    failed.owners[0].unit.as_mut().expect("a unit").active_state = "failed".to_owned();
    let no_bus =
        Host { system_bus: Reach::No("/run/dbus/system_bus_socket: no such file".to_owned()), ..samples::host() };
    let unread = OwnerFacts { unit: None, ..ollama(&Answer::Allowed, DENIED) };
    let left_over = changed(|u| {
        u.active_state = "failed".to_owned();
        u.main_pid = None;
    });
    let root_in_terminal = Caller {
        units: ["user.slice", "user-1000.slice", "user@1000.service", "app.slice", "term.service"]
            .map(unit_name)
            .to_vec(),
        ..root()
    };
    let holds_us = in_user_unit(1000, "watson", "term.service", Some(&Answer::Allowed));
    vec![
        ("start-masked", idle(|u| u.load_state = "masked".to_owned()), ask(Action::Start)),
        ("start-bad-setting", idle(|u| u.load_state = "bad-setting".to_owned()), ask(Action::Start)),
        ("start-not-found", idle(|u| u.load_state = "not-found".to_owned()), ask(Action::Start)),
        ("start-running", changed(|_| ()), ask(Action::Start)),
        ("start-refuse-manual", idle(|u| u.refuse_manual_start = true), ask(Action::Start)),
        ("stop-refuse-manual", changed(|u| u.refuse_manual_stop = true), ask(Action::Stop)),
        ("restart-inactive-refuse-manual-stop", idle(|u| u.refuse_manual_stop = true), ask(Action::Restart)),
        ("restart-unit-file-gone", changed(|u| u.load_state = "not-found".to_owned()), ask(Action::Restart)),
        ("stop-inactive", idle(|_| ()), ask(Action::Stop)),
        ("stop-failed", failed, ask(Action::Stop)),
        ("stop-failed-with-processes-left", left_over, ask(Action::Stop)),
        ("stop-socket-activated", changed(socket), ask(Action::Stop)),
        ("reload-without-execreload", changed(|_| ()), ask(Action::Reload)),
        ("kill-without-main-process", changed(|u| u.main_pid = None), ask(Action::Kill)),
        ("start-template", named("worker@.service"), ask(Action::Start)),
        ("start-template-instance", idle(|u| u.id = unit_name("worker@a.service")), ask(Action::Start)),
        ("stop-slice", named("machine.slice"), ask(Action::Stop)),
        (
            "stop-unit-in-nested-slice",
            changed(|u| u.control_group = "/gpu.slice/gpu-inference.slice/ollama.service".to_owned()),
            ask(Action::Stop),
        ),
        ("restart-dbus", named("dbus.service"), ask(Action::Restart)),
        ("stop-init-scope-by-name", named("init.scope"), ask(Action::Stop)),
        ("stop-docker-by-process", by_process("docker.service"), ask(Action::Stop)),
        ("stop-docker-by-name", named("docker.service"), ask(Action::Stop)),
        ("stop-unit-that-holds-provost", facts(root_in_terminal, holds_us), ask(Action::Stop)),
        ("stop-no-bus", on(no_bus, facts(watson(), unread)), ask(Action::Stop)),
    ]
}
