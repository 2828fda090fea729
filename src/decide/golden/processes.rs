//! Processes without a unit of their own.

use super::super::samples::{self, OWN, bare, facts, in_user_unit, process, root, unit, watson};
use super::{Case, ask};
use crate::model::{Action, Answer, Facts, Owner, OwnerFacts, ProcState, Request, Signal, SignalAnswer, Uids, Whom};

const DENIED: SignalAnswer = SignalAnswer::Denied;
const ALLOWED: SignalAnswer = SignalAnswer::Allowed;

fn in_state(state: ProcState) -> Facts {
    let mut owner = bare(1000, "watson", ALLOWED);
    owner.processes.truncate(1);
    owner.tree.truncate(1);
    owner.signals.truncate(1);
    owner.processes[0].state = state;
    facts(watson(), owner)
}

/// A process of watson's in a scope (an editor's) beside others.
fn editor(pids: &[u32]) -> OwnerFacts {
    let mut owner = in_user_unit(1000, "watson", "app-editor-77.scope", Some(&Answer::Allowed));
    owner.processes = vec![
        process(5000, 1200, 1000, "/usr/bin/editor"),
        process(5100, 5000, 1000, "/usr/bin/llama-server --port 8080"),
        process(5200, 5000, 1000, "/bin/bash"),
    ];
    owner.unit = Some(unit("app-editor-77.scope", "", None, &Answer::Allowed));
    owner.matched = pids.to_vec();
    owner.tree = pids.to_vec();
    owner.includes_main = false;
    owner.exact = format!("pid:{}", pids[0]);
    samples::signals(owner, ALLOWED)
}

/// The only process of a scope, found by its pid.
fn own_scope() -> OwnerFacts {
    let mut owner = in_user_unit(1000, "watson", "run-r12.scope", Some(&Answer::Allowed));
    owner.unit = Some(unit("run-r12.scope", "", None, &Answer::Allowed));
    samples::signals(owner, ALLOWED)
}

/// A shell in which provost itself runs.
fn own_shell() -> OwnerFacts {
    let mut owner = editor(&[5200]);
    owner.processes.push(process(OWN, 5200, 1000, "provost stop pid:5200"));
    owner.tree = vec![5200, OWN];
    samples::signals(owner, ALLOWED)
}

fn session() -> OwnerFacts {
    let owner = bare(1000, "watson", ALLOWED);
    let root = owner.processes[0].identity;
    OwnerFacts { owner: Owner::Session { id: "3".to_owned(), uid: Some(1000), root }, ..owner }
}

fn setuid_root() -> Facts {
    let mut owner = bare(1000, "root", ALLOWED);
    owner.uid = Some(0);
    owner.processes[0].cmdline = vec!["/usr/bin/passwd".to_owned()];
    owner.processes[0].uids = Some(Uids { real: 1000, effective: 0, saved: 0 });
    facts(watson(), owner)
}

fn partly_denied() -> Facts {
    let mut owner = bare(1000, "watson", ALLOWED);
    owner.processes[1] = process(6200, 6100, 0, "sudo -i");
    owner.signals[1].1 = DENIED;
    facts(watson(), owner)
}

fn pid_1() -> Facts {
    let one = process(1, 0, 0, "/sbin/tini -- run");
    let owner = samples::owner(Owner::Bare { root: one.identity }, "root", vec![one]);
    Facts { host: samples::host_without_systemd(), ..facts(root(), samples::signals(owner, ALLOWED)) }
}

/// What stands in the scope of PID 1 and was found by its pid: PID 1, or who was put beside it.
fn in_init_scope(pid: u32, argv: &str) -> OwnerFacts {
    let one = process(pid, 0, 0, argv);
    let name = Owner::SystemUnit { unit: samples::unit_name("init.scope") };
    let owner = OwnerFacts {
        unit: Some(unit("init.scope", "", None, &Answer::Allowed)),
        includes_main: false,
        exact: format!("pid:{pid}"),
        ..samples::owner(name, "root", vec![one])
    };
    samples::signals(owner, ALLOWED)
}

fn kernel_thread() -> Facts {
    let mut thread = process(12, 2, 0, "kworker/0:1");
    thread.kernel_thread = true;
    thread.cmdline.clear();
    facts(root(), samples::owner(Owner::Kernel, "root", vec![thread]))
}

pub(super) fn cases() -> Vec<Case> {
    let own = || facts(watson(), bare(1000, "watson", ALLOWED));
    let without_systemd = Facts { host: samples::host_without_systemd(), ..own() };
    let ladder = Request { ladder: "TERM:3s,INT:3s,KILL".parse().expect("a ladder"), ..ask(Action::Stop) };
    let all = Request { whom: Whom::All, signal: Signal::HUP, ..ask(Action::Kill) };
    let mut capable = watson();
    capable.capabilities.push("cap_kill".to_owned());
    vec![
        ("stop-own-process", own(), ask(Action::Stop)),
        ("stop-own-process-signals", own(), ladder),
        ("stop-own-process-force", own(), Request { force: true, ..ask(Action::Stop) }),
        ("stop-own-process-without-systemd", without_systemd, ask(Action::Stop)),
        ("start-own-process", own(), ask(Action::Start)),
        ("restart-own-process", own(), ask(Action::Restart)),
        ("reload-own-process", own(), ask(Action::Reload)),
        ("kill-own-process", own(), Request { signal: Signal::HUP, ..ask(Action::Kill) }),
        ("kill-own-process-all", own(), all),
        ("stop-process-of-other", facts(watson(), bare(1001, "mary", DENIED)), ask(Action::Stop)),
        ("stop-process-of-root", facts(watson(), bare(0, "root", DENIED)), ask(Action::Stop)),
        ("stop-process-of-other-with-cap-kill", facts(capable, bare(1001, "mary", ALLOWED)), ask(Action::Stop)),
        ("stop-process-partly-denied", partly_denied(), ask(Action::Stop)),
        ("stop-setuid-root-process", setuid_root(), ask(Action::Stop)),
        ("stop-session-process", facts(watson(), session()), ask(Action::Stop)),
        ("stop-process-in-editor-scope", facts(watson(), editor(&[5100])), ask(Action::Stop)),
        ("restart-process-in-editor-scope", facts(watson(), editor(&[5100])), ask(Action::Restart)),
        ("stop-shell-around-provost", facts(watson(), own_shell()), ask(Action::Stop)),
        ("stop-own-scope", facts(watson(), own_scope()), ask(Action::Stop)),
        ("kill-own-scope", facts(watson(), own_scope()), ask(Action::Kill)),
        ("stop-pid-1", facts(root(), in_init_scope(1, "/sbin/init")), ask(Action::Stop)),
        ("stop-beside-pid-1", facts(root(), in_init_scope(7300, "/usr/bin/htop")), ask(Action::Stop)),
        ("kill-beside-pid-1", facts(root(), in_init_scope(7300, "/usr/bin/htop")), ask(Action::Kill)),
        ("restart-beside-pid-1", facts(root(), in_init_scope(7300, "/usr/bin/htop")), ask(Action::Restart)),
        ("stop-zombie", in_state(ProcState::Zombie), ask(Action::Stop)),
        ("kill-zombie", in_state(ProcState::Zombie), ask(Action::Kill)),
        ("stop-uninterruptible", in_state(ProcState::Uninterruptible), ask(Action::Stop)),
        ("stop-pid-1-without-systemd", pid_1(), ask(Action::Stop)),
        ("stop-kernel-thread", kernel_thread(), ask(Action::Stop)),
        ("kill-kernel-thread-only-process", kernel_thread(), Request { only_process: true, ..ask(Action::Kill) }),
    ]
}
