//! Owners that are trees of processes: what stands in no unit of its own.

use super::super::observer::{Observer, Want};
use super::super::{helper, listening, records, resolve, tree, user_name};
use super::ask_signals;
use crate::gather::Arrange as _;
use crate::model::{Identity, Owner, OwnerFacts, Process};

/// One owner for each tree whose root matched.
pub(super) async fn trees(
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
pub(super) async fn of_tree(
    observer: &Observer,
    owner: Owner,
    exact: String,
    root: u32,
    matched: Vec<u32>,
    tree: Vec<u32>,
    want: &Want,
) -> OwnerFacts {
    let mut pids = tree.clone();
    pids.arrange_by_key(|pid| (*pid != root, *pid));
    let mut processes = observer.proc().processes(&pids);
    let uid = processes.first().and_then(Process::uid);
    let mut facts = OwnerFacts {
        signals: ask_signals(observer, &mut processes, &matched, &tree),
        user: uid.map(user_name),
        uid,
        processes,
        matched,
        tree,
        ..OwnerFacts::new(owner, exact)
    };
    listening::fill(observer, &mut facts, None);
    let (availability, said) = tokio::join!(observer.availability(&facts, want), helper::ask(observer, &facts, want));
    facts.availability = availability;
    helper::keep(&mut facts, said);
    facts
}

pub(super) async fn own_service(observer: &Observer, record: &records::Record, want: &Want) -> OwnerFacts {
    // Only what runs is asked for, and so has an identity.
    let pid = record.identity.map_or(0, |identity| identity.pid);
    let tree = tree::of(observer.proc(), &[pid]);
    let owner = Owner::OwnService { id: record.id.to_string() };
    let exact = format!("service:{}", record.id);
    let mut facts = of_tree(observer, owner, exact, pid, vec![pid], tree, want).await;
    facts.named = true;
    facts.notes.extend(record.log.as_ref().map(|log| format!("its output: {}", log.display())));
    facts
}

pub(super) fn kernel(process: Process) -> OwnerFacts {
    let pid = process.pid();
    OwnerFacts {
        user: Some(user_name(0)),
        uid: Some(0),
        matched: vec![pid],
        tree: vec![pid],
        processes: vec![process],
        ..OwnerFacts::new(Owner::Kernel, format!("pid:{pid}"))
    }
}
