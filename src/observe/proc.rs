//! /proc, read: one process or all of them, honestly where one has gone or is hidden.
//!
//! Everything of one process is read through one open /proc/PID: such a folder belongs to its
//! process for ever, so facts of two processes that had the same pid one after the other cannot
//! mix.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Access, AtFlags, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::stat::{self, Stat, Status};
use crate::model::{Identity, ProcState, Process};
use crate::sys::pidfd::PidFd;

/// The most that is read of a command line or an environment. The kernel allows megabytes; what
/// is looked for stands at the beginning, and memory is kept small.
const LIMIT: usize = 256 * 1024;

/// Why a process could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It does not exist, or ended while it was read.
    #[error("there is no process {pid}")]
    Gone {
        /// Its id.
        pid: u32,
    },
    /// It exists, and /proc does not show it to this user (`hidepid`, a security module).
    #[error("process {pid} exists, but /proc hides it from you (hidepid)")]
    Hidden {
        /// Its id.
        pid: u32,
    },
    /// The id is that of a thread.
    #[error("{pid} is a thread of process {process}, not a process")]
    Thread {
        /// What was asked for.
        pid: u32,
        /// The process it belongs to.
        process: u32,
    },
    /// Anything else.
    #[error("cannot read {}: {source}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The proc filesystem.
#[derive(Debug)]
pub(crate) struct ProcFs {
    root: PathBuf,
    dir: OwnedFd,
    exists: fn(u32) -> bool,
    booted: SystemTime,
}

/// One process's folder, open.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    proc: &'a ProcFs,
    pid: u32,
    dir: OwnedFd,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl ProcFs {
    /// The host's, at /proc.
    pub(crate) fn host() -> io::Result<Self> {
        Self::at(Path::new("/proc"), crate::clock::booted(), crate::sys::exists)
    }

    /// One mounted elsewhere. `exists` says whether a pid exists that this folder does not show.
    pub(crate) fn at(root: &Path, booted: SystemTime, exists: fn(u32) -> bool) -> io::Result<Self> {
        let dir = rustix::fs::open(root, FOLDER, Mode::empty())?;
        Ok(Self { root: root.to_owned(), dir, exists, booted })
    }

    /// Every process that the caller may see, in the order of the kernel (ascending).
    pub(crate) fn pids(&self) -> io::Result<Vec<u32>> {
        // A new descriptor each time: its position is its own.
        let dir = rustix::fs::openat(&self.dir, ".", FOLDER, Mode::empty())?;
        let mut buffer = Vec::with_capacity(32 * 1024);
        let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
        let mut pids = Vec::new();
        while let Some(entry) = entries.next() {
            pids.extend(entry?.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()));
        }
        Ok(pids)
    }

    /// Everything about one process. `identity.pidfd_inode` is not read here, see [`Self::identify`].
    pub(crate) fn process(&self, pid: u32) -> Result<Process, ReadError> {
        let words = self.entry(pid)?.read("cmdline").map(|content| stat::command_line(&content));
        Ok(Process { cmdline: words.unwrap_or_default(), ..self.without_words(pid)? })
    }

    /// The same without its command line, which lies in the memory of the process, and for which
    /// that can keep a reader waiting.
    pub(crate) fn without_words(&self, pid: u32) -> Result<Process, ReadError> {
        let entry = self.entry(pid)?;
        let stat = entry.stat()?;
        let status = entry.read("status").ok().and_then(|content| Status::parse(&content));
        if let Some(Status { tgid, .. }) = status.filter(|s| s.tgid != pid) {
            return Err(ReadError::Thread { pid, process: tgid });
        }
        Ok(Process {
            identity: Identity { pid, start_ticks: stat.start_ticks, pidfd_inode: None },
            ppid: stat.ppid,
            pgid: stat.pgid,
            sid: stat.sid,
            uids: status.map(|s| s.uids),
            exe: entry.exe(),
            cmdline: Vec::new(),
            started_at: self.started_at(stat.start_ticks),
            comm: stat.comm,
            state: stat.state,
            cgroup: entry.read("cgroup").ok().and_then(|content| cgroup_path(&content)),
            kernel_thread: stat.kernel_thread,
        })
    }

    /// Those of these processes that can be read; what has vanished meanwhile is left out.
    pub(crate) fn processes(&self, pids: &[u32]) -> Vec<Process> {
        pids.iter().filter_map(|pid| self.process(*pid).ok()).collect()
    }

    /// The kernel's name for a process.
    pub(crate) fn comm(&self, pid: u32) -> Result<String, ReadError> {
        let content = self.entry(pid)?.read("comm")?;
        Ok(stat::lossy(content.strip_suffix(b"\n").unwrap_or(&content)))
    }

    /// The beginning of the command line; empty for zombies and kernel threads.
    pub(crate) fn cmdline(&self, pid: u32) -> Result<Vec<String>, ReadError> {
        Ok(stat::command_line(&self.entry(pid)?.read("cmdline")?))
    }

    /// The text of /proc/PID/cgroup, for [`super::cgroup::path_of`].
    pub(crate) fn cgroup(&self, pid: u32) -> Result<String, ReadError> {
        Ok(stat::lossy(&self.entry(pid)?.read("cgroup")?))
    }

    /// The environment that the process was started with; `None` where it may not be read.
    pub(crate) fn environ(&self, pid: u32) -> Option<Vec<(String, String)>> {
        let content = self.entry(pid).ok()?.read("environ").ok()?;
        let pair = |line: String| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        Some(stat::nul_separated(&content).into_iter().filter_map(pair).collect())
    }

    /// The values of some variables of the environment that the process was started with; `None`
    /// where it may not be read. Cheaper than all of it.
    pub(crate) fn variables<const N: usize>(&self, pid: u32, names: [&str; N]) -> Option<[Option<String>; N]> {
        let content = self.entry(pid).ok()?.read("environ").ok()?;
        let value = |name: &str| {
            let mut lines = content.split(|b| *b == 0);
            lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).map(stat::lossy)
        };
        Some(names.map(value))
    }

    /// The children of a process by the kernel's lists, ascending; empty where it has gone,
    /// `None` where the kernel keeps no such lists.
    pub(crate) fn children(&self, pid: u32) -> Option<Vec<u32>> {
        let Ok(entry) = self.entry(pid) else { return Some(Vec::new()) };
        entry.children()
    }

    /// This process and its ancestors, nearest first.
    pub(crate) fn lineage(&self) -> Vec<u32> {
        let mut line = vec![std::process::id()];
        while let Some(Ok(stat)) = line.last().map(|pid| self.stat(*pid)) {
            if stat.ppid == 0 || line.contains(&stat.ppid) {
                break;
            }
            line.push(stat.ppid);
        }
        line
    }

    /// Holds a process and says who it is, in the order that leaves no gap: open, read, and see
    /// that what was opened still runs. A zombie counts as gone.
    pub(crate) fn identify(&self, pid: u32) -> Result<(Identity, PidFd), ReadError> {
        let fd = PidFd::open(pid).map_err(|source| match self.thread_of(pid) {
            _ if source.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => ReadError::Gone { pid },
            Some(process) => ReadError::Thread { pid, process },
            None => ReadError::Other { path: self.root.join(pid.to_string()), source },
        })?;
        let start_ticks = self.stat(pid)?.start_ticks;
        if !fd.is_alive() {
            return Err(ReadError::Gone { pid });
        }
        Ok((Identity { pid, start_ticks, pidfd_inode: fd.inode() }, fd))
    }

    /// The fields of /proc/PID/stat.
    pub(crate) fn stat(&self, pid: u32) -> Result<Stat, ReadError> {
        self.entry(pid)?.stat()
    }

    /// The wait status of a process that has ended and was not waited for by its parent yet; `None`
    /// where it is another one, or the kernel does not tell us.
    pub(crate) fn wait_status(&self, identity: &Identity) -> Option<i32> {
        let entry = self.entry(identity.pid).ok()?;
        // To who may not look into a process, its status is shown as 0: this link is not shown at all.
        entry.link("ns/user")?;
        let content = entry.read("stat").ok()?;
        let stat = Stat::parse(&content)?;
        let ended = stat.state == ProcState::Zombie && stat.start_ticks == identity.start_ticks;
        if ended { stat::wait_status(&content) } else { None }
    }

    /// Opens the folder of a process.
    pub(super) fn entry(&self, pid: u32) -> Result<Entry<'_>, ReadError> {
        match rustix::fs::openat(&self.dir, pid.to_string(), FOLDER, Mode::empty()) {
            Ok(dir) => Ok(Entry { proc: self, pid, dir }),
            Err(Errno::NOENT) if (self.exists)(pid) => Err(ReadError::Hidden { pid }),
            Err(errno) => Err(self.failed(pid, "", errno)),
        }
    }

    /// Where `123/exe` leads, without " (deleted)".
    pub(super) fn exe_at(&self, file: &str) -> Option<String> {
        exe_of(rustix::fs::readlinkat(&self.dir, file, Vec::new()))
    }

    /// Reads the beginning of a small file, as `123/comm`: one open, one read.
    pub(super) fn read_small<'b>(&self, file: &str, buffer: &'b mut [u8]) -> rustix::io::Result<&'b [u8]> {
        let file = rustix::fs::openat(&self.dir, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let length = rustix::io::read(&file, &mut *buffer)?;
        Ok(buffer.get(..length).unwrap_or_default())
    }

    fn failed(&self, pid: u32, file: &str, errno: Errno) -> ReadError {
        match errno {
            Errno::NOENT | Errno::SRCH => ReadError::Gone { pid },
            Errno::ACCESS | Errno::PERM => ReadError::Hidden { pid },
            _ => ReadError::Other { path: self.root.join(pid.to_string()).join(file), source: errno.into() },
        }
    }

    fn thread_of(&self, pid: u32) -> Option<u32> {
        let status = Status::parse(&self.entry(pid).ok()?.read("status").ok()?)?;
        (status.tgid != pid).then_some(status.tgid)
    }

    fn started_at(&self, ticks: u64) -> Option<SystemTime> {
        let hertz = rustix::param::clock_ticks_per_second().max(1);
        let after = Duration::from_secs(ticks / hertz) + Duration::from_millis(ticks % hertz * 1000 / hertz);
        self.booted.checked_add(after)
    }
}

impl Entry<'_> {
    /// The fields of its `stat`.
    pub(super) fn stat(&self) -> Result<Stat, ReadError> {
        let content = self.read("stat")?;
        Stat::parse(&content).ok_or_else(|| ReadError::Other {
            path: self.proc.root.join(self.pid.to_string()).join("stat"),
            source: io::Error::new(io::ErrorKind::InvalidData, "not of the form in proc_pid_stat(5)"),
        })
    }

    /// The whole of one of its files, up to [`LIMIT`].
    pub(super) fn read(&self, file: &str) -> Result<Vec<u8>, ReadError> {
        read_all(&self.dir, file, LIMIT).map_err(|errno| self.proc.failed(self.pid, file, errno))
    }

    /// Its executable.
    pub(super) fn exe(&self) -> Option<String> {
        exe_of(rustix::fs::readlinkat(&self.dir, "exe", Vec::new()))
    }

    /// The folder itself.
    pub(super) fn folder(&self) -> &OwnedFd {
        &self.dir
    }

    /// Where one of its links leads.
    pub(super) fn link(&self, file: &str) -> Option<String> {
        Some(stat::lossy(rustix::fs::readlinkat(&self.dir, file, Vec::new()).ok()?.as_bytes()))
    }

    fn children(&self) -> Option<Vec<u32>> {
        let Ok(dir) = rustix::fs::openat(&self.dir, "task", FOLDER, Mode::empty()) else { return Some(Vec::new()) };
        let mut buffer = Vec::with_capacity(4096);
        let mut entries = RawDir::new(&dir, buffer.spare_capacity_mut());
        let mut children = Vec::new();
        while let Some(Ok(entry)) = entries.next() {
            let Some(thread) = entry.file_name().to_str().ok().filter(|name| !name.starts_with('.')) else { continue };
            match read_all(&dir, &format!("{thread}/children"), LIMIT) {
                Ok(list) => {
                    let list = std::str::from_utf8(&list).unwrap_or_default();
                    children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
                }
                // The thread has ended, or its folder lacks the file.
                Err(_) if rustix::fs::accessat(&dir, thread, Access::EXISTS, AtFlags::empty()).is_err() => {}
                Err(_) => return None,
            }
        }
        children.sort_unstable();
        Some(children)
    }

    /// The inodes of the sockets that it has open; `None` where its descriptors may not be read.
    pub(super) fn sockets(&self) -> Option<Vec<u64>> {
        let dir = rustix::fs::openat(&self.dir, "fd", FOLDER, Mode::empty()).ok()?;
        let mut buffer = Vec::with_capacity(4096);
        let mut entries = RawDir::new(&dir, buffer.spare_capacity_mut());
        let mut inodes = Vec::new();
        while let Some(Ok(entry)) = entries.next() {
            let target = rustix::fs::readlinkat(&dir, entry.file_name(), Vec::new());
            inodes.extend(target.ok().and_then(|target| socket_inode(target.to_str().ok()?)));
        }
        Some(inodes)
    }
}

fn exe_of(link: rustix::io::Result<CString>) -> Option<String> {
    let path = stat::lossy(link.ok()?.as_bytes());
    Some(path.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(path))
}

/// `socket:[12345]`.
fn socket_inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn read_all(dir: impl AsFd, file: &str, limit: usize) -> rustix::io::Result<Vec<u8>> {
    let file = rustix::fs::openat(dir, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut content = Vec::with_capacity(1024);
    while content.len() < limit {
        if content.spare_capacity_mut().is_empty() {
            content.reserve(content.len());
        }
        if rustix::io::read(&file, rustix::buffer::spare_capacity(&mut content))? == 0 {
            break;
        }
    }
    Ok(content)
}

/// The path that counts, of the text of /proc/PID/cgroup.
fn cgroup_path(content: &[u8]) -> Option<String> {
    super::cgroup::path_of(&String::from_utf8_lossy(content)).map(|path| path.to_string())
}

#[cfg(test)]
#[path = "proc_tests.rs"]
mod tests;
