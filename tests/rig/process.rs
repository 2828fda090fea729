//! Commands that go on running in the rig while a test looks at them.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::{As, Result, Rig, eventually};

/// A running command. It is killed, with its process group, when this is dropped.
pub struct Process {
    child: Child,
    /// Its process id as the rig sees it.
    pub pid: u32,
}

impl As<'_> {
    /// Starts a command and waits until it is its own program, and no longer one of those that bring it there.
    pub fn spawn<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Result<Process> {
        let argv: Vec<_> = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let program = argv.first().ok_or("an empty command")?.to_string_lossy().into_owned();
        let name: String = program.rsplit('/').next().unwrap_or_default().chars().take(15).collect();
        self.spawn_as(&name, &argv)
    }

    /// The same for a program that goes by another name in the end.
    pub fn spawn_as<S: AsRef<OsStr>>(&self, name: &str, argv: impl IntoIterator<Item = S>) -> Result<Process> {
        let argv: Vec<_> = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let mut command = self.command(&argv, false)?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut found = None;
        let mut gone = None;
        eventually(&format!("{name} has started"), || {
            gone = child.try_wait().ok().flatten();
            found = innermost(child.id()).filter(|(_, comm)| *comm == name).map(|(pid, _)| pid);
            found.is_some() || gone.is_some()
        })?;
        match (found, gone) {
            (Some(pid), None) => Ok(Process { child, pid }),
            (_, status) => Err(format!("{name} ended at once: {status:?}").into()),
        }
    }
}

impl Process {
    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<std::process::ExitStatus> {
        eventually("the process ends", || !self.alive())?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        kill_group(&mut self.child);
    }
}

impl Rig {
    /// The process ids in a unit, as the rig sees them.
    pub fn pids_of(&self, unit: &str) -> Result<Vec<u32>> {
        let group = self.systemctl(["show", "-P", "ControlGroup", unit])?;
        if group.is_empty() {
            return Ok(Vec::new());
        }
        // Read from here, the file shows the host's numbers.
        let procs = self.read(&format!("/sys/fs/cgroup{group}/cgroup.procs"))?;
        Ok(procs.lines().filter_map(|pid| inner_pid(pid.parse().ok()?)).collect())
    }

    /// Whether a process of the rig exists and is no zombie.
    pub fn is_running(&self, pid: u32) -> bool {
        let stat = self.read(&format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }
}

/// The last in the line of only children below `pid`: its id in its own pid namespace and its name.
///
/// What a session of `su` or a separate mount namespace puts in between has one child each, too.
fn innermost(pid: u32) -> Option<(u32, String)> {
    let mut pid = pid;
    let read = |pid: u32, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let mut depth = 0;
    while let Some(child) = read(pid, &format!("task/{pid}/children"))?.split(' ').next().and_then(|c| c.parse().ok()) {
        (pid, depth) = (child, depth + 1);
        let comm = read(pid, "comm")?;
        if !matches!(comm.trim_end(), "nsenter" | "setpriv" | "setsid" | "unshare" | "sh" | "env" | "su" | "bash") {
            break;
        }
    }
    if depth == 0 {
        return None;
    }
    Some((inner_pid(pid)?, read(pid, "comm")?.trim_end().to_owned()))
}

/// The id that a process has in its own pid namespace; none for those that stand outside, as nsenter does.
pub(super) fn inner_pid(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|l| l.strip_prefix("NSpid:"))?.split_whitespace().skip(1).last()?.parse().ok()
}

pub(super) fn pidfd(child: &Child) -> Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty())?)
}

/// Kills a child that has not been waited for, and its process group: its id cannot have been given to anybody else.
pub(super) fn kill_group(child: &mut Child) {
    if let Ok(None) = child.try_wait() {
        let _ = rustix::process::kill_process_group(Pid::from_child(child), Signal::KILL);
        let _ = child.wait();
    }
}
