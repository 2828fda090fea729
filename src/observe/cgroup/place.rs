//! What a cgroup path means: the unit, session or container that a process is in; pure.
//!
//! The rules are systemd's (cg_path_get_unit and its kin): slices in front are skipped, the next
//! name is the unit, and what stands below it is the unit's own business. The outermost unit is
//! the host's, and root's to name. What stands below it may be named by whoever it was delegated
//! to: a user owns the tree below `user@UID.service` and makes folders of any name there. So what
//! is found in a user's part of the tree is that user's ([`Manager::User`]), whatever it is called,
//! and what a user's manager cannot have (a machine, a container of LXC) is not seen there.

use super::container::{is_daemon, leading, nested};
use super::{CgroupPath, ManagerRoot};
use crate::model::{Container, Manager, Runtime, UnitKind, UnitName};

/// Where a process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In no unit: the root of the tree, a slice itself, or a cgroup that is nobody's unit.
    Root,
    /// In a unit of the system manager; `init.scope`, and `user@UID.service` for the user
    /// manager's own process, included.
    SystemUnit {
        /// The unit.
        unit: UnitName,
        /// The path below it, where the unit divides itself.
        subgroup: Option<String>,
    },
    /// In a unit of a user manager.
    UserUnit {
        /// Whose manager.
        uid: u32,
        /// The unit.
        unit: UnitName,
        /// The path below it.
        subgroup: Option<String>,
    },
    /// In a login session.
    Session {
        /// logind's id.
        id: String,
        /// Whose, from the slice of the user.
        uid: Option<u32>,
        /// `session-ID.scope`.
        scope: UnitName,
    },
    /// In a container, or in a helper of its runtime that belongs to it alone.
    Container {
        /// Which.
        container: Container,
        /// In whose part of the tree it stands; so nobody else's runtime knows it.
        manager: Manager,
        /// The unit that holds it, where its cgroup is one.
        unit: Option<UnitName>,
    },
    /// Outside of the tree that can be seen: nothing can be concluded.
    Foreign,
}

/// What a path means, below the root of PID 1's manager.
pub(crate) fn place(path: &CgroupPath, root: &ManagerRoot) -> Place {
    let Some(below) = root.below(path).filter(|_| !path.is_foreign()) else {
        return Place::Foreign;
    };
    let names: Vec<&str> = below.split('/').filter(|n| !n.is_empty()).collect();
    let (slices, names) = skip_slices(&names);
    let owner = slices.iter().find_map(|slice| number(slice, "user-", ".slice"));
    let manager = owner.map_or(Manager::System, Manager::User);
    if let Some(container) = leading(names, slices) {
        return Place::Container { container, manager, unit: held(names) };
    }
    let Some((unit, rest)) = unit(names) else { return Place::Root };
    if let Some(uid) = number(unit.as_str(), "user@", ".service") {
        return in_user_manager(uid, rest).unwrap_or_else(|| Place::SystemUnit { unit, subgroup: joined(rest) });
    }
    if let Some(container) = guest(&unit, rest) {
        return Place::Container { container, manager, unit: Some(unit) };
    }
    match session_id(unit.as_str()) {
        Some(id) => Place::Session { id: id.to_owned(), uid: owner, scope: unit },
        None => Place::SystemUnit { subgroup: joined(rest), unit },
    }
}

/// The same inside `user@UID.service`; `None` where a process belongs to the manager itself.
fn in_user_manager(uid: u32, names: &[&str]) -> Option<Place> {
    let manager = Manager::User(uid);
    let (slices, names) = skip_slices(names);
    if let Some(container) = leading(names, slices).filter(is_rootless) {
        return Some(Place::Container { container, manager, unit: held(names) });
    }
    let (unit, rest) = unit(names)?;
    if unit.as_str() == "init.scope" {
        return None;
    }
    Some(match guest(&unit, rest).filter(is_rootless) {
        Some(container) => Place::Container { container, manager, unit: Some(unit) },
        None => Place::UserUnit { uid, subgroup: joined(rest), unit },
    })
}

/// A container in the subgroups of a unit that does not manage it: a scope (of a session, of
/// `systemd-run --scope`), which manages nothing, or a runtime's daemon.
fn guest(unit: &UnitName, rest: &[&str]) -> Option<Container> {
    (unit.kind() == UnitKind::Scope || is_daemon(unit.as_str())).then(|| nested(rest)).flatten()
}

/// The unit of a container, where its cgroup is one.
fn held(names: &[&str]) -> Option<UnitName> {
    unit(names).map(|(unit, _)| unit)
}

/// Whether a user's manager can hold such a container. Machines are registered with the system
/// alone, and LXC's names are those of root's containers too.
fn is_rootless(container: &Container) -> bool {
    !matches!(container.runtime, Runtime::Lxc | Runtime::Nspawn | Runtime::Machine)
}

fn unit<'n, 's>(names: &'n [&'s str]) -> Option<(UnitName, &'n [&'s str])> {
    let (first, rest) = names.split_first()?;
    Some((unescaped(first).parse::<UnitName>().ok()?, rest))
}

/// Splits off the slices in front.
fn skip_slices<'n, 's>(names: &'n [&'s str]) -> (&'n [&'s str], &'n [&'s str]) {
    let is_slice = |name: &&str| unescaped(name).parse::<UnitName>().is_ok_and(|unit| unit.kind() == UnitKind::Slice);
    names.split_at(names.iter().position(|name| !is_slice(name)).unwrap_or(names.len()))
}

/// systemd puts one `_` before a name that the kernel would take for its own file.
pub(super) fn unescaped(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

fn number(name: &str, prefix: &str, suffix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn session_id(unit: &str) -> Option<&str> {
    let id = unit.strip_prefix("session-")?.strip_suffix(".scope")?;
    (!id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(id)
}

fn joined(names: &[&str]) -> Option<String> {
    (!names.is_empty()).then(|| names.join("/"))
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
