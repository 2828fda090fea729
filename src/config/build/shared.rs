//! What only one service can have: an id, a port, a socket, a pid file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Group, Notes};
use crate::model::ServiceId;
use crate::model::service::{PortSpec, ServiceSpec};

pub(super) fn check(groups: &[Group], notes: &mut Notes<'_>) {
    ids(groups, notes);
    alone(groups, HashMap::new(), notes, "port", |spec| match spec.port {
        Some(PortSpec::Fixed(port)) => Some(port.to_string()),
        _ => None,
    });
    ranges(groups, notes);
    alone(groups, HashMap::new(), notes, "socket", |spec| {
        let path = numbered(spec, spec.socket.as_deref()?)?;
        Some(spec.cwd.join(path).display().to_string())
    });
    // A relative one is in the folder of pid files, whichever that is, beside those that all services have.
    let usual = |spec: &ServiceSpec| format!("{}.pid", spec.id);
    let mut seen = HashMap::new();
    for group in groups {
        seen.extend(group.specs.iter().map(|spec| (usual(spec), &group.id)));
    }
    alone(groups, seen, notes, "pid_file", |spec| {
        let path = numbered(spec, spec.pid_file.as_ref()?.to_str()?)?;
        let path = path.trim_start_matches("./");
        Some(path.to_owned()).filter(|path| *path != usual(spec))
    });
}

/// What services name for themselves a range does not give to others.
fn ranges(groups: &[Group], notes: &mut Notes<'_>) {
    let mut fixed: Vec<(u16, &ServiceId)> = Vec::new();
    for group in groups {
        let Some(PortSpec::Fixed(port)) = group.specs.first().and_then(|spec| spec.port) else { continue };
        if fixed.iter().all(|(other, _)| *other != port) {
            fixed.push((port, &group.id));
        }
    }
    for group in groups {
        let Some(PortSpec::Range(first, last)) = group.specs.first().and_then(|spec| spec.port) else { continue };
        let of: Vec<&str> =
            fixed.iter().filter(|(port, _)| (first..=last).contains(port)).map(|at| at.1.as_str()).collect();
        let (needed, all) = (group.specs.len(), usize::from(last - first) + 1);
        let left = all - of.len();
        // A range that is too short in itself was said already.
        if left < needed && needed <= all {
            let message = format!(
                "it needs {needed} of {first}-{last}, and the fixed ports of others leave {left}: those of {}",
                crate::text::clip(&of.join(", "))
            );
            notes.wrong(&group.id, "port", message);
        }
    }
}

/// A path with the number of the instance; `None` where another variable is in it, for nobody
/// knows yet what that stands for.
fn numbered(spec: &ServiceSpec, path: &str) -> Option<String> {
    let number = spec.instance_of.as_ref().map_or(String::new(), |(_, number)| number.to_string());
    Some(path.replace("${INSTANCE}", &number)).filter(|path| !path.contains("${"))
}

/// The ids of instances are nobody else's.
fn ids(groups: &[Group], notes: &mut Notes<'_>) {
    let mut seen: HashMap<&ServiceId, &ServiceId> = HashMap::new();
    for group in groups.iter().filter(|group| group.specs.iter().all(|spec| spec.instance_of.is_none())) {
        seen.insert(&group.id, &group.id);
    }
    for group in groups {
        for spec in group.specs.iter().filter(|spec| spec.instance_of.is_some()) {
            match seen.entry(&spec.id) {
                Entry::Occupied(other) => {
                    let message = format!("the id of its instance {} is also made by service {}", spec.id, other.get());
                    notes.wrong(&group.id, "instances", message);
                }
                Entry::Vacant(place) => {
                    place.insert(&group.id);
                }
            }
        }
    }
}

/// `seen`: what services have without a word of their config.
fn alone<'a>(
    groups: &'a [Group],
    mut seen: HashMap<String, &'a ServiceId>,
    notes: &mut Notes<'_>,
    key: &str,
    value: impl Fn(&ServiceSpec) -> Option<String>,
) {
    for group in groups {
        for spec in &group.specs {
            let Some(value) = value(spec) else { continue };
            match seen.entry(value) {
                Entry::Vacant(place) => {
                    place.insert(&group.id);
                }
                // Said of instances with a fixed port already.
                Entry::Occupied(other) if *other.get() == &group.id && key == "port" => {}
                Entry::Occupied(other) if *other.get() == &group.id => {
                    notes.wrong(&group.id, key, "its instances cannot share it: write ${INSTANCE} in it");
                    break;
                }
                Entry::Occupied(other) => {
                    let message = format!("{} is that of service {} too", crate::text::clip(other.key()), other.get());
                    notes.wrong(&group.id, key, message);
                    break;
                }
            }
        }
    }
}
