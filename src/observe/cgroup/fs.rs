//! The cgroup tree as a folder: who is in a cgroup, and which cgroup has which id.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, RawDir};

use super::CgroupPath;

/// Deeper than systemd and any container runtime nests; an end for what should have one.
const DEPTH: usize = 64;

/// Where version 2 is mounted on hosts that have no other.
const USUAL: &str = "/sys/fs/cgroup";

/// The one of version 2 on hybrid hosts.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// CGROUP2_SUPER_MAGIC of statfs(2).
const VERSION_2: u64 = 0x6367_7270;

/// Where the cgroup trees are mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CgroupFs {
    /// Version 2: at /sys/fs/cgroup, on hybrid hosts at /sys/fs/cgroup/unified.
    unified: Option<Tree>,
    /// Version 1, the tree that systemd keeps for itself.
    named: Option<Tree>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tree {
    mount: PathBuf,
    /// Which cgroup is mounted there; `/` but for bind mounts in containers.
    root: String,
}

impl CgroupFs {
    /// The host's. `init` is the cgroup of PID 1: where version 2 is mounted at the usual place and
    /// has it by that very path, the whole tree is there. Else from /proc/self/mountinfo, for
    /// which the kernel goes through every mount of the host.
    pub(crate) fn host(init: Option<&CgroupPath>) -> io::Result<Self> {
        let usual = Tree { mount: PathBuf::from(USUAL), root: "/".to_owned() };
        let whole = init.filter(|path| path.as_str() == "/init.scope").and_then(|path| usual.folder(path.as_str()));
        if whole.is_some_and(|scope| scope.is_dir() && is_version_2(&usual.mount)) {
            return Ok(Self { unified: Some(usual), named: None });
        }
        Ok(Self::from_mountinfo(&std::fs::read_to_string("/proc/self/mountinfo")?))
    }

    /// From the text of a mountinfo file (proc_pid_mountinfo(5)).
    pub(crate) fn from_mountinfo(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let (left, right): (Vec<_>, Vec<_>) = (left.split(' ').collect(), right.split(' ').collect());
            let [_, _, _, root, mount, ..] = left[..] else { continue };
            let tree = || Tree { mount: PathBuf::from(unescape(mount)), root: unescape(root) };
            match right[..] {
                // Others mount a second one elsewhere, and systemd (254) single files of it below: the usual place is
                // the one to read.
                ["cgroup2", ..] if found.unified.is_none() || matches!(mount, USUAL | UNIFIED) => {
                    found.unified = Some(tree());
                }
                ["cgroup", _, options, ..] if options.split(',').any(|o| o == "name=systemd") => {
                    found.named.get_or_insert_with(tree);
                }
                _ => {}
            }
        }
        found
    }

    /// The processes in a cgroup and in all below it. Empty where it does not exist.
    pub(crate) fn pids_in(&self, path: &str) -> Vec<u32> {
        let mut pids = Vec::new();
        if let Some(dir) = self.folder(path) {
            walk(dir, "", &mut |dir, _, _| {
                if let Ok(file) =
                    rustix::fs::openat(dir, "cgroup.procs", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                {
                    let text = io::read_to_string(std::fs::File::from(file)).unwrap_or_default();
                    // 0 stands for a process of another pid namespace.
                    pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
                }
                true
            });
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Whether there is such a cgroup.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.folder(path).is_some_and(|dir| dir.is_dir())
    }

    /// Whether a cgroup of version 2 exists and has no such file: its controller is not there.
    pub(crate) fn lacks(&self, path: &str, file: &str) -> bool {
        let dir = self.unified.as_ref().and_then(|tree| tree.folder(path));
        dir.is_some_and(|dir| dir.is_dir() && !dir.join(file).exists())
    }

    /// Whether all in a cgroup is frozen.
    pub(crate) fn is_frozen(&self, path: &str) -> bool {
        let events = self.folder(path).and_then(|dir| std::fs::read_to_string(dir.join("cgroup.events")).ok());
        events.is_some_and(|events| events.lines().any(|line| line == "frozen 1"))
    }

    /// Kills all in a cgroup and below it, at once (Linux 5.14). One that is not there is empty.
    pub(crate) fn kill(&self, path: &str) -> io::Result<()> {
        self.folder(path).map_or(Ok(()), |dir| std::fs::write(dir.join("cgroup.kill"), "1"))
    }

    /// The ids of a cgroup, first, and of all below it: as sockets and pidfds tell them.
    pub(crate) fn ids_below(&self, path: &str) -> Vec<u64> {
        let mut ids = Vec::new();
        if let Some(dir) = self.unified.as_ref().and_then(|tree| tree.folder(path)) {
            walk(dir, "", &mut |_, id, _| {
                ids.push(id);
                true
            });
        }
        ids
    }

    /// The path of the cgroup with this id.
    pub(crate) fn path_of_id(&self, id: u64) -> Option<String> {
        self.paths_of_ids(&[id]).pop().map(|(_, path)| path)
    }

    /// The paths of the cgroups with these ids, those that exist, in one walk that stops with
    /// the last one found.
    pub(crate) fn paths_of_ids(&self, ids: &[u64]) -> Vec<(u64, String)> {
        let mut missing: HashSet<u64> = ids.iter().copied().collect();
        let mut paths = Vec::new();
        let Some(tree) = self.unified.as_ref().filter(|_| !missing.is_empty()) else { return paths };
        walk(tree.mount.clone(), tree.root.trim_end_matches('/'), &mut |_, id, path| {
            if missing.remove(&id) {
                paths.push((id, if path.is_empty() { "/".to_owned() } else { path.to_owned() }));
            }
            !missing.is_empty()
        });
        paths
    }

    /// The folder of a cgroup, in the first tree that has it.
    pub(crate) fn folder(&self, path: &str) -> Option<PathBuf> {
        [&self.unified, &self.named].into_iter().flatten().filter_map(|tree| tree.folder(path)).find(|dir| dir.is_dir())
    }
}

impl Tree {
    fn folder(&self, path: &str) -> Option<PathBuf> {
        let below = path.strip_prefix(self.root.trim_end_matches('/'))?;
        let plain = path.starts_with('/') && (below.is_empty() || below.starts_with('/'));
        (plain && !path.split('/').any(|c| c == "..")).then(|| self.mount.join(below.trim_start_matches('/')))
    }
}

/// What is done with each cgroup: its open folder, its id and its path; `false` ends the walk.
type Visit<'v> = dyn FnMut(&OwnedFd, u64, &str) -> bool + 'v;

fn walk(top: PathBuf, path: &str, visit: &mut Visit<'_>) {
    if let Some(dir) = open(&top) {
        let id = rustix::fs::fstat(&dir).map_or(0, |stat| stat.st_ino);
        descend(&dir, id, path, DEPTH, visit);
    }
}

fn descend(dir: &OwnedFd, id: u64, path: &str, depth: usize, visit: &mut Visit<'_>) -> bool {
    if !visit(dir, id, path) {
        return false;
    }
    let mut buffer = Vec::with_capacity(8 * 1024);
    let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name();
        if depth == 0 || entry.file_type() != FileType::Directory || matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // What is removed meanwhile is not there.
        let Ok(below) = rustix::fs::openat(dir, name, flags, Mode::empty()) else { continue };
        let path = format!("{path}/{}", name.to_string_lossy());
        if !descend(&below, entry.ino(), &path, depth - 1, visit) {
            return false;
        }
    }
    true
}

fn is_version_2(mount: &Path) -> bool {
    rustix::fs::statfs(mount).is_ok_and(|found| u64::try_from(found.f_type) == Ok(VERSION_2))
}

fn open(path: &Path) -> Option<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Space, tab, newline and backslash stand as three octal digits in mountinfo.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) => out.extend(std::iter::once(char::from(byte)).chain(part.chars().skip(3))),
            None => out.extend(std::iter::once('\\').chain(part.chars())),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(mount: &str, root: &str) -> Option<Tree> {
        Some(Tree { mount: mount.into(), root: root.into() })
    }

    #[test]
    fn hosts_of_every_kind() {
        let pure = "1 0 0:1 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(CgroupFs::from_mountinfo(pure), CgroupFs { unified: tree("/sys/fs/cgroup", "/"), named: None });
        // As in a unit that watches its memory pressure.
        let file = "/system.slice/x.service/memory.pressure";
        let watched = format!("{pure}2 1 0:1 {file} /sys/fs/cgroup{file} rw - cgroup2 cgroup2 rw\n");
        assert_eq!(CgroupFs::from_mountinfo(&watched), CgroupFs::from_mountinfo(pure));
        let hybrid = "1 0 0:1 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            2 0 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            3 0 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            4 0 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            5 0 0:3 / /run/other\\040one rw - cgroup2 none rw\n";
        let both =
            CgroupFs { unified: tree("/sys/fs/cgroup/unified", "/"), named: tree("/sys/fs/cgroup/systemd", "/") };
        assert_eq!(CgroupFs::from_mountinfo(hybrid), both);
        let odd = "5 0 0:3 /docker/x /run/other\\040one rw - cgroup2 none rw\nnonsense\n - \n";
        assert_eq!(CgroupFs::from_mountinfo(odd).unified, tree("/run/other one", "/docker/x"));
        assert_eq!(CgroupFs::from_mountinfo(""), CgroupFs::default());
    }

    #[test]
    fn only_paths_below_the_mount() {
        let tree = tree("/m", "/docker/x").unwrap();
        assert_eq!(tree.folder("/docker/x/a.slice"), Some("/m/a.slice".into()));
        assert_eq!(tree.folder("/docker/x"), Some("/m/".into()));
        for path in ["/docker/xy", "/", "docker/x", "/docker/x/../../etc", ""] {
            assert_eq!(tree.folder(path), None, "{path}");
        }
    }

    #[test]
    fn a_tree_is_walked() {
        let dir = tempfile::tempdir().unwrap();
        for (below, procs) in [("", "1\n"), ("a.slice", "0\n7\n"), ("a.slice/x.service", "5\n7\n"), ("b.slice", "9\n")]
        {
            std::fs::create_dir_all(dir.path().join(below)).unwrap();
            std::fs::write(dir.path().join(below).join("cgroup.procs"), procs).unwrap();
        }
        let fs = CgroupFs { unified: Some(Tree { mount: dir.path().to_owned(), root: "/".into() }), named: None };
        assert_eq!(fs.pids_in("/a.slice"), [5, 7]);
        assert_eq!(fs.pids_in("/"), [1, 5, 7, 9]);
        assert!(fs.pids_in("/none").is_empty() && fs.pids_in("/../x").is_empty());
        let id = fs.ids_below("/a.slice/x.service")[0];
        assert_eq!(fs.path_of_id(id).as_deref(), Some("/a.slice/x.service"));
        assert_eq!(fs.path_of_id(fs.ids_below("/")[0]).as_deref(), Some("/"));
        assert_eq!(fs.path_of_id(0), None);
        assert_eq!(fs.ids_below("/a.slice")[1..], [id]);
    }

    #[test]
    fn this_host() {
        let fs = CgroupFs::host(None).unwrap();
        if let Some(id) = fs.ids_below("/").first() {
            assert_eq!(fs.path_of_id(*id).as_deref(), Some("/"));
        }
    }
}
