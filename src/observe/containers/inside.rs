//! Every process that runs in a container, and what of its network can be read.

use rustix::fs::{Mode, OFlags, RawDir};

use super::super::cgroup::{ManagerRoot, Place, path_of, place};
use super::super::proc::{Entry, ProcFs};
use crate::model::{Container, Manager, Process};

/// A process in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) pid: u32,
    pub(super) container: Container,
    /// In whose part of the tree the container stands.
    pub(super) manager: Manager,
    /// It belongs to the runtime and runs outside, as conmon does.
    pub(super) helper: bool,
}

/// All of them that can be seen.
pub(super) fn all(proc: &ProcFs) -> Vec<Inside> {
    let path = |pid: u32| proc.cgroup(pid).ok().and_then(|text| path_of(&text));
    let root = ManagerRoot::of(path(1).as_ref());
    let inside = |pid: u32| {
        let path = path(pid)?;
        let Place::Container { container, manager, .. } = place(&path, &root) else { return None };
        let helper = ["conmon-", "lxc.monitor", "/supervisor"].iter().any(|part| path.as_str().contains(part));
        Some(Inside { pid, container, manager, helper })
    };
    proc.pids().unwrap_or_default().into_iter().filter_map(inside).collect()
}

/// What fib_trie says of an address that is the network's own.
const LOCAL: &str = "/32 host LOCAL";

impl ProcFs {
    /// Whether the network in which a process runs has this address. /proc/PID/net may be read
    /// by everybody.
    pub(super) fn has_address(&self, pid: u32, ip: &str) -> bool {
        let read = |file| self.entry(pid).and_then(|entry| entry.read(file)).ok();
        let has = |text: Vec<u8>| has_local(&String::from_utf8_lossy(&text), ip);
        match ip.parse::<std::net::Ipv6Addr>() {
            Ok(six) => read("net/if_inet6").is_some_and(|text| has_six(&String::from_utf8_lossy(&text), six)),
            Err(_) => read("net/fib_trie").is_some_and(has),
        }
    }

    /// The network namespace of a process.
    pub(super) fn network(&self, pid: u32) -> Option<u64> {
        namespace(self.entry(pid).ok()?.link("ns/net")?.as_str())
    }

    /// The network namespaces that a process leads into: its own and those of its children, those
    /// that it has open, and those whose files are named in its arguments.
    pub(super) fn networks_of(&self, process: &Process) -> Vec<u64> {
        let mut family = self.children(process.pid()).unwrap_or_default();
        family.push(process.pid());
        let mut networks: Vec<u64> = family.iter().filter_map(|pid| self.network(*pid)).collect();
        if let Ok(entry) = self.entry(process.pid()) {
            networks.extend(entry.open_namespaces());
            networks.extend(process.cmdline.iter().filter_map(|word| entry.named_namespace(word)));
        }
        networks
    }
}

impl Entry<'_> {
    fn open_namespaces(&self) -> Vec<u64> {
        let mut all = Vec::new();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(dir) = rustix::fs::openat(self.folder(), "fd", flags, Mode::empty()) else { return all };
        let mut buffer = Vec::with_capacity(4096);
        let mut entries = RawDir::new(&dir, buffer.spare_capacity_mut());
        while let Some(Ok(entry)) = entries.next() {
            let target = rustix::fs::readlinkat(&dir, entry.file_name(), Vec::new());
            all.extend(target.ok().and_then(|target| namespace(target.to_str().ok()?)));
        }
        all
    }

    /// The namespace whose file the process names by an absolute path, as it sees it itself.
    fn named_namespace(&self, word: &str) -> Option<u64> {
        let path = word.rsplit('=').next().filter(|path| path.starts_with('/'))?;
        let stat = |file: &str| rustix::fs::statat(self.folder(), file, rustix::fs::AtFlags::empty()).ok();
        let file = stat(&format!("root{path}"))?;
        (file.st_dev == stat("ns/net")?.st_dev).then_some(file.st_ino)
    }
}

/// `net:[4026531833]`.
fn namespace(link: &str) -> Option<u64> {
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// In fib_trie an address stands on a line of its own, and what it is on the next.
pub(super) fn has_local(trie: &str, ip: &str) -> bool {
    let mut lines = trie.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().strip_prefix("|-- ") == Some(ip) && lines.clone().next().is_some_and(|l| l.trim() == LOCAL)
        {
            return true;
        }
    }
    false
}

/// In if_inet6 a line begins with the address in 32 hexadecimal digits.
pub(super) fn has_six(text: &str, ip: std::net::Ipv6Addr) -> bool {
    let digits = format!("{:032x}", u128::from(ip));
    text.lines().any(|line| line.split(' ').next() == Some(&digits))
}
