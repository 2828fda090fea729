//! Facts of typical situations, to be changed where a test needs another one.

use std::collections::BTreeMap;

use crate::model::{
    Action, Answer, Caller, Container, Explained, Facts, HelperFacts, Host, Identity, Manager, Owner, OwnerFacts,
    Polkit, ProcState, Process, Reach, Runtime, Session, SignalAnswer, Uids, UnitFacts, UnitName, Verdict,
};

/// provost's own pid in all samples.
pub(super) const OWN: u32 = 9000;

pub(super) fn unit_name(name: &str) -> UnitName {
    name.parse().expect("a unit name")
}

/// watson, on a terminal, in a login session.
pub(super) fn watson() -> Caller {
    Caller {
        uid: 1000,
        user: "watson".to_owned(),
        groups: vec![1000],
        capabilities: Vec::new(),
        interactive: true,
        session: Some(Session { id: "3".to_owned(), seat: false, graphical: false }),
        lineage: vec![OWN, 8900, 8800],
        units: ["user.slice", "user-1000.slice", "session-3.scope"].map(unit_name).to_vec(),
        runtime_dir: Some("/run/user/1000".to_owned()),
    }
}

pub(super) fn root() -> Caller {
    Caller {
        uid: 0,
        user: "root".to_owned(),
        groups: vec![0],
        capabilities: ["cap_kill", "cap_sys_admin"].map(str::to_owned).to_vec(),
        units: ["user.slice", "user-0.slice", "session-1.scope"].map(unit_name).to_vec(),
        runtime_dir: None,
        ..watson()
    }
}

pub(super) fn host() -> Host {
    Host {
        boot_id: "00000000-0000-4000-8000-000000000000".to_owned(),
        init: "systemd".to_owned(),
        systemd: Some("257.13".to_owned()),
        system_bus: Reach::Yes,
        user_manager: Reach::Yes,
        polkit: Polkit::Version("126".to_owned()),
        admin_group: Some("sudo".to_owned()),
        pkttyagent: true,
        helper: Reach::NotAsked,
    }
}

/// A host whose PID 1 is something else, without buses and polkit.
pub(super) fn host_without_systemd() -> Host {
    let none = || Reach::No("there is no system bus (/run/dbus/system_bus_socket)".to_owned());
    Host {
        init: "tini".to_owned(),
        systemd: None,
        system_bus: none(),
        user_manager: none(),
        polkit: Polkit::Absent,
        ..host()
    }
}

pub(super) fn process(pid: u32, ppid: u32, uid: u32, command: &str) -> Process {
    let cmdline: Vec<String> = command.split(' ').map(str::to_owned).collect();
    let program = cmdline.first().cloned().unwrap_or_default();
    Process {
        identity: Identity { pid, start_ticks: u64::from(pid) * 10, pidfd_inode: None },
        ppid,
        pgid: pid,
        sid: pid,
        uids: Some(Uids { real: uid, effective: uid, saved: uid }),
        comm: program.rsplit('/').next().unwrap_or_default().chars().take(15).collect(),
        exe: Some(program),
        cmdline,
        started_at: None,
        state: ProcState::Alive,
        cgroup: None,
        kernel_thread: false,
    }
}

/// An owner of these processes, all of them matched, and nothing else known.
pub(super) fn owner(owner: Owner, user: &str, processes: Vec<Process>) -> OwnerFacts {
    let pids: Vec<u32> = processes.iter().map(Process::pid).collect();
    let exact = pids.first().map(|pid| format!("pid:{pid}")).unwrap_or_default();
    OwnerFacts {
        user: Some(user.to_owned()),
        uid: processes.first().and_then(Process::uid),
        matched: pids.first().copied().into_iter().collect(),
        tree: pids,
        processes,
        ..OwnerFacts::new(owner, exact)
    }
}

/// The kernel's answers for all processes of an owner.
pub(super) fn signals(mut facts: OwnerFacts, answer: SignalAnswer) -> OwnerFacts {
    facts.signals = facts.processes.iter().map(|p| (p.identity, answer)).collect();
    facts
}

/// A loaded unit that runs, with the same answer of its manager for every action.
pub(super) fn unit(name: &str, user: &str, main_pid: Option<u32>, answer: &Answer) -> UnitFacts {
    UnitFacts {
        id: unit_name(name),
        description: String::new(),
        load_state: "loaded".to_owned(),
        active_state: "active".to_owned(),
        sub_state: "running".to_owned(),
        unit_file_state: "enabled".to_owned(),
        fragment_path: format!("/etc/systemd/system/{name}"),
        transient: false,
        main_pid,
        control_pid: None,
        user: user.to_owned(),
        restart: "no".to_owned(),
        refuse_manual_start: false,
        refuse_manual_stop: false,
        can_start: true,
        can_stop: true,
        can_reload: false,
        triggered_by: Vec::new(),
        active_triggers: Vec::new(),
        triggers: Vec::new(),
        control_group: format!("/system.slice/{name}"),
        invocation_id: String::new(),
        active_since: None,
        job_pending: false,
        answers: Action::ALL.into_iter().map(|action| (action, answer.clone())).collect::<BTreeMap<_, _>>(),
    }
}

/// ollama.service of the user ollama with Restart=always, two processes, as its name leads to it.
pub(super) fn ollama(answer: &Answer, direct: SignalAnswer) -> OwnerFacts {
    let processes = vec![
        process(4100, 1, 998, "/usr/local/bin/ollama serve"),
        process(4200, 4100, 998, "/usr/local/bin/ollama runner --model x"),
    ];
    let facts = UnitFacts { restart: "always".to_owned(), ..unit("ollama.service", "ollama", Some(4100), answer) };
    let name = Owner::SystemUnit { unit: facts.id.clone() };
    let facts = OwnerFacts {
        exact: "unit:ollama.service".to_owned(),
        named: true,
        by_pattern: false,
        unit: Some(facts),
        ..owner(name, "ollama", processes)
    };
    signals(facts, direct)
}

/// A system unit that was named, with nothing of it running.
pub(super) fn idle(facts: UnitFacts) -> OwnerFacts {
    let facts = UnitFacts {
        active_state: "inactive".to_owned(),
        sub_state: "dead".to_owned(),
        main_pid: None,
        control_group: String::new(),
        ..facts
    };
    let exact = format!("unit:{}", facts.id);
    let name = Owner::SystemUnit { unit: facts.id.clone() };
    OwnerFacts { exact, named: true, unit: Some(facts), ..owner(name, "root", Vec::new()) }
}

/// A process in a unit of a user manager, which is found by its pid and is the main one.
pub(super) fn in_user_unit(uid: u32, user: &str, name: &str, answer: Option<&Answer>) -> OwnerFacts {
    let whose = Owner::UserUnit { uid, unit: unit_name(name) };
    let exact = if uid == 1000 { format!("user-unit:{name}") } else { "pid:5100".to_owned() };
    let facts = answer.map(|answer| UnitFacts {
        fragment_path: format!("/home/{user}/.config/systemd/user/{name}"),
        ..unit(name, "", Some(5100), answer)
    });
    let processes = vec![process(5100, 1200, uid, "/usr/bin/llama-server --port 8080")];
    OwnerFacts { exact, unit: facts, ..owner(whose, user, processes) }
}

/// A bare process with one child.
pub(super) fn bare(uid: u32, user: &str, direct: SignalAnswer) -> OwnerFacts {
    let processes =
        vec![process(6100, 1, uid, "/opt/agent/bin/agent --serve"), process(6200, 6100, uid, "/bin/sh -c work")];
    let root = Owner::Bare { root: processes[0].identity };
    signals(owner(root, user, processes), direct)
}

/// A process that is the first one of a container, its worker beside it.
pub(super) fn in_container(runtime: Runtime, id: &str, manager: Manager, unit: Option<UnitName>) -> OwnerFacts {
    let processes = vec![process(7100, 1, 0, "/bin/ollama serve"), process(7200, 7100, 0, "/bin/ollama runner")];
    let container = Container { runtime, id: id.to_owned(), pod: None };
    signals(owner(Owner::Container { container, manager, unit }, "root", processes), SignalAnswer::Denied)
}

/// What was read for one owner.
pub(super) fn facts(caller: Caller, owner: OwnerFacts) -> Facts {
    Facts { target: owner.exact.clone(), caller, host: host(), owners: vec![owner] }
}

/// An answer of the helper.
pub(super) fn explained(verdict: Verdict, polkit_action: &str) -> Explained {
    let details = [("user", "mary"), ("exe", "/opt/agent/bin/agent"), ("unit", "llm.service")];
    Explained {
        verdict,
        polkit_action: polkit_action.to_owned(),
        details: details.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        reason: if verdict == Verdict::Denied { "polkit says no".to_owned() } else { String::new() },
    }
}

/// The same where the helper was asked, and answers so to every question.
pub(super) fn with_helper(mut facts: Facts, answer: Explained) -> Facts {
    facts.host.helper = Reach::Yes;
    for owner in &mut facts.owners {
        let all = || BTreeMap::from(Action::ALL.map(|action| (action, answer.clone())));
        let asked = owner.processes.iter().filter(|p| owner.signal_answer(p.pid()) == Some(SignalAnswer::Denied));
        let roots = owner.matched.iter().filter_map(|pid| owner.process(*pid));
        let mut processes: Vec<_> = asked.chain(roots).map(|process| (process.identity, all())).collect();
        processes.sort_by_key(|(identity, _)| identity.pid);
        processes.dedup_by_key(|(identity, _)| identity.pid);
        let unit = if owner.owner.unit().is_some() { all() } else { BTreeMap::new() };
        owner.helper = Some(Box::new(HelperFacts { processes, unit }));
    }
    facts
}
