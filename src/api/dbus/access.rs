//! Who may call what on the system bus, as data: every method of every interface that is served
//! there is in one table, and what is in no row is refused.
//!
//! The control socket and the session bus are the owner's, who may do all of it.

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing: it shows what everybody may see.
    Open,
    /// `org.provost.manage-services` for each service that is meant, with this verb. The ids are the
    /// first argument, a project may be the second; an object of a service is one id.
    Services(&'static str),
    /// `org.provost.read-logs` for each service that is meant.
    Logs,
    /// `org.provost.configure`, with this verb: it equals root.
    Configure(&'static str),
    /// `org.provost.clean-orphans`.
    CleanOrphans,
    /// The method itself asks, because only it can see what its target is.
    Itself,
}

pub(super) const MANAGER: &str = "org.provost.Provost1.Manager";
pub(super) const SERVICE: &str = "org.provost.Provost1.Service";
/// What does for others what they may not do themselves.
pub(super) const HELPER: &str = "org.provost.Provost1.Helper";

/// (interface, method, what it needs)
pub(super) const TABLE: &[(&str, &str, Access)] = &[
    (MANAGER, "Load", Access::Configure("load")),
    (MANAGER, "Define", Access::Configure("define")),
    (MANAGER, "Start", Access::Services("start")),
    (MANAGER, "Stop", Access::Services("stop")),
    (MANAGER, "Restart", Access::Services("restart")),
    (MANAGER, "Reload", Access::Services("reload")),
    (MANAGER, "Kill", Access::Services("kill")),
    (MANAGER, "Enable", Access::Configure("enable")),
    (MANAGER, "Remove", Access::Configure("remove")),
    (MANAGER, "List", Access::Open),
    (MANAGER, "Explain", Access::Open),
    (MANAGER, "Logs", Access::Logs),
    (MANAGER, "Orphans", Access::Open),
    (MANAGER, "CleanOrphans", Access::CleanOrphans),
    (MANAGER, "ReloadConfig", Access::Configure("reload")),
    (MANAGER, "RecentEvents", Access::Open),
    (MANAGER, "Reexecute", Access::Configure("reexecute")),
    (MANAGER, "Exit", Access::Configure("exit")),
    (MANAGER, "Subscribe", Access::Open),
    (SERVICE, "Start", Access::Services("start")),
    (SERVICE, "Stop", Access::Services("stop")),
    (SERVICE, "Restart", Access::Services("restart")),
    (SERVICE, "Reload", Access::Services("reload")),
    (SERVICE, "Kill", Access::Services("kill")),
    (HELPER, "SignalProcess", Access::Itself),
    (HELPER, "StopProcessTree", Access::Itself),
    (HELPER, "UserUnit", Access::Itself),
    (HELPER, "Explain", Access::Itself),
    (HELPER, "PortOwner", Access::Itself),
    (HELPER, "ProcessDetails", Access::Itself),
    ("org.freedesktop.DBus.Introspectable", "Introspect", Access::Open),
    ("org.freedesktop.DBus.Peer", "Ping", Access::Open),
    ("org.freedesktop.DBus.Peer", "GetMachineId", Access::Open),
    ("org.freedesktop.DBus.Properties", "Get", Access::Open),
    ("org.freedesktop.DBus.Properties", "GetAll", Access::Open),
    ("org.freedesktop.DBus.Properties", "Set", Access::Open),
];

/// What this call needs; `None`: there is no such method.
pub(super) fn of(interface: &str, method: &str) -> Option<Access> {
    TABLE.iter().find(|(of, name, _)| *of == interface && *name == method).map(|(.., access)| *access)
}

#[cfg(test)]
mod tests {
    use super::super::introspect;
    use super::*;

    /// The interfaces and methods that an introspection document tells.
    fn told(xml: &str) -> Vec<(String, String)> {
        let value = |line: &str| line.split('"').nth(1).map(str::to_owned);
        let (mut interface, mut all) = (String::new(), Vec::new());
        for line in xml.lines().map(str::trim) {
            if line.starts_with("<interface ") {
                interface = value(line).unwrap();
            } else if line.starts_with("<method ") {
                all.push((interface.clone(), value(line).unwrap()));
            }
        }
        all
    }

    #[test]
    fn every_method_is_in_the_table_and_the_table_has_no_other() {
        let xml =
            introspect::object(&(introspect::MANAGER.to_owned() + introspect::HELPER + &introspect::service()), &[]);
        let told = told(&xml);
        assert!(told.len() > 25, "{told:?}");
        for (interface, method) in &told {
            assert!(of(interface, method).is_some(), "{interface}.{method} is in no row");
        }
        for (interface, method, _) in TABLE {
            let row = ((*interface).to_owned(), (*method).to_owned());
            assert!(told.contains(&row), "{interface}.{method} does not exist");
        }
        assert_eq!(of(MANAGER, "list"), None);
    }

    #[test]
    fn what_changes_anything_is_not_open() {
        let open: Vec<&str> = TABLE.iter().filter(|row| row.2 == Access::Open).map(|row| row.1).collect();
        let reading = ["List", "Explain", "Orphans", "RecentEvents", "Subscribe"];
        let standard = ["Introspect", "Ping", "GetMachineId", "Get", "GetAll", "Set"];
        assert_eq!(open, [&reading[..], &standard[..]].concat());
    }
}
