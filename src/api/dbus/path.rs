//! Object paths: which object a path names, and the path of a service.

use std::fmt::Write as _;

use super::PATH;
use crate::model::ServiceId;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    /// A node above the manager, with the one child that leads there.
    Above(&'static str),
    /// The manager.
    Manager,
    /// The node above all services.
    Services,
    /// A service, which there may be.
    Service(ServiceId),
}

impl Object {
    /// What this path names; `None` for what there can never be.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Above("org"),
            "/org" => Self::Above("provost"),
            "/org/provost" => Self::Above("Provost1"),
            PATH => Self::Manager,
            _ => match path.strip_prefix(PATH)?.strip_prefix("/service")? {
                "" => Self::Services,
                name => Self::Service(unescape(name.strip_prefix('/')?)?),
            },
        })
    }
}

/// The path of a service.
pub(super) fn of_service(id: &ServiceId) -> String {
    format!("{PATH}/service/{}", escape(id))
}

/// An id as the last part of a path: bytes that may not stand there are `_xx`.
pub(super) fn escape(id: &ServiceId) -> String {
    let mut name = String::new();
    for byte in id.as_str().bytes() {
        if byte.is_ascii_alphanumeric() {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "_{byte:02x}");
        }
    }
    name
}

fn unescape(name: &str) -> Option<ServiceId> {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'_' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    let id: ServiceId = String::from_utf8(bytes).ok()?.parse().ok()?;
    // Only one path names it.
    (!id.is_glob() && escape(&id) == name).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_an_id_are_one_to_one() {
        for (id, name) in [("llm", "llm"), ("a.b-c_d", "a_2eb_2dc_5fd"), ("0x", "0x")] {
            let id: ServiceId = id.parse().unwrap();
            assert_eq!(escape(&id), name);
            assert_eq!(Object::of(&of_service(&id)), Some(Object::Service(id)));
        }
        for wrong in ["/x", "/org/provost/Provost1/service/", "/org/provost/Provost1/services"] {
            assert_eq!(Object::of(wrong), None, "{wrong}");
        }
        for wrong in ["a.b", "_6c", "_", "_2", "_2E", "_zz", "_2a", "_ff", "a/b", ""] {
            assert_eq!(Object::of(&format!("{PATH}/service/{wrong}")), None, "{wrong}");
        }
    }
}
