//! What the helper never touches, whoever asks: the rules of [`crate::decide`] about units, and
//! what only the daemon can see.

use super::target::Target;
use super::{Helper, HelperError};
use crate::decide::protect;
use crate::model::{UnitKind, UnitName};
use crate::observe::cgroup::{self, Place};

/// Whose processes are found by their names on the bus, wherever they run.
const ON_THE_BUS: [(&str, &str); 4] = [
    ("org.freedesktop.DBus", "it is the message bus, on which nearly everything depends"),
    ("org.freedesktop.PolicyKit1", "it is polkit, which authorises the very request"),
    ("org.freedesktop.login1", "it is logind, which holds every login session"),
    ("org.freedesktop.systemd1", "it is PID 1: the host would go down with it"),
];

impl Helper {
    /// A refusal if the process is not to be signalled by anybody.
    pub(super) async fn protect(&self, target: &Target) -> Result<(), HelperError> {
        let pid = target.seen.pid;
        let refuse = |why: &str| Err(HelperError::NotPermitted(format!("process {pid} is protected: {why}")));
        if let Some(why) = self.never(target) {
            return refuse(&why);
        }
        let known = self.on_the_bus.get_or_try_init(|| async {
            let mut known = Vec::new();
            for (name, why) in ON_THE_BUS {
                // Where the bus does not say, it may be any process.
                let pid = self.authority.pid_of(name).await.map_err(|error| {
                    HelperError::Failed(format!("the bus does not say which process {name} is: {error}"))
                })?;
                known.extend(pid.map(|pid| (pid, why)));
            }
            Ok(known)
        });
        match known.await?.iter().find(|(of, _)| *of == pid) {
            Some((_, why)) => refuse(why),
            None => Ok(()),
        }
    }

    /// The same of all that needs nobody to be asked.
    fn never(&self, target: &Target) -> Option<String> {
        let seen = &target.seen;
        if seen.pid == 1 {
            return Some("it is PID 1: the host would go down with it".to_owned());
        }
        if seen.kernel_thread {
            return Some("it is a thread of the kernel, which takes no signals".to_owned());
        }
        if seen.pid == std::process::id() {
            return Some("it is provost itself".to_owned());
        }
        match seen.own_users {
            Some(true) => {}
            Some(false) => return Some("it is in a user namespace of its own, where its user is another".to_owned()),
            None => return Some("its user namespace cannot be seen".to_owned()),
        }
        let place = self.place(seen.cgroup.as_deref());
        let unit = match &place {
            Place::SystemUnit { unit, .. } => unit,
            Place::Foreign => return Some("its cgroup is outside of what can be seen".to_owned()),
            _ => return None,
        };
        if self.own_unit().as_ref() == Some(unit) {
            return Some(format!("{unit} is the unit that provost itself runs in"));
        }
        // What was put beside PID 1 (by nsenter, say) is in its scope, and is not it.
        let why = protect::never(unit).filter(|_| unit.as_str() != "init.scope")?;
        Some(format!("{unit}: {why}"))
    }

    /// A refusal if nothing below this process may be ended along with it.
    pub(super) fn protect_tree(&self, target: &Target) -> Result<(), HelperError> {
        let place = self.place(target.seen.cgroup.as_deref());
        let Place::SystemUnit { unit, .. } = &place else { return Ok(()) };
        match protect::holds_others(unit) {
            None => Ok(()),
            Some(holds) => Err(HelperError::NotPermitted(format!(
                "process {} is one of {unit}, which {holds}: it is not ended with all that it started",
                target.seen.pid
            ))),
        }
    }

    /// A refusal if this user's manager is not to be reached by the caller: one rule about units of
    /// users is not to reach root's own.
    pub(super) fn protect_manager(&self, uid: u32) -> Result<(), HelperError> {
        match uid == 0 && self.uid != 0 {
            true => Err(HelperError::NotPermitted("the user manager of root obeys root only".to_owned())),
            false => Ok(()),
        }
    }

    /// A refusal if the unit is none that may be acted on.
    pub(super) fn protect_unit(&self, unit: &UnitName) -> Result<(), HelperError> {
        let refuse = |why: &str| Err(HelperError::NotPermitted(format!("{unit} is protected: {why}")));
        if unit.kind() == UnitKind::Slice {
            return refuse("a slice holds the units of others");
        }
        match protect::never(unit) {
            Some(why) => refuse(why),
            None => Ok(()),
        }
    }

    /// The service that this daemon runs in.
    pub(super) fn own_unit(&self) -> Option<UnitName> {
        let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let path = cgroup::path_of(&text)?;
        match cgroup::place(&path, &self.root) {
            Place::SystemUnit { unit, .. } => Some(unit).filter(|unit| unit.kind() == UnitKind::Service),
            _ => None,
        }
    }
}
