//! What the privileged helper does.

use super::super::samples::{self, bare, explained, facts, in_user_unit, ollama, process, root, watson, with_helper};
use super::{Case, ask};
use crate::model::{
    Action, Answer, Caller, Facts, Host, OwnerFacts, Reach, Request, Signal, SignalAnswer, Verdict, Whom,
};

const DENIED: SignalAnswer = SignalAnswer::Denied;
const SIGNAL: &str = "org.provost.signal-process";
const ROOT: &str = "org.provost.signal-root-process";
const UNITS: &str = "org.provost.manage-user-units";

fn on(host: Host, facts: Facts) -> Facts {
    Facts { host, ..facts }
}

/// What watson sees where the helper answers so about the processes.
fn processes(owner: OwnerFacts, verdict: Verdict, action: &str) -> Facts {
    with_helper(facts(watson(), owner), explained(verdict, action))
}

fn of_mary(verdict: Verdict) -> Facts {
    processes(bare(1001, "mary", DENIED), verdict, SIGNAL)
}

fn of_root(verdict: Verdict) -> Facts {
    processes(bare(0, "root", DENIED), verdict, ROOT)
}

/// watson's own, whose child became root.
fn mixed(verdict: Verdict) -> Facts {
    let mut owner = bare(1000, "watson", SignalAnswer::Allowed);
    owner.processes[1] = process(6200, 6100, 0, "sudo -i");
    owner.signals[1].1 = DENIED;
    processes(owner, verdict, ROOT)
}

/// ollama's runner, which is a part of its unit.
fn runner(verdict: Verdict) -> Facts {
    let mut owner = ollama(&Answer::NeedsPassword, DENIED);
    owner.processes[1].cmdline[0] = "/usr/bin/llama-server".to_owned();
    let owner = OwnerFacts {
        named: false,
        includes_main: false,
        matched: vec![4200],
        tree: vec![4200],
        exact: "pid:4200".to_owned(),
        ..owner
    };
    processes(owner, verdict, SIGNAL)
}

fn unit_of_mary(verdict: Verdict) -> Facts {
    let owner = samples::signals(in_user_unit(1001, "mary", "llm.service", None), DENIED);
    with_helper(facts(watson(), owner), explained(verdict, UNITS))
}

/// Its process, in spite of it.
fn main_of_mary(verdict: Verdict) -> Facts {
    let owner = samples::signals(in_user_unit(1001, "mary", "llm.service", None), DENIED);
    with_helper(facts(watson(), owner), explained(verdict, SIGNAL))
}

/// A worker beside the server in mary's unit was named.
fn worker_of_mary() -> Facts {
    let mut owner = in_user_unit(1001, "mary", "llm.service", None);
    owner.processes.push(process(5200, 5100, 1001, "/usr/bin/worker"));
    let owner = OwnerFacts {
        matched: vec![5200],
        tree: vec![5200],
        includes_main: false,
        exact: "pid:5200".to_owned(),
        ..samples::signals(owner, DENIED)
    };
    with_helper(facts(watson(), owner), explained(Verdict::NeedsPassword, UNITS))
}

pub(super) fn cases() -> Vec<Case> {
    let (yes, password, no) = (Verdict::Allowed, Verdict::NeedsPassword, Verdict::Denied);
    let hup = Request { signal: Signal::HUP, ..ask(Action::Kill) };
    let no_terminal = Caller { interactive: false, ..watson() };
    let missing = Host { helper: Reach::No("nobody has the name".to_owned()), ..samples::host() };
    let force = Request { force: true, ..ask(Action::Stop) };
    let only = Request { only_process: true, ..ask(Action::Stop) };
    let mut capable = unit_of_mary(password);
    capable.caller.capabilities.push("cap_kill".to_owned());
    capable.owners[0] = samples::signals(capable.owners[0].clone(), SignalAnswer::Allowed);
    vec![
        ("helper-stop-process-of-other", of_mary(yes), ask(Action::Stop)),
        ("helper-stop-process-of-other-with-password", of_mary(password), ask(Action::Stop)),
        ("helper-stop-process-of-other-denied", of_mary(no), ask(Action::Stop)),
        (
            "helper-stop-process-of-other-no-terminal",
            Facts { caller: no_terminal, ..of_mary(password) },
            ask(Action::Stop),
        ),
        ("helper-stop-process-of-other-force", of_mary(password), force.clone()),
        (
            "helper-missing-stop-process-of-other",
            on(missing.clone(), facts(watson(), bare(1001, "mary", DENIED))),
            ask(Action::Stop),
        ),
        ("helper-kill-process-of-other", of_mary(yes), hup.clone()),
        ("helper-kill-process-of-root-with-password", of_root(password), hup.clone()),
        (
            "helper-not-for-root",
            with_helper(facts(root(), bare(1001, "mary", SignalAnswer::Allowed)), explained(no, SIGNAL)),
            ask(Action::Stop),
        ),
        ("helper-stop-own-with-child-of-root", mixed(password), ask(Action::Stop)),
        ("helper-kill-own-and-child-of-root", mixed(password), Request { whom: Whom::All, ..hup.clone() }),
        ("helper-kill-own-beside-child-of-root", mixed(password), hup.clone()),
        ("helper-stop-part-of-unit", runner(password), ask(Action::Stop)),
        ("helper-stop-part-of-unit-denied", runner(no), ask(Action::Stop)),
        ("helper-stop-part-of-unit-only-process", runner(password), only.clone()),
        ("helper-stop-user-unit-of-other", unit_of_mary(yes), ask(Action::Stop)),
        ("helper-restart-user-unit-of-other-with-password", unit_of_mary(password), ask(Action::Restart)),
        ("helper-reload-user-unit-of-other-denied", unit_of_mary(no), ask(Action::Reload)),
        ("helper-start-user-unit-of-other", unit_of_mary(password), ask(Action::Start)),
        ("helper-kill-user-unit-of-other", unit_of_mary(password), hup.clone()),
        ("helper-kill-user-unit-of-other-all", unit_of_mary(password), Request { whom: Whom::All, ..hup }),
        ("helper-stop-user-unit-of-other-force", unit_of_mary(password), force),
        ("helper-stop-user-unit-of-other-only-process", main_of_mary(password), only),
        ("helper-stop-user-unit-of-other-with-cap-kill", capable, ask(Action::Stop)),
        ("helper-stop-part-of-user-unit-of-other", worker_of_mary(), ask(Action::Stop)),
        (
            "helper-missing-stop-user-unit-of-other",
            on(missing, facts(watson(), in_user_unit(1001, "mary", "llm.service", None))),
            ask(Action::Stop),
        ),
    ]
}
