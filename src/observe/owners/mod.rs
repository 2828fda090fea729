//! From what was found to what is known of its owners.
//!
//! `unit` describes a unit with its processes, `trees` what has none (bare processes, sessions,
//! own services), `members` and `signals` read what both need.

mod members;
mod signals;
mod supervised;
mod trees;
mod unit;

use super::cgroup::Place;
use super::observer::{Observer, Want};
use super::resolve::{self, Found};
use super::verdicts::Asking;
use super::{container_owner, records};

use crate::model::{Manager, Owner, OwnerFacts, Process, UnitKind};
pub(super) use signals::ask_signals;
use supervised::supervised_service;
use trees::{kernel, own_service, trees};
use unit::unit_owner;

/// Reads everything about what was found; one found thing can have several owners.
pub(super) async fn describe(observer: &Observer, found: Found, want: &Want) -> Vec<OwnerFacts> {
    match found {
        Found::Unit { manager, unit, facts, asking, by_pattern, note } => {
            let read = facts.map(|facts| (*facts, asking));
            let mut owner = unit_owner(observer, manager, &unit, read, None, want).await;
            owner.by_pattern = by_pattern;
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
        Found::Service(service) => vec![supervised_service(observer, *service, None, want).await],
        Found::Processes(pids) => by_place(observer, &pids, want).await,
    }
}

/// Groups processes by where they stand.
async fn by_place(observer: &Observer, pids: &[u32], want: &Want) -> Vec<OwnerFacts> {
    let own = records::running(observer);
    let mut services = super::supervised::by_process(observer).await;
    let mut groups: Vec<(Place, Vec<Process>)> = Vec::new();
    let mut owners = Vec::new();
    for process in observer.proc().processes(pids) {
        if process.kernel_thread {
            owners.push(kernel(process));
            continue;
        }
        if let Some(record) = records::of_process(&own, &process.identity) {
            owners.push(own_service(observer, &record, want).await);
            continue;
        }
        let place = without_subgroup(observer.place(&process));
        if let Some((_, members)) = services.iter_mut().find(|(service, _)| service.has(observer, &process, &place)) {
            members.push(process.pid());
            continue;
        }
        match groups.iter_mut().find(|(at, _)| *at == place) {
            Some((_, members)) => members.push(process),
            None => groups.push((place, vec![process])),
        }
    }
    for (service, members) in services.into_iter().filter(|(_, members)| !members.is_empty()) {
        owners.push(supervised_service(observer, service.facts, Some(members), want).await);
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
        Place::Container { container, manager, unit } => {
            return vec![container_owner::owner(observer, (container, manager, unit), matched, want).await];
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
            let read = whole.unit.clone().map(|facts| (facts, Asking::default()));
            parts.push(unit_owner(observer, manager, &unit, read, Some(&alone), want).await);
        }
        return parts;
    }
    vec![whole]
}
