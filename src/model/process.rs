//! One running process: its identity, and what the kernel tells of it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// What makes a process itself. A pid alone is used again; together with the start time (in
/// clock ticks after boot) and, where the kernel gives unique ones (6.9 and later), the inode of
/// its pidfd, it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Identity {
    /// The process id, in the pid namespace of the caller.
    pub pid: u32,
    /// Field 22 of /proc/PID/stat: clock ticks after boot.
    pub start_ticks: u64,
    /// The inode of its pidfd on pidfs; `None` where that is not unique or was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pidfd_inode: Option<u64>,
}

impl Identity {
    /// Whether both are the same process. An inode that one of them lacks is not compared.
    pub fn is(&self, other: &Self) -> bool {
        let inodes = self.pidfd_inode.zip(other.pidfd_inode).is_none_or(|(a, b)| a == b);
        self.pid == other.pid && self.start_ticks == other.start_ticks && inodes
    }
}

/// The four user ids of a process. kill(2) compares the sender's real and effective id with the
/// target's real and saved one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of credentials(7)")]
pub struct Uids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
}

/// The state letter of /proc/PID/stat, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ProcState {
    /// Running, sleeping, idle or stopped by a signal.
    Alive,
    /// In uninterruptible sleep (D): no signal ends it before the kernel lets go.
    Uninterruptible,
    /// Ended and not yet waited for by its parent (Z, X).
    Zombie,
}

/// What a process runs: the executable, and for an interpreter also the script or module.
///
/// Two processes run the same program when both parts agree; every agent is a `python3`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The path of the executable, or argv\[0\] where the path cannot be read.
    pub path: String,
    /// The script, jar or `-m` module that an interpreter runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
}

/// One process as it was when it was read.
///
/// Text of the process (comm, command line) is decoded leniently: bytes that are not UTF-8
/// become U+FFFD. It is not escaped; who prints it does that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// What makes it itself.
    pub identity: Identity,
    /// The parent's process id; 0 where the parent is in another pid namespace or there is none.
    pub ppid: u32,
    /// The process group.
    pub pgid: u32,
    /// The POSIX session.
    pub sid: u32,
    /// Its user ids; `None` where /proc/PID/status could not be read.
    pub uids: Option<Uids>,
    /// The kernel's name for it: at most 15 bytes, chosen by the process.
    pub comm: String,
    /// The path of its executable without " (deleted)"; `None` where the caller may not read it.
    pub exe: Option<String>,
    /// The command line; empty for zombies and kernel threads.
    pub cmdline: Vec<String>,
    /// When it started; `None` where the boot time is unknown.
    pub started_at: Option<SystemTime>,
    /// Whether it lives.
    pub state: ProcState,
    /// The path of its cgroup as /proc/PID/cgroup gives it; `None` where that was not read.
    #[serde(default)]
    pub cgroup: Option<String>,
    /// A thread of the kernel: it takes no signal.
    pub kernel_thread: bool,
}

/// A process that is to be signalled: who it must still be, right before the signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Aim {
    /// What makes it itself.
    pub identity: Identity,
    /// The effective uid that it had.
    pub uid: Option<u32>,
    /// The cgroup that it was in.
    pub cgroup: Option<String>,
}

impl From<&Process> for Aim {
    fn from(process: &Process) -> Self {
        Self { identity: process.identity, uid: process.uid(), cgroup: process.cgroup.clone() }
    }
}

impl Process {
    /// What can be said of a process by its command line alone.
    pub(crate) fn of_command(cmdline: &[String]) -> Self {
        Self {
            identity: Identity { pid: 0, start_ticks: 0, pidfd_inode: None },
            ppid: 0,
            pgid: 0,
            sid: 0,
            uids: None,
            comm: String::new(),
            exe: None,
            cmdline: cmdline.to_vec(),
            started_at: None,
            state: ProcState::Alive,
            cgroup: None,
            kernel_thread: false,
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.identity.pid
    }

    /// The effective user id, which is what `ps` shows as its user.
    pub fn uid(&self) -> Option<u32> {
        self.uids.map(|u| u.effective)
    }

    /// The command line as one string, or the comm in brackets where there is none.
    pub fn command(&self) -> String {
        if self.cmdline.is_empty() { format!("[{}]", self.comm) } else { self.cmdline.join(" ") }
    }
}
