//! `PortOwner` and `ProcessDetails`: what everybody may know of a process, and cannot always read:
//! whose it is, in which unit, what it is called. Never its arguments or its environment, which
//! hold secrets, and which other users do not see where /proc is hidden from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use zbus::{OwnedVariant, Variant};

use super::rights::{plain, units};
use super::target::Target;
use super::{Helper, HelperError};
use crate::gather::Gather as _;
use crate::observe::cgroup::{CgroupFs, CgroupPath, Place};
use crate::observe::sockets::{self, Listener};
use crate::sys::pidfd::PidFd;

/// What is told of one process: pid, uid, user, comm, exe, unit, user_unit, session, container,
/// runtime; of a port also its address. What is unknown is left out.
pub(crate) type Details = HashMap<String, OwnedVariant>;

/// Sockets of one port that are told of, at most.
const MOST: usize = 64;

impl Helper {
    /// What may be told of a process.
    pub(crate) async fn details(&self, fd: OwnedFd) -> Result<Details, HelperError> {
        Ok(self.told(&self.hold(fd).await?))
    }

    /// Who listens on a TCP port: the processes that have the sockets, or where none can be seen, the
    /// user and the unit.
    pub(crate) fn port_owner(&self, port: u16) -> Result<Vec<Details>, HelperError> {
        let failed = |error: std::io::Error| HelperError::Failed(format!("the kernel's list of sockets: {error}"));
        let listeners = sockets::listeners(Some(port)).map_err(failed)?;
        let init = self.proc.cgroup(1).ok().and_then(|text| crate::observe::cgroup::path_of(&text));
        let groups = CgroupFs::host(init.as_ref()).ok();
        let listeners = &listeners[..listeners.len().min(MOST)];
        let paths: Vec<Option<String>> =
            listeners.iter().map(|one| one.cgroup_id.and_then(|id| groups.as_ref()?.path_of_id(id))).collect();
        let holders = self.holders(listeners, groups.as_ref(), &paths);
        let mut all = Vec::new();
        for (listener, path) in listeners.iter().zip(paths) {
            let pids = holders.get(&listener.inode).into_iter().flatten();
            let target = |pid: &u32| Target::of(&self.proc, PidFd::open(*pid).ok()?).ok();
            let mut found: Vec<Details> = Vec::new();
            for target in pids.take(MOST).filter_map(target) {
                self.learn_here(target.seen.uid());
                found.push(self.told(&target));
            }
            if found.is_empty() {
                self.learn_here(listener.uid);
                let mut details = Details::new();
                put(&mut details, "uid", listener.uid);
                put(&mut details, "user", self.name_of(listener.uid));
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

    /// The processes that have these sockets open, by the inode of each: those of their cgroups, or
    /// if one was handed on, any. All processes are looked through once at most.
    fn holders(
        &self,
        all: &[Listener],
        groups: Option<&CgroupFs>,
        paths: &[Option<String>],
    ) -> BTreeMap<u64, Vec<u32>> {
        let mut near: Vec<u32> =
            paths.iter().flatten().flat_map(|path| groups.map(|all| all.pids_in(path)).unwrap_or_default()).collect();
        near.sort_unstable();
        near.dedup();
        let mut left: BTreeSet<u64> = all.iter().map(|listener| listener.inode).gather();
        let mut found = self.having(&left, &near);
        left.retain(|inode| !found.contains_key(inode));
        if !left.is_empty() {
            found.extend(self.having(&left, &self.proc.pids().unwrap_or_default()));
        }
        found
    }

    /// Those of the processes that have one of these sockets open. The list of its descriptors is its
    /// owner's to read, and without `CAP_DAC_READ_SEARCH` not root's: it is read with that user's id
    /// for files, in a thread that has no other purpose. That id alone lets nobody signal the thread.
    fn having(&self, inodes: &BTreeSet<u64>, pids: &[u32]) -> BTreeMap<u64, Vec<u32>> {
        let mut by_owner: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for pid in pids {
            if let Ok(folder) = std::fs::metadata(format!("/proc/{pid}/fd")) {
                by_owner.entry(folder.uid()).or_default().push(*pid);
            }
        }
        let mut found: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for (owner, pids) in by_owner {
            let as_owner = || {
                nix::unistd::setfsuid(owner.into());
                sockets::holders_of(&self.proc, inodes, &pids)
            };
            let open = std::thread::scope(|scope| scope.spawn(as_owner).join()).unwrap_or_default();
            for (inode, pid) in open {
                found.entry(inode).or_default().push(pid);
            }
        }
        for pids in found.values_mut() {
            pids.sort_unstable();
            pids.dedup();
        }
        found
    }

    fn told(&self, target: &Target) -> Details {
        let seen = &target.seen;
        let mut details = Details::new();
        put(&mut details, "pid", seen.pid);
        put(&mut details, "uid", seen.uid());
        put(&mut details, "user", self.name_of(seen.uid()));
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
