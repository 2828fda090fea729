//! From what was found to what is known of its owners.

use std::collections::BTreeSet;

use super::cgroup::Place;
use super::observer::{Observer, Want};
use super::resolve::{self, Found};
use super::units::Answers;
use super::{container_owner, interpreter, listening, records, sudo, tree, units, user_name};
use crate::model::{Identity, Manager, Owner, OwnerFacts, Process, SignalAnswer, UnitFacts, UnitKind, UnitName};
use crate::sys::pidfd::PidFd;

/// At most so many processes of one owner are asked whether they may be signalled.
const MOST_SIGNALS: usize = 2048;

/// Reads everything about what was found; one found thing can have several owners.
pub(super) async fn describe(observer: &Observer, found: Found, want: &Want) -> Vec<OwnerFacts> {
    match found {
        Found::Unit { manager, unit, facts, answers, note } => {
            let read = facts.map(|facts| (*facts, answers));
            let mut owner = unit_owner(observer, manager, &unit, read, None, want).await;
            owner.notes.extend(note);
            vec![owner]
        }
        Found::Within { place, pid, note } => {
            let mut owners = at_place(observer, place, Vec::new(), want).await;
            for owner in &mut owners {
                owner.notes.push(note.clone());
                owner.includes_main |= pid.is_some() && owner.unit.as_ref().is_some_and(|u| u.main_pid == pid);
            }
            owners
        }
        Found::Own(record) => vec![own_service(observer, &record, want).await],
        Found::Processes(pids) => by_place(observer, &pids, want).await,
    }
}

/// Groups processes by where they stand.
async fn by_place(observer: &Observer, pids: &[u32], want: &Want) -> Vec<OwnerFacts> {
    let own = records::running(observer);
    let mut groups: Vec<(Place, Vec<Process>)> = Vec::new();
    let mut owners = Vec::new();
    for process in observer.proc().processes(pids) {
        if process.kernel_thread {
            owners.push(kernel(observer, process));
            continue;
        }
        if let Some(record) = records::of_process(&own, &process.identity) {
            owners.push(own_service(observer, &record, want).await);
            continue;
        }
        let place = without_subgroup(observer.place(&process));
        match groups.iter_mut().find(|(at, _)| *at == place) {
            Some((_, members)) => members.push(process),
            None => groups.push((place, vec![process])),
        }
    }
    for (place, members) in groups {
        owners.extend(at_place(observer, place, members, want).await);
    }
    owners
}

/// The delegated part of a unit below which a process stands does not change whose it is.
fn without_subgroup(place: Place) -> Place {
    match place {
        Place::SystemUnit { unit, .. } => Place::SystemUnit { unit, subgroup: None },
        Place::UserUnit { uid, unit, .. } => Place::UserUnit { uid, unit, subgroup: None },
        other => other,
    }
}

/// The owners of processes that stand at one place.
async fn at_place(observer: &Observer, place: Place, matched: Vec<Process>, want: &Want) -> Vec<OwnerFacts> {
    let (manager, unit) = match place {
        Place::SystemUnit { unit, .. } => (Manager::System, unit),
        Place::UserUnit { uid, unit, .. } => (Manager::User(uid), unit),
        Place::Container { container, unit } => {
            return vec![container_owner::owner(observer, container, unit, matched, want).await];
        }
        Place::Session { id, uid, .. } => {
            return trees(observer, matched, want, |root| Owner::Session { id: id.clone(), uid, root }).await;
        }
        Place::Root => return trees(observer, matched, want, |root| Owner::Bare { root }).await,
        Place::Foreign => {
            let mut owners = trees(observer, matched, want, |root| Owner::Bare { root }).await;
            let note = "it is in another cgroup namespace, so its unit cannot be told";
            owners.iter_mut().for_each(|o| o.notes.push(note.to_owned()));
            return owners;
        }
    };
    let whole = unit_owner(observer, manager, &unit, None, Some(&matched), want).await;
    // Things in a scope that is somebody else's have nothing to do with each other.
    if unit.kind() == UnitKind::Scope && !whole.includes_main && whole.matched.len() > 1 {
        let mut parts = Vec::new();
        for root in resolve::roots(&matched, |pid| observer.proc().stat(pid).ok().map(|s| s.ppid)) {
            let alone: Vec<Process> = matched.iter().filter(|p| p.pid() == root).cloned().collect();
            let read = whole.unit.clone().map(|facts| (facts, Answers::new()));
            parts.push(unit_owner(observer, manager, &unit, read, Some(&alone), want).await);
        }
        return parts;
    }
    vec![whole]
}

/// A unit with its processes. `matched`: what led to it; `None` if it was named itself.
async fn unit_owner(
    observer: &Observer,
    manager: Manager,
    unit: &UnitName,
    read: Option<(UnitFacts, Answers)>,
    matched: Option<&[Process]>,
    want: &Want,
) -> OwnerFacts {
    let mut notes = Vec::new();
    let client = observer.bus().manager(manager).await;
    let (facts, asked) = read.map_or((None, Answers::new()), |(facts, asked)| (Some(facts), asked));
    let (facts, systemd) = match &client {
        Ok(client) => {
            let (facts, version) = tokio::join!(
                async {
                    match facts {
                        Some(facts) => Ok(facts),
                        None => units::read(client, unit).await,
                    }
                },
                observer.systemd_version(client)
            );
            (facts.map_err(|e| notes.push(format!("{unit}: {e}"))).ok(), version)
        }
        Err(why) => {
            notes.push(format!("{unit}: {why}"));
            (None, None)
        }
    };
    let unit = facts.as_ref().map_or_else(|| unit.clone(), |f| f.id.clone());
    let group = facts.as_ref().map(|f| f.control_group.clone()).filter(|g| !g.is_empty());
    let group = group.or_else(|| matched?.first().and_then(|p| group_of_unit(p, &unit)));
    let mut pids = group.as_deref().and_then(|g| observer.cgroups().map(|fs| fs.pids_in(g))).unwrap_or_default();
    if pids.is_empty()
        && facts.as_ref().is_some_and(UnitFacts::is_active)
        && let Ok(client) = &client
    {
        let listed = client.unit_processes(&unit).await.unwrap_or_default();
        pids.extend(listed.into_iter().map(|(_, pid, _)| pid));
    }
    for process in matched.into_iter().flatten() {
        if !pids.contains(&process.pid()) {
            pids.push(process.pid());
        }
    }
    // Of a scope that holds more than the target, the rest is none of our business.
    let mut group = group;
    if let Some(matched) = matched.filter(|_| unit.kind() == UnitKind::Scope) {
        let roots: Vec<u32> = matched.iter().map(Process::pid).collect();
        let tree = tree::of(observer.proc(), &roots);
        if pids.iter().any(|pid| !tree.contains(pid)) {
            pids = tree;
            group = None;
        }
    }
    let whole = group.is_some();
    let main = facts.as_ref().and_then(|f| f.main_pid);
    pids.sort_by_key(|pid| (Some(*pid) != main, *pid));
    let mut processes = observer.proc().processes(&pids);
    if processes.len() < pids.len() && matched.is_none() {
        let hidden =
            pids.iter().filter(|pid| matches!(observer.proc().comm(**pid), Err(super::ReadError::Hidden { .. })));
        let hidden = hidden.count();
        if hidden > 0 {
            notes.push(format!("/proc hides {hidden} of its processes from you (hidepid)"));
        }
    }
    let named = matched.is_none();
    let (matched, tree) = match matched {
        None => {
            let all: Vec<u32> = processes.iter().map(Process::pid).collect();
            (main.filter(|m| all.contains(m)).map_or_else(|| all.clone(), |m| vec![m]), all)
        }
        Some(matched) => {
            let matched: Vec<u32> = matched.iter().map(Process::pid).collect();
            let tree = tree::of(observer.proc(), &matched);
            (matched, tree)
        }
    };
    let includes_main = named
        || (whole || unit.kind() != UnitKind::Scope)
            && includes_main(facts.as_ref(), &unit, &processes, &matched, &tree);
    let uid = processes.first().and_then(Process::uid);
    let user = uid.map(user_name).or_else(|| match (&facts, manager) {
        (Some(f), Manager::System) if !f.user.is_empty() => Some(f.user.clone()),
        (Some(_), Manager::System) => Some("root".to_owned()),
        (_, Manager::User(uid)) => Some(user_name(uid)),
        _ => None,
    });
    let owner = match manager {
        Manager::System => Owner::SystemUnit { unit: unit.clone() },
        Manager::User(uid) => Owner::UserUnit { uid, unit: unit.clone() },
    };
    let exact = match (manager, matched.first()) {
        // A part of a scope of others is reached by its own pid only.
        (_, Some(pid)) if unit.kind() == UnitKind::Scope && !includes_main => format!("pid:{pid}"),
        (Manager::User(uid), Some(pid)) if uid != observer.caller().uid => format!("pid:{pid}"),
        (Manager::System, _) => format!("unit:{unit}"),
        (Manager::User(_), _) => format!("user-unit:{unit}"),
    };
    let mut owner = OwnerFacts {
        signals: ask_signals(observer, &mut processes, &matched, &tree),
        owner,
        exact,
        named,
        user,
        uid: uid.or(match manager {
            Manager::User(uid) => Some(uid),
            Manager::System => None,
        }),
        processes,
        matched,
        tree,
        includes_main,
        unit: facts,
        runtime_command: None,
        sudo: None,
        listening: None,
        availability: None,
        notes,
    };
    listening::fill(observer, &mut owner, group.as_deref());
    let ask = async {
        let (Ok(client), Some(facts)) = (&client, &owner.unit) else { return None };
        // A scope of others is never acted on, whatever its manager would say.
        if unit.kind() == UnitKind::Scope && !owner.named && !owner.includes_main {
            return None;
        }
        let (answers, triggers) = tokio::join!(
            units::ask(client, manager, facts, &want.actions, observer.caller(), systemd.as_deref(), &asked),
            units::active_triggers(client, facts),
        );
        Some((answers, triggers))
    };
    let (answers, availability, sudo) =
        tokio::join!(ask, observer.availability(&owner, want), sudo::allowed(observer, manager, &unit, want));
    owner.availability = availability;
    owner.sudo = sudo;
    if let (Some((answers, triggers)), Some(facts)) = (answers, owner.unit.as_mut()) {
        facts.answers = answers;
        facts.active_triggers = triggers;
    }
    owner
}

/// The cgroup of the unit: the path of the process up to the unit's own part.
fn group_of_unit(process: &Process, unit: &UnitName) -> Option<String> {
    let path = process.cgroup.as_deref()?;
    let mut upto = String::new();
    for part in path.split('/').filter(|p| !p.is_empty()) {
        upto.push('/');
        upto.push_str(part);
        if part.strip_prefix('_').unwrap_or(part) == unit.as_str() {
            return Some(upto);
        }
    }
    None
}

/// Whether the matches stand for the whole unit: they include the main process, or run its
/// program; for a unit without a main process, they and their descendants are all of it.
fn includes_main(
    facts: Option<&UnitFacts>,
    unit: &UnitName,
    processes: &[Process],
    matched: &[u32],
    tree: &[u32],
) -> bool {
    let main = facts.and_then(|f| f.main_pid);
    let Some(main) = main.filter(|_| unit.kind() != UnitKind::Scope) else {
        return !matched.is_empty() && processes.iter().all(|p| tree.contains(&p.pid()));
    };
    let Some(main) = processes.iter().find(|p| p.pid() == main) else { return matched.contains(&main) };
    let program = interpreter::program(main);
    let same = |p: &Process| p.pid() == main.pid() || interpreter::program(p) == program;
    if matched.is_empty() {
        // Which of them it is cannot be told: only if all are the same does it not matter.
        return processes.iter().all(same);
    }
    processes.iter().filter(|p| matched.contains(&p.pid())).any(same)
}

/// One owner for each tree whose root matched.
async fn trees(
    observer: &Observer,
    matched: Vec<Process>,
    want: &Want,
    owner: impl Fn(Identity) -> Owner,
) -> Vec<OwnerFacts> {
    let mut owners = Vec::new();
    for root in resolve::roots(&matched, |pid| observer.proc().stat(pid).ok().map(|s| s.ppid)) {
        let Some(root) = matched.iter().find(|p| p.pid() == root) else { continue };
        let tree = tree::of(observer.proc(), &[root.pid()]);
        let members: Vec<u32> = matched.iter().map(Process::pid).filter(|pid| tree.contains(pid)).collect();
        let exact = format!("pid:{}", root.pid());
        let one = of_tree(observer, owner(root.identity), exact, root.pid(), members, tree, want).await;
        owners.push(one);
    }
    owners
}

/// An owner that is a tree of processes.
async fn of_tree(
    observer: &Observer,
    owner: Owner,
    exact: String,
    root: u32,
    matched: Vec<u32>,
    tree: Vec<u32>,
    want: &Want,
) -> OwnerFacts {
    let mut pids = tree.clone();
    pids.sort_by_key(|pid| (*pid != root, *pid));
    let mut processes = observer.proc().processes(&pids);
    let uid = processes.first().and_then(Process::uid);
    let mut facts = OwnerFacts {
        signals: ask_signals(observer, &mut processes, &matched, &tree),
        owner,
        exact,
        named: false,
        user: uid.map(user_name),
        uid,
        processes,
        matched,
        tree,
        includes_main: true,
        unit: None,
        runtime_command: None,
        sudo: None,
        listening: None,
        availability: None,
        notes: Vec::new(),
    };
    listening::fill(observer, &mut facts, None);
    facts.availability = observer.availability(&facts, want).await;
    facts
}

async fn own_service(observer: &Observer, record: &records::Record, want: &Want) -> OwnerFacts {
    let tree = tree::of(observer.proc(), &[record.identity.pid]);
    let owner = Owner::OwnService { id: record.id.clone() };
    let exact = format!("service:{}", record.id);
    let mut facts = of_tree(observer, owner, exact, record.identity.pid, vec![record.identity.pid], tree, want).await;
    facts.named = true;
    facts.notes.push(format!("its output: {}", record.log.display()));
    facts
}

fn kernel(observer: &Observer, process: Process) -> OwnerFacts {
    OwnerFacts {
        owner: Owner::Kernel,
        exact: format!("pid:{}", process.pid()),
        named: false,
        user: Some(user_name(0)),
        uid: Some(0),
        matched: vec![process.pid()],
        tree: vec![process.pid()],
        includes_main: true,
        unit: None,
        signals: Vec::new(),
        runtime_command: None,
        sudo: None,
        listening: None,
        availability: None,
        notes: Vec::new(),
        processes: observer.proc().processes(&[process.pid()]),
    }
}

/// What the kernel says to signal 0, for everything that a signal could be meant for. Completes the
/// identity of each with the inode of its pidfd: start times have a grain in which a pid can come
/// round again.
pub(super) fn ask_signals(
    observer: &Observer,
    processes: &mut [Process],
    matched: &[u32],
    tree: &[u32],
) -> Vec<(Identity, SignalAnswer)> {
    let meant: BTreeSet<u32> = matched.iter().chain(tree).copied().collect();
    let asked = processes.iter_mut().filter(|p| meant.contains(&p.pid()) && !p.kernel_thread).take(MOST_SIGNALS);
    asked
        .map(|process| {
            let answer = ask_signal(observer, process);
            (process.identity, answer)
        })
        .collect()
}

fn ask_signal(observer: &Observer, process: &mut Process) -> SignalAnswer {
    let Ok(pidfd) = PidFd::open(process.pid()) else { return SignalAnswer::Gone };
    let started = observer.proc().stat(process.pid()).map(|s| s.start_ticks);
    if started.ok() != Some(process.identity.start_ticks) {
        return SignalAnswer::Gone;
    }
    process.identity.pidfd_inode = pidfd.inode();
    pidfd.test()
}
