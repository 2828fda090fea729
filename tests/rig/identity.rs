//! Processes of the rig looked at and signalled from outside, through a handle that no reuse of a number can redirect.

use std::os::unix::fs::DirBuilderExt;

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;

use super::{Result, Rig};

/// What makes a process itself: its id in the rig and its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub pid: u32,
    start: u64,
}

impl Rig {
    /// The process that has this id now; none if it has ended, a zombie included.
    pub fn identity(&self, pid: u32) -> Option<Identity> {
        let stat = self.read(&format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        if matches!(fields.first(), Some(&("Z" | "X"))) {
            return None;
        }
        Some(Identity { pid, start: fields.get(19)?.parse().ok()? })
    }

    /// Whether it still runs.
    pub fn lives(&self, process: Identity) -> bool {
        self.identity(process.pid) == Some(process)
    }

    /// Sends a signal; false if the process has ended.
    pub fn signal(&self, process: Identity, signal: Signal) -> Result<bool> {
        // The kernel takes the folder of a process for a pidfd.
        let Ok(folder) = self.open(&format!("/proc/{}", process.pid), OFlags::DIRECTORY, Mode::empty()) else {
            return Ok(false);
        };
        if !self.lives(process) {
            return Ok(false);
        }
        match rustix::process::pidfd_send_signal(folder, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a cgroup that is no unit, at this path of the rig's tree, and the ones that lead to it.
    pub fn make_cgroup(&self, path: &str) -> Result<()> {
        let folder = self.cgroup.join(path.trim_start_matches('/'));
        Ok(std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?)
    }

    /// The processes in a cgroup of the rig's tree, as the rig sees them.
    pub fn cgroup_pids(&self, path: &str) -> Result<Vec<u32>> {
        let folder = self.cgroup.join(path.trim_start_matches('/'));
        let text = std::fs::read_to_string(folder.join("cgroup.procs"))?;
        Ok(text.lines().filter_map(|pid| super::process::inner_pid(pid.parse().ok()?)).collect())
    }
}
