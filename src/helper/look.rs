//! `PortOwner` and `ProcessDetails`: what everybody may know of a process, and cannot always read:
//! whose it is, in which unit, what it is called. Never its arguments or its environment, which
//! hold secrets, and which other users do not see where /proc is hidden from them.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use zbus::{OwnedVariant, Variant};

use super::rights::{plain, units};
use super::target::Target;
use super::{Helper, HelperError};
use crate::observe::cgroup::{CgroupFs, CgroupPath, Place};
use crate::observe::sockets::{self, Listener};
use crate::observe::user_name;
use crate::sys::pidfd::PidFd;

/// What is told of one process: pid, uid, user, comm, exe, unit, user_unit, session, container,
/// runtime; of a port also its address. What is unknown is left out.
pub(crate) type Details = HashMap<String, OwnedVariant>;

/// Sockets of one port that are told of, at most.
const MOST: usize = 64;

impl Helper {
    /// What may be told of a process.
    pub(crate) fn details(&self, fd: OwnedFd) -> Result<Details, HelperError> {
        Ok(self.told(&self.hold(fd)?))
    }

    /// Who listens on a TCP port: the processes that have the sockets, or where none can be seen, the
    /// user and the unit.
    pub(crate) fn port_owner(&self, port: u16) -> Result<Vec<Details>, HelperError> {
        let failed = |error: std::io::Error| HelperError::Failed(format!("the kernel's list of sockets: {error}"));
        let listeners = sockets::listeners(Some(port)).map_err(failed)?;
        let init = self.proc.cgroup(1).ok().and_then(|text| crate::observe::cgroup::path_of(&text));
        let groups = CgroupFs::host(init.as_ref()).ok();
        let mut all = Vec::new();
        for listener in listeners.iter().take(MOST) {
            let path = listener.cgroup_id.and_then(|id| groups.as_ref()?.path_of_id(id));
            let mut found = self.holders(listener, groups.as_ref(), path.as_deref());
            if found.is_empty() {
                let mut details = Details::new();
                put(&mut details, "uid", listener.uid);
                put(&mut details, "user", user_name(listener.uid));
                self.tell_place(&mut details, path.as_deref());
                found.push(details);
            }
            for mut details in found {
                put(&mut details, "address", listener.addr.to_string());
                all.push(details);
            }
        }
        Ok(all)
    }

    /// The processes that have a socket open: those of its cgroup, or if it was handed on, any.
    fn holders(&self, listener: &Listener, groups: Option<&CgroupFs>, path: Option<&str>) -> Vec<Details> {
        let near = path.and_then(|path| Some(groups?.pids_in(path))).unwrap_or_default();
        let mut pids = self.having(listener.inode, &near);
        if pids.is_empty() {
            pids = self.having(listener.inode, &self.proc.pids().unwrap_or_default());
        }
        let target = |pid: u32| Target::of(&self.proc, PidFd::open(pid).ok()?).ok();
        pids.into_iter().take(MOST).filter_map(target).map(|target| self.told(&target)).collect()
    }

    /// Those of the processes that have a socket open. The list of its descriptors is its owner's to
    /// read, and without `CAP_DAC_READ_SEARCH` not root's: it is read with that user's id for files,
    /// in a thread that has no other purpose. That id alone lets nobody signal the thread.
    fn having(&self, inode: u64, pids: &[u32]) -> Vec<u32> {
        let mut by_owner: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for pid in pids {
            if let Ok(folder) = std::fs::metadata(format!("/proc/{pid}/fd")) {
                by_owner.entry(folder.uid()).or_default().push(*pid);
            }
        }
        let mut found = Vec::new();
        for (owner, pids) in by_owner {
            let as_owner = || {
                nix::unistd::setfsuid(owner.into());
                sockets::holders(&self.proc, &[inode], &pids).pids
            };
            found.extend(std::thread::scope(|scope| scope.spawn(as_owner).join()).unwrap_or_default());
        }
        found.sort_unstable();
        found
    }

    fn told(&self, target: &Target) -> Details {
        let seen = &target.seen;
        let mut details = Details::new();
        put(&mut details, "pid", seen.pid);
        put(&mut details, "uid", seen.uid());
        put(&mut details, "user", user_name(seen.uid()));
        put(&mut details, "comm", plain(&target.comm));
        put(&mut details, "exe", seen.exe.as_deref().map(plain).unwrap_or_default());
        self.tell_place(&mut details, seen.cgroup.as_deref());
        details.retain(|_, value| <&str>::try_from(&*value).map_or(true, |text| !text.is_empty()));
        details
    }

    fn tell_place(&self, details: &mut Details, cgroup: Option<&str>) {
        let Some(path) = cgroup.map(CgroupPath::new) else { return };
        let place = crate::observe::cgroup::place(&path, &self.root);
        let (unit, user_unit) = units(&place);
        for (name, value) in [("unit", unit), ("user_unit", user_unit)] {
            if !value.is_empty() {
                put(details, name, value);
            }
        }
        match place {
            Place::Session { id, .. } => put(details, "session", id),
            Place::Container { container, .. } => {
                put(details, "runtime", container.runtime.name().to_owned());
                put(details, "container", plain(&container.id));
            }
            _ => {}
        }
    }
}

fn put<'v>(details: &mut Details, name: &str, value: impl Into<Variant<'v>>) {
    if let Ok(value) = value.into().try_into_owned() {
        details.insert(name.to_owned(), value);
    }
}
