//! Whoever listens on a TCP port, of any user and without privilege: by the socket's cgroup where
//! /proc/PID/fd cannot be read.

use super::cgroup::Place;
use super::containers;
use super::helper;
use super::observer::{Observer, Want};
use super::resolve::Found;
use super::sockets::{self, Listener};
use super::verdicts::Asking;
use crate::act::ActError;
use crate::error::Error;
use crate::model::{Manager, Process, Reach, UnitName};
use crate::systemd;

/// What is behind the port; empty if nobody listens.
pub(super) async fn owners(observer: &Observer, port: u16, want: &Want) -> Result<Vec<Found>, Error> {
    let listeners = sockets::listeners(Some(port))
        .map_err(|source| Error::Io { what: "the kernel's list of sockets".to_owned(), source })?;
    let mut found: Vec<Found> = Vec::new();
    let mut pids: Vec<u32> = Vec::new();
    for listener in &listeners {
        match behind(observer, listener, port, want).await? {
            Found::Processes(more) => pids.extend(more),
            one => {
                if !found.iter().any(|f| same(f, &one)) {
                    found.push(one);
                }
            }
        }
    }
    pids.sort_unstable();
    pids.dedup();
    if !pids.is_empty() {
        found.push(Found::Processes(pids));
    }
    Ok(found)
}

fn same(a: &Found, b: &Found) -> bool {
    match (a, b) {
        (Found::Unit { manager: m, unit: u, .. }, Found::Unit { manager: n, unit: v, .. }) => m == n && u == v,
        (Found::Within { place: p, .. }, Found::Within { place: q, .. }) => p == q,
        _ => false,
    }
}

async fn behind(observer: &Observer, listener: &Listener, port: u16, want: &Want) -> Result<Found, Error> {
    let path = listener.cgroup_id.and_then(|id| observer.cgroups()?.path_of_id(id));
    let place = path.as_deref().map(|p| observer.place_of_path(p));
    let mut holders = holders(observer, listener, path.as_deref());
    if let Some((manager, unit, note)) = socket_unit(observer, place.as_ref(), &holders, port).await {
        return Ok(Found::Unit {
            manager,
            unit,
            facts: None,
            asking: Asking::default(),
            by_pattern: false,
            note: Some(note),
        });
    }
    let processes = observer.proc().processes(&holders);
    let served = || processes.iter().find_map(|p| containers::served(observer.proc(), p, listener.addr));
    let publisher = || {
        let near = path.as_deref().and_then(|p| Some(observer.cgroups()?.pids_in(p))).unwrap_or_default();
        containers::publisher(observer.proc(), &near, listener)
    };
    if let Some(served) = if holders.is_empty() { publisher() } else { served() } {
        return Ok(Found::Processes(vec![served]));
    }
    holders.retain(|pid| *pid != 1);
    if !holders.is_empty() {
        return Ok(Found::Processes(holders));
    }
    let near = near(observer, path.as_deref());
    // A manager of others does not say which processes a unit has; of one there is no doubt.
    if let ([only], Some(Place::UserUnit { uid, .. })) = (near.as_slice(), &place)
        && *uid != observer.caller().uid
    {
        return Ok(Found::Processes(vec![*only]));
    }
    let in_unit = place.as_ref().is_some_and(|place| *place != Place::Root);
    // Who only asks again and again does without.
    if (near.len() != 1 || !in_unit) && (want.suggest || !want.actions.is_empty()) {
        let told = observer.proc().processes(&helper::on_port(observer, port).await);
        // Whoever has the pid by now is looked at: it must fit the socket.
        let fits = |p: &Process| p.uid() == Some(listener.uid) || (path.is_some() && p.cgroup == path);
        let told: Vec<u32> = told.iter().filter(|process| fits(process)).map(Process::pid).collect();
        if !told.is_empty() {
            return Ok(Found::Processes(told));
        }
    }
    match place {
        Some(place) if place != Place::Root => Ok(Found::Within {
            place,
            pid: None,
            note: format!("which of its processes listens on {} cannot be read without privilege", listener.addr),
        }),
        _ => {
            let also = match observer.bus().helper_reach() {
                Reach::No(_) => "; with provost installed for the system it would be told",
                _ => "",
            };
            Err(Error::Act(ActError::NotPermitted(format!(
                "{} is held by a process of {} in no unit; only that user and root can see which{also}",
                listener.addr,
                super::user_name(listener.uid)
            ))))
        }
    }
}

/// The processes in the cgroup of a socket, unless that is the one of nobody.
fn near(observer: &Observer, path: Option<&str>) -> Vec<u32> {
    path.filter(|p| *p != "/").and_then(|p| Some(observer.cgroups()?.pids_in(p))).unwrap_or_default()
}

/// Who holds the socket open: looked for in its cgroup first, then everywhere.
fn holders(observer: &Observer, listener: &Listener, path: Option<&str>) -> Vec<u32> {
    let near = near(observer, path);
    let found = sockets::holders(observer.proc(), &[listener.inode], &near).pids;
    if found.is_empty() {
        sockets::holders(observer.proc(), &[listener.inode], &observer.proc().pids().unwrap_or_default()).pids
    } else {
        found
    }
}

/// A socket that a manager holds belongs to one of its socket units, and to the service behind.
async fn socket_unit(
    observer: &Observer,
    place: Option<&Place>,
    holders: &[u32],
    port: u16,
) -> Option<(Manager, UnitName, String)> {
    let manager = match place {
        Some(Place::SystemUnit { unit, .. }) if unit.as_str() == "init.scope" => Manager::System,
        Some(Place::SystemUnit { unit, subgroup: Some(_) }) if unit.as_str().starts_with("user@") => {
            Manager::User(unit.stem().strip_prefix("user@")?.parse().ok()?)
        }
        Some(Place::Root) | None if observer.host().has_systemd() => Manager::System,
        _ if holders.contains(&1) && observer.host().has_systemd() => Manager::System,
        _ => return None,
    };
    let client = observer.bus().manager(manager).await.ok()?;
    let socket = socket_on_port(&client, port).await?;
    let facts = client.unit_properties(&socket, &["Accept"]).await.ok()?;
    let mut active = Vec::new();
    for service in facts.units("Triggers") {
        let state = client.active_state(&service).await.unwrap_or_default();
        if matches!(state.as_str(), "active" | "activating" | "reloading") {
            active.push(service);
        }
    }
    let (unit, note) = behind_socket(socket, facts.bool("Accept"), active, port);
    Some((manager, unit, note))
}

/// Which unit answers for the port of a socket unit, by what that starts and what of it is
/// active. With `Accept=yes` each connection has an instance of its own, and none is the server.
fn behind_socket(socket: UnitName, accept: bool, active: Vec<UnitName>, port: u16) -> (UnitName, String) {
    if accept {
        let note = format!("each connection to port {port} starts an instance of its own; {} active now", active.len());
        return (socket, note);
    }
    match active.into_iter().next() {
        Some(service) => {
            let note = format!("{socket} holds port {port} and starts {service} when somebody connects");
            (service, note)
        }
        None => (socket, format!("nothing runs behind port {port} now; a connection starts it")),
    }
}

async fn socket_on_port(client: &systemd::Manager, port: u16) -> Option<UnitName> {
    for socket in client.list(&["active"], &["*.socket"]).await.ok()? {
        let listens = client.socket_addresses(&socket.name).await.unwrap_or_default();
        let ours = |(kind, address): &(String, String)| {
            kind == "Stream" && address.rsplit_once(':').is_some_and(|(_, p)| p.parse() == Ok(port))
        };
        if listens.iter().any(ours) {
            return Some(socket.name);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_for_a_socket_unit() {
        let unit = |name: &str| name.parse::<UnitName>().unwrap();
        let behind = |accept, active: &[&str]| {
            let active = active.iter().map(|name| unit(name)).collect();
            let (unit, note) = behind_socket(unit("x.socket"), accept, active, 22);
            (unit.to_string(), note)
        };
        let (unit, note) = behind(false, &["x.service"]);
        assert_eq!((unit.as_str(), note.contains("x.socket holds port 22")), ("x.service", true));
        assert_eq!(behind(false, &[]).0, "x.socket");
        let (unit, note) = behind(true, &["x@1.service", "x@2.service"]);
        assert_eq!(unit, "x.socket", "one connection is not the server");
        assert!(note.ends_with("; 2 active now") && !note.contains("x@1"), "{note}");
        assert!(behind(true, &[]).1.ends_with("; 0 active now"));
    }
}
