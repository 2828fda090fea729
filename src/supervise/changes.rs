//! What another description of services comes to: the steps that the supervisor takes, and `config diff` shows.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::order::Order;
use crate::config::{self, written};
use crate::gather::Gather as _;
use crate::model::ServiceId;
use crate::model::service::{Desired, LogSpec, ServiceSpec, ServiceState, Span};
use crate::registry::Record;

/// What becomes of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub(crate) enum Change {
    /// It is new.
    Added {
        /// Whether it is started at once.
        starts: bool,
    },
    /// It is no longer described: it is stopped and forgotten.
    Removed,
    /// It is started anew, because of these keys.
    Restarted {
        /// The keys that what runs cannot take over, and "service.ID.port" of another; none where it runs by an
        /// older description already.
        keys: Vec<String>,
    },
    /// It runs on, or does not run.
    Changed {
        /// The keys that changed; none where only the file is another.
        keys: Vec<String>,
    },
    /// It is started, because something that is started comes after it.
    Started {
        /// The keys that changed.
        keys: Vec<String>,
    },
    /// It is stopped, because it comes after something that is removed.
    Stopped,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Added { starts: true } => f.write_str("added and started"),
            Self::Added { starts: false } => f.write_str("added"),
            Self::Removed => f.write_str("stopped and removed"),
            Self::Restarted { keys } if keys.is_empty() => f.write_str("restarted: it runs by an older description"),
            Self::Restarted { keys } => write!(f, "restarted because of {}", keys.join(", ")),
            Self::Changed { keys } if keys.is_empty() => f.write_str("moved to this file"),
            Self::Changed { keys } => write!(f, "changed without a restart: {}", keys.join(", ")),
            Self::Started { keys } if keys.is_empty() => f.write_str("started: another comes after it"),
            Self::Started { keys } => write!(f, "started: another comes after it; changed: {}", keys.join(", ")),
            Self::Stopped => f.write_str("stopped: it comes after one that is removed"),
        }
    }
}

/// Why a config is not taken over that describes what another does.
pub(crate) fn in_two(id: &ServiceId, own: &Path, theirs: &Path) -> String {
    let (own, theirs) = (own.display(), theirs.display());
    format!("{id} is in {own} and in {theirs}: rename one, or have the other forgotten: provost remove {id}")
}

/// On what occasion descriptions are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Somebody says next what is to be started: by this nothing is.
    Asked,
    /// The daemon starts: what is new is started, and what runs is left as it is.
    Found,
    /// The instance's own file is there, and was not, or was wrong: what is new is started.
    Came,
    /// A file that is known changed, or is to be read again: what is new is started where the project is up.
    Changed,
}

/// One that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// What is recorded of it.
    pub(crate) record: &'a Record,
    /// Whether anything of it runs.
    pub(crate) alive: bool,
    /// Whether it runs, or is about to, so that a start would change nothing.
    pub(crate) up: bool,
}

impl<'a> From<&'a Record> for Known<'a> {
    fn from(record: &'a Record) -> Self {
        use crate::model::service::ServiceState::{Done, Running, Starting, Stopping};
        // What waits for others, or for its port, is nowhere yet.
        let placed = record.state != Starting || record.identity.is_some() || record.unit.is_some();
        let up = record.desired == Desired::Up && matches!(record.state, Starting | Running | Stopping | Done);
        Self { record, alive: record.state.is_alive() && placed, up }
    }
}

/// What is done to each service where these descriptions are what a file says from now on. This is all
/// that is done; what stays as it is, is left out.
pub(crate) fn changes(
    known: &BTreeMap<ServiceId, Known<'_>>,
    path: &Path,
    new: &[ServiceSpec],
    occasion: Occasion,
) -> BTreeMap<ServiceId, Change> {
    let described: BTreeMap<&ServiceId, &ServiceSpec> = new.iter().map(|spec| (&spec.id, spec)).gather();
    let of_project = known.iter().filter(|(_, known)| known.record.spec.project.as_deref() == Some(path));
    let (mut all, mut runs) = (BTreeMap::new(), false);
    for (id, known) in of_project {
        runs |= known.record.desired == Desired::Up;
        if !described.contains_key(id) {
            all.insert(id.clone(), Change::Removed);
        }
    }
    let (begins, restarts) = match occasion {
        Occasion::Asked => (false, false),
        Occasion::Found => (true, false),
        Occasion::Came => (true, true),
        Occasion::Changed => (runs, true),
    };
    for spec in new {
        let change = match known.get(&spec.id) {
            None => Some(Change::Added { starts: begins && spec.enabled }),
            Some(known) => change(known, spec, restarts),
        };
        all.extend(change.map(|change| (spec.id.clone(), change)));
    }
    for (id, names) in if restarts { by_others(known, new) } else { BTreeMap::new() } {
        match all.get_mut(&id) {
            Some(Change::Restarted { keys }) => keys.extend(names),
            Some(Change::Changed { keys }) => {
                let keys = std::mem::take(keys).into_iter().chain(names).collect();
                all.insert(id, Change::Restarted { keys });
            }
            _ => {
                all.insert(id, Change::Restarted { keys: names });
            }
        }
    }
    in_order(&mut all, known, &described);
    all
}

/// Those that run by a port or a socket of another which is no longer that by these descriptions, and by which:
/// "service.ID.port".
pub(crate) fn by_others(
    known: &BTreeMap<ServiceId, Known<'_>>,
    new: &[ServiceSpec],
) -> BTreeMap<ServiceId, Vec<String>> {
    let (mut moved, mut all) = (BTreeSet::new(), BTreeMap::new());
    for spec in new {
        let Some(old) = known.get(&spec.id).map(|known| known.record) else { continue };
        for name in [Some(&spec.id), spec.group()].into_iter().flatten() {
            moved.extend(port_moves(old, spec).then(|| format!("service.{name}.port")));
            moved.extend(socket_moves(old, spec).then(|| format!("service.{name}.socket")));
        }
    }
    for spec in new.iter().filter(|_| !moved.is_empty()) {
        if known.get(&spec.id).is_some_and(|known| known.alive && known.record.desired == Desired::Up) {
            let names: Vec<String> = config::of_others(spec).into_iter().filter(|name| moved.contains(name)).collect();
            all.extend((!names.is_empty()).then(|| (spec.id.clone(), names)));
        }
    }
    all
}

/// Whether its next start gives it another port than it has.
fn port_moves(old: &Record, new: &ServiceSpec) -> bool {
    let has = old.port.or(old.spec.fixed_port());
    let moves = has.is_some_and(|port| new.port.is_some_and(|new| !new.has(port)));
    moves && (old.stale || old.spec.port != new.port)
}

fn socket_moves(old: &Record, new: &ServiceSpec) -> bool {
    let has = old.socket.clone().or(old.spec.fixed_socket());
    let described = (&old.spec.socket, &old.spec.cwd) != (&new.socket, &new.cwd);
    match new.fixed_socket() {
        Some(path) => (old.stale || described) && has.is_some_and(|has| has != path),
        None => described && has.is_some() && new.socket.is_some(),
    }
}

/// What becomes of one that is known, by itself.
fn change(known: &Known<'_>, spec: &ServiceSpec, restarts: bool) -> Option<Change> {
    let old = known.record;
    let spec = ServiceSpec { enabled: enabled(old, spec), ..spec.clone() };
    let needs = !old.rebuilt && needs_restart(&old.spec, &spec);
    // What was stopped by hand, and may still be stopping, stays so.
    let goes_on = known.alive && old.desired == Desired::Up;
    if restarts && goes_on && (needs || old.stale) {
        return Some(Change::Restarted { keys: keys(&old.spec, &runs_on(&old.spec, &spec)) });
    }
    (spec != old.spec).then(|| Change::Changed { keys: keys(&old.spec, &spec) })
}

/// Adds what that takes: what is started comes after others, and others come after what is removed.
fn in_order(
    all: &mut BTreeMap<ServiceId, Change>,
    known: &BTreeMap<ServiceId, Known<'_>>,
    described: &BTreeMap<&ServiceId, &ServiceSpec>,
) {
    let mut order = Order::default();
    for (id, known) in known {
        let spec = described.get(id).copied().unwrap_or(&known.record.spec);
        order.set(id, &spec.after, spec.group());
    }
    for (id, spec) in described.iter().filter(|(id, _)| !known.contains_key(**id)) {
        order.set(id, &spec.after, spec.group());
    }
    let removed = all.iter().filter(|(_, change)| **change == Change::Removed).map(|(id, _)| id.clone());
    for id in order.with_later(removed) {
        let rests =
            |known: &Known<'_>| known.record.state == ServiceState::Stopped && known.record.desired == Desired::Down;
        if known.get(&id).is_some_and(|known| !rests(known)) {
            all.entry(id).or_insert(Change::Stopped);
        }
    }
    let starts = |change: &Change| matches!(change, Change::Added { starts: true } | Change::Restarted { .. });
    let started = all.iter().filter(|(_, change)| starts(change)).map(|(id, _)| id.clone());
    for id in order.with_earlier(started) {
        let up = known.get(&id).is_some_and(|known| known.up);
        let there = known.contains_key(&id) || described.contains_key(&id);
        let change = match all.get(&id) {
            Some(Change::Added { starts: false }) => Change::Added { starts: true },
            Some(Change::Changed { keys }) if !up => Change::Started { keys: keys.clone() },
            None if !up && there => Change::Started { keys: Vec::new() },
            _ => continue,
        };
        all.insert(id, change);
    }
}

/// Whether it is enabled, where this is its description: what `enable` and `disable` said holds until the
/// config says otherwise than it did.
pub(crate) fn enabled(old: &Record, spec: &ServiceSpec) -> bool {
    if old.enabled_in_config == Some(spec.enabled) { old.spec.enabled } else { spec.enabled }
}

/// What is to be said where it is described with another backend than it runs in: that stays until it is stopped.
pub(crate) fn later_backend(old: &Record, spec: &ServiceSpec) -> Option<String> {
    let kind = spec.backend.kind().filter(|kind| old.backend.is_some_and(|is| is != *kind))?;
    Some(format!("backend: {} from its next stop and start on", kind.as_str()))
}

/// The keys that differ, as the config has them.
fn keys(old: &ServiceSpec, new: &ServiceSpec) -> Vec<String> {
    let (old, new) = (written(old), written(new));
    let all: BTreeSet<&String> = old.keys().chain(new.keys()).gather();
    let changed = all.into_iter().filter(|key| old.get(*key) != new.get(*key));
    changed.cloned().collect()
}

/// Whether what runs by the old description is not what the new one describes.
pub(crate) fn needs_restart(old: &ServiceSpec, new: &ServiceSpec) -> bool {
    runs_on(old, new) != *old
}

/// The new description, but where what runs by the old one needs no restart for it: as the old one.
fn runs_on(old: &ServiceSpec, new: &ServiceSpec) -> ServiceSpec {
    ServiceSpec {
        project: old.project.clone(),
        name: old.name.clone(),
        kind: old.kind.clone(),
        restart: old.restart.clone(),
        stop: old.stop.clone(),
        reload: old.reload.clone(),
        config_check: old.config_check.clone(),
        reload_on: old.reload_on.clone(),
        watch: old.watch.clone(),
        on: old.on.clone(),
        ready: old.ready.clone(),
        health: match beats(old) == beats(new) {
            true => old.health.clone(),
            false => new.health.clone(),
        },
        after: old.after.clone(),
        enabled: old.enabled,
        meta: old.meta.clone(),
        backend: old.backend,
        pid_file: old.pid_file.clone(),
        // The files go on; how they are kept holds from now on.
        log: LogSpec { file: new.log.file, path: new.log.path.clone(), ..old.log.clone() },
        ..new.clone()
    }
}

/// How often it is to say that it lives, which it was told when it started.
fn beats(spec: &ServiceSpec) -> Option<Span> {
    spec.health.as_ref()?.heartbeat.as_ref().map(|beat| beat.timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, parse};
    use crate::model::service::PortSpec;
    use std::path::Path;

    fn specs(text: &str) -> Vec<ServiceSpec> {
        let path = Path::new("/p/provost.toml");
        parse(path, path, text, &LoadOptions::default()).unwrap().services
    }

    fn records(text: &str) -> Vec<Record> {
        let record = |spec: ServiceSpec| {
            let rests = spec.meta.contains_key("rests");
            let mut record = Record::new(spec, 0);
            if !rests {
                (record.state, record.desired) = (ServiceState::Running, Desired::Up);
            }
            record
        };
        specs(text).into_iter().map(record).collect()
    }

    fn said(old: &[Record], new: &str, occasion: Occasion) -> Vec<String> {
        let known = old.iter().map(|record| (record.id.clone(), Known::from(record))).collect();
        let all = changes(&known, Path::new("/p/provost.toml"), &specs(new), occasion);
        all.iter().map(|(id, change)| format!("{id}: {change}")).collect()
    }

    #[test]
    fn only_what_needs_it_is_restarted() {
        let old = "[service.a]\ncommand = 'a'\nenv = { A = '1' }\n[service.b]\ncommand = 'b'\n[service.c]\n\
                   command = 'c'\n[service.d]\ncommand = 'd'\nmeta = { rests = 1 }\n[service.e]\ncommand = 'e'\n";
        let new = "[service.a]\ncommand = 'a -v'\nenv = { A = '2' }\n[service.b]\ncommand = 'b'\n\
                   meta = { x = 1 }\nhealth = { tcp = 'x:1' }\non = { failed = 'x' }\n[service.d]\ncommand = 'dd'\n\
                   meta = { rests = 1 }\n[service.e]\ncommand = 'e'\n[service.f]\ncommand = 'f'\n[service.g]\n\
                   command = 'g'\nenabled = false\n";
        let mut all = [
            "a: restarted because of command, env",
            "b: changed without a restart: health, meta, on",
            "c: stopped and removed",
            "d: changed without a restart: command",
            "f: added and started",
            "g: added",
        ];
        let mut old = records(old);
        assert_eq!(said(&old, new, Occasion::Changed), all);
        assert_eq!(said(&old, new, Occasion::Came), all);
        all[0] = "a: changed without a restart: command, env";
        assert_eq!(said(&old, new, Occasion::Found), all);
        all[4] = "f: added";
        assert_eq!(said(&old, new, Occasion::Asked), all);
        // What was asked to stop is not started by another description of it.
        let mut stopping = old.clone();
        stopping[0].desired = Desired::Down;
        assert_eq!(said(&stopping, new, Occasion::Changed)[0], "a: changed without a restart: command, env");
        // Once it was taken over so, what runs by the old one is known by that.
        old[4].stale = true;
        assert_eq!(said(&old, new, Occasion::Changed)[4], "e: restarted: it runs by an older description");
    }

    #[test]
    fn another_backend_than_it_runs_in_is_said() {
        let old = &mut records("[service.a]\ncommand = 'a'\nbackend = 'systemd'\n")[0];
        let later = |old: &Record, backend| {
            later_backend(old, &specs(&format!("[service.a]\ncommand = 'a'\nbackend = '{backend}'\n"))[0])
        };
        assert_eq!(later(old, "direct"), None, "it never ran");
        old.backend = Some(crate::model::service::BackendKind::Systemd);
        assert_eq!(later(old, "direct").as_deref(), Some("backend: direct from its next stop and start on"));
        assert_eq!((later(old, "systemd"), later(old, "auto")), (None, None));
    }

    #[test]
    fn who_runs_by_a_port_that_changes_is_restarted_too() {
        let text = |port: &str, socket: &str| {
            format!(
                "[service.web]\ncommand = 'a'\nport = {port}\nsocket = '{socket}'\n[service.env]\ncommand = 'a'\n\
                 env = {{ A = '${{service.web.port}}' }}\n[service.check]\ncommand = 'a'\n\
                 health = {{ tcp = 'x:${{service.web.port}}' }}\n[service.sock]\ncommand = 'a ${{service.web.socket}}'\n\
                 [service.hook]\ncommand = 'a'\non = {{ failed = 'a ${{service.web.port}}' }}\n\
                 [service.rests]\ncommand = 'a ${{service.web.port}}'\nmeta = {{ rests = 1 }}\n"
            )
        };
        let mut old = records(&text("8088", "w.sock"));
        let (check, env) =
            ("check: restarted because of service.web.port", "env: restarted because of service.web.port");
        let all = [check, env, "web: restarted because of port"];
        assert_eq!(said(&old, &text("8100", "w.sock"), Occasion::Changed), all);
        assert_eq!(said(&old, &text("'8000-8099'", "w.sock"), Occasion::Changed), all[2..], "it is one of these");
        let all = ["sock: restarted because of service.web.socket", "web: restarted because of socket"];
        assert_eq!(said(&old, &text("8088", "x.sock"), Occasion::Changed), all);
        // Taken over, and not started by it.
        let web = old.iter_mut().find(|record| record.id.as_str() == "web").unwrap();
        (web.stale, web.port, web.spec.port) = (true, Some(8088), Some(PortSpec::Fixed(8100)));
        let all = [check, env, "web: restarted: it runs by an older description"];
        assert_eq!(said(&old, &text("8100", "w.sock"), Occasion::Changed), all);
        old.retain(|record| record.id.as_str() != "web");
        assert_eq!(said(&old, &text("8100", "w.sock"), Occasion::Changed), ["web: added and started"]);
    }

    #[test]
    fn what_others_need_is_named() {
        let old = "[service.db]\ncommand = 'a'\nmeta = { rests = 1 }\n[service.api]\ncommand = 'a'\n[service.web]\ncommand = 'a'\n";
        let mut old = records(old);
        let mut adhoc = Record::new(ServiceSpec::new("adhoc".parse().unwrap(), vec!["x".to_owned()], "/".into()), 0);
        (adhoc.state, adhoc.desired, adhoc.spec.after) =
            (ServiceState::Running, Desired::Up, vec!["web".parse().unwrap()]);
        old.push(adhoc);
        let new = "[service.db]\ncommand = 'a'\nmeta = { rests = 1 }\n[service.api]\ncommand = 'b'\nafter = ['db', 'q']\n\
                   [service.q]\ncommand = 'a'\nenabled = false\n";
        let all = [
            "adhoc: stopped: it comes after one that is removed",
            "api: restarted because of command",
            "db: started: another comes after it",
            "q: added and started",
            "web: stopped and removed",
        ];
        assert_eq!(said(&old, new, Occasion::Changed), all);
        assert_eq!(said(&[], new, Occasion::Changed), ["api: added", "db: added", "q: added"], "nothing of it is up");
        let moved = "[service.adhoc]\ncommand = 'x'\ncwd = '/'\n";
        let adhoc = &old[3..];
        assert!(said(adhoc, moved, Occasion::Changed)[0].starts_with("adhoc: "));
    }
}
