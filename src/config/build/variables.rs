//! Variables that stand for something of a service: is it there?

use std::collections::{HashMap, HashSet};

use super::order::unknown;
use super::{Group, Notes, by_id};
use crate::config::names::{Name, name, texts};
use crate::model::ServiceId;
use crate::model::service::{PortSpec, ServiceSpec, uses};

/// All services by id.
type Specs<'a> = HashMap<&'a str, &'a ServiceSpec>;

pub(super) fn check(groups: &[Group], notes: &mut Notes<'_>) {
    let known = by_id(groups);
    let specs: Specs<'_> = groups.iter().flat_map(|g| &g.specs).map(|spec| (spec.id.as_str(), spec)).collect();
    for group in groups {
        let Some(spec) = group.specs.first() else { continue };
        for (key, text) in texts(spec) {
            // What is no variable was said when it was read.
            for (word, has_default) in uses(text).unwrap_or_default() {
                let lacks = |what: &str| Some(format!("${{{word}}}: this service has no {what}"));
                let own = |there: bool, what: &str| if there || has_default { None } else { lacks(what) };
                let message = match name(word) {
                    Name::Port => own(spec.port.is_some(), "port"),
                    Name::Instance => own(spec.instance_of.is_some(), "instances"),
                    Name::Socket if key == "socket" => Some("${socket} is what is described here".to_owned()),
                    Name::Socket => own(spec.socket.is_some(), "socket"),
                    Name::ConfigFile if key == "config_file" => {
                        Some("${config_file} is what is described here".to_owned())
                    }
                    Name::ConfigFile => own(spec.config_file.is_some(), "config_file"),
                    Name::Environment => None,
                    Name::Wrong => Some(format!(
                        "${{{}}} is no variable that there is: PORT, INSTANCE, socket, config_file, \
                         service.ID.port, service.ID.socket, or one of the environment",
                        crate::text::clip(word)
                    )),
                    Name::OtherPort(id) | Name::OtherSocket(id) => {
                        let port = matches!(name(word), Name::OtherPort(_));
                        let found = id.parse::<ServiceId>().ok().and_then(|id| known.get(&id));
                        match found {
                            None => Some(unknown(id, known.keys().map(ServiceId::as_str))),
                            Some((at, ids)) => of_other(&groups[*at], ids, port, word),
                        }
                    }
                };
                if let Some(message) = message {
                    notes.wrong(&group.id, &key, message);
                }
            }
        }
        waits(group, &specs, notes);
    }
}

fn of_other(other: &Group, ids: &[ServiceId], port: bool, word: &str) -> Option<String> {
    let [one] = ids else {
        return Some(format!("${{{word}}}: there are several of it; name one, such as {}-1", other.id));
    };
    let spec = other.specs.iter().find(|spec| spec.id == *one)?;
    let there = if port { spec.port.is_some() } else { spec.socket.is_some() };
    let what = if port { "port" } else { "socket" };
    (!there).then(|| format!("${{{word}}}: service {one} has no {what}"))
}

/// A port of a range is known when its service was started, so that who reads it starts after it.
fn waits(group: &Group, specs: &Specs<'_>, notes: &mut Notes<'_>) {
    let Some(spec) = group.specs.first() else { return };
    for (key, text) in texts(spec) {
        for (word, _) in uses(text).unwrap_or_default() {
            let Name::OtherPort(id) = name(word) else { continue };
            let chosen = specs.get(id).is_some_and(|other| matches!(other.port, Some(PortSpec::Range(..))));
            if chosen && id != spec.id.as_str() && !reaches(spec, id, specs) {
                let message = format!("the port of {id} is chosen when it starts: write after = [\"{id}\"] too");
                notes.warn(&group.id, &key, message);
            }
        }
    }
}

/// Whether a service starts after another, at once or by way of others.
fn reaches(spec: &ServiceSpec, wanted: &str, specs: &Specs<'_>) -> bool {
    let mut left: Vec<&ServiceId> = spec.after.iter().collect();
    let mut seen = HashSet::new();
    while let Some(id) = left.pop() {
        if id.as_str() == wanted {
            return true;
        }
        if seen.insert(id) {
            left.extend(specs.get(id.as_str()).into_iter().flat_map(|spec| &spec.after));
        }
    }
    false
}
