//! The privileged helper: what the system's daemon does for users who may not do it themselves,
//! once polkit has said yes. Here is what is checked and done; the words on the wire, and who is
//! served at all, are `api/dbus/helper.rs`, where the threat model stands too.
//!
//! The order is always the same, and nothing is taken from the caller but a pidfd or a name:
//!
//! 1. the pidfd is one of a whole process that lives ([`Target::hold`]), and all that is said of
//!    that process was read from the kernel for it;
//! 2. it is not one that is never touched (`protect`);
//! 3. polkit is asked about the caller, with details that were made here (`rights`);
//! 4. the same pidfd is looked at again: what polkit was told must still be so;
//! 5. the signal goes through that pidfd.

mod error;
mod explain;
mod look;
mod names;
mod protect;
mod rights;
mod signal;
mod signals;
mod target;
mod tree;
mod turns;
mod user_unit;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use tokio::sync::OnceCell;
use zbus::names::UniqueName;

pub(crate) use error::HelperError;
pub(crate) use explain::{About, Explained};
pub(crate) use signals::allowed as allowed_signal;
pub(crate) use user_unit::Job;

use crate::observe::ProcFs;
use crate::observe::cgroup::{CgroupPath, ManagerRoot, Place, path_of, place};
use crate::polkit::Authority;
use target::Target;

/// One call: who makes it, and what is needed to answer it.
#[derive(Debug)]
pub(crate) struct Helper {
    /// The unique name of the caller on the system bus.
    sender: UniqueName<'static>,
    /// Whose connection that is, as the bus says.
    uid: u32,
    /// Whether a password may be asked for.
    interactive: bool,
    authority: Authority,
    proc: ProcFs,
    root: ManagerRoot,
    /// The processes behind names on the bus, and why they are not touched; asked once.
    on_the_bus: OnceCell<Vec<(u32, &'static str)>>,
    /// Of users, as far as they were asked for.
    names: Mutex<BTreeMap<u32, String>>,
}

impl Helper {
    /// For one caller. `uid` is what the bus says of the sender, and never what the sender does.
    pub(crate) fn new(
        sender: UniqueName<'static>,
        uid: u32,
        interactive: bool,
        authority: Authority,
    ) -> Result<Self, HelperError> {
        let proc = ProcFs::host().map_err(|error| HelperError::Failed(format!("/proc: {error}")))?;
        let init = proc.cgroup(1).ok().and_then(|text| path_of(&text));
        Ok(Self {
            sender,
            uid,
            interactive,
            authority,
            proc,
            root: ManagerRoot::of(init.as_ref()),
            on_the_bus: OnceCell::new(),
            names: Mutex::default(),
        })
    }

    /// The process behind a descriptor, with the name of its user.
    async fn hold(&self, fd: OwnedFd) -> Result<Target, HelperError> {
        let target = Target::hold(&self.proc, fd)?;
        self.learn(target.seen.shown_uid()).await;
        self.learn(target.seen.uid()).await;
        Ok(target)
    }

    /// Where a process stands.
    fn place(&self, cgroup: Option<&str>) -> Place {
        cgroup.map_or(Place::Root, |path| place(&CgroupPath::new(path), &self.root))
    }

    /// Who asks, for the log.
    fn who(&self) -> String {
        format!("uid {} ({})", self.uid, self.sender)
    }
}
