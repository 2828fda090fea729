//! Checked keys -> services; what concerns several keys, or several services, is checked here.

mod http;
mod order;
mod service;
mod shared;
mod variables;

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::check::Checked;
use super::errors::Fault;
use super::kinds::Kinds;
use super::tree::step;
use super::{Project, merge};
use crate::gather::{Arrange as _, Gather as _};
use crate::model::ServiceId;
use crate::model::service::ServiceSpec;

/// What came of a checked file. With faults the project is not whole.
pub(super) struct Built {
    pub(super) project: Project,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
}

/// What the services of a file may come to, in bytes: a small file may say large ones often.
const MOST: usize = 64 << 20;

/// About how many bytes a table is.
fn size(table: &Map<String, Value>) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::String(text) => 24 + text.len(),
            Value::Array(items) => 24 + items.iter().map(of).sum::<usize>(),
            Value::Object(entries) => size(entries),
            _ => 24,
        }
    }
    table.iter().map(|(name, value)| 24 + name.len() + of(value)).sum()
}

/// One `[service.ID]`: with `instances`, several services.
struct Group {
    id: ServiceId,
    specs: Vec<ServiceSpec>,
    /// As it was written, for it is given to all.
    after: Vec<String>,
}

pub(super) fn build(checked: &Checked, absolute: &Path, kinds: &Kinds, system: bool) -> Built {
    let empty = Map::new();
    let table = |name: &str| checked.value.get(name).and_then(Value::as_object).unwrap_or(&empty);
    let defaults = table("defaults");
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let mut notes = Notes { checked, system, faults: Vec::new(), warnings: Vec::new() };
    let mut left = MOST;
    let mut groups: Vec<Group> = Vec::new();
    for (id, own) in table("service") {
        // What is no id was said when it was read.
        let (Ok(id), Some(own)) = (id.parse::<ServiceId>(), own.as_object()) else { continue };
        let kind = own.get("kind").or_else(|| defaults.get("kind")).and_then(Value::as_str);
        let keys = match kind.map(|name| (name, kinds.get(name))) {
            None => merge::merged(defaults, own),
            Some((_, Some(kind))) => merge::merged(&merge::merged(defaults, kind), own),
            Some((name, None)) => {
                let message = format!("'{}' is no kind that is known; {}", crate::text::clip(name), kinds.names());
                notes.wrong(&id, "kind", message);
                continue;
            }
        };
        let instances = keys.get("instances").and_then(Value::as_u64).unwrap_or(1);
        match left.checked_sub((1000 + size(&keys)).saturating_mul(usize::try_from(instances).unwrap_or(usize::MAX))) {
            Some(rest) => left = rest,
            None => {
                let message = format!("with defaults and instances these are more than {} MiB of services", MOST >> 20);
                notes.wrong(&id, "", message);
                break;
            }
        }
        groups.push(service::group(&id, keys, absolute, &mut notes));
    }
    groups.arrange_by_key(|group| checked.spots.near(&format!("service.{}", step(group.id.as_str()))));
    shared::check(&groups, &mut notes);
    order::set(&mut groups, &mut notes);
    variables::check(&groups, &mut notes);

    let mut paths: super::PathOptions = read(table("paths"));
    paths.pid_dir = paths.pid_dir.map(|dir| folder.join(dir));
    let project = Project {
        path: absolute.to_owned(),
        services: groups.into_iter().flat_map(|group| group.specs).collect(),
        daemon: read(table("daemon")),
        paths,
        orphans: read(table("orphans")),
        http: http::options(table("http"), folder, &mut notes),
        warnings: Vec::new(),
    };
    Built { project, faults: notes.faults, warnings: notes.warnings }
}

/// A table that was checked. What was wrong in it is missing, and that is said already.
fn read<T: DeserializeOwned + Default>(table: &Map<String, Value>) -> T {
    serde_json::from_value(Value::Object(table.clone())).unwrap_or_default()
}

/// Faults by service and key.
struct Notes<'a> {
    checked: &'a Checked,
    /// The system instance reads it.
    system: bool,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Notes<'_> {
    /// The path of a service's key: its own, else the one in the defaults.
    fn path(&self, id: &ServiceId, key: &str) -> String {
        let join = |table: &str| if key.is_empty() { table.to_owned() } else { format!("{table}.{key}") };
        let (own, default) = (join(&format!("service.{}", step(id.as_str()))), join("defaults"));
        let top = key.split(['.', '[']).next().unwrap_or_default();
        let has = |table: &str| self.checked.spots.has(&format!("{table}.{top}"));
        if !has(&format!("service.{}", step(id.as_str()))) && has("defaults") { default } else { own }
    }

    fn fault(&self, id: &ServiceId, key: &str, message: impl Into<String>) -> Fault {
        let path = self.path(id, key);
        Fault::new(self.checked.spots.near(&path), path, message)
    }

    /// The same of what concerns no service.
    fn wrong_at(&mut self, path: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(self.checked.spots.near(path), path.to_owned(), message));
    }

    fn wrong(&mut self, id: &ServiceId, key: &str, message: impl Into<String>) {
        let fault = self.fault(id, key, message);
        self.faults.push(fault);
    }

    fn warn(&mut self, id: &ServiceId, key: &str, message: impl Into<String>) {
        let fault = self.fault(id, key, message);
        self.warnings.push(fault);
    }

    /// Whether the service or the defaults name the key, right or wrong.
    fn wrote(&self, id: &ServiceId, key: &str) -> bool {
        let spots = &self.checked.spots;
        spots.has(&format!("service.{}.{key}", step(id.as_str()))) || spots.has(&format!("defaults.{key}"))
    }
}

/// Which group has a service of this id, and the ids that it stands for.
fn by_id(groups: &[Group]) -> BTreeMap<ServiceId, (usize, Vec<ServiceId>)> {
    let mut all = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        for spec in &group.specs {
            all.insert(spec.id.clone(), (at, vec![spec.id.clone()]));
        }
        let ids = group.specs.iter().map(|spec| spec.id.clone()).gather();
        all.insert(group.id.clone(), (at, ids));
    }
    all
}
