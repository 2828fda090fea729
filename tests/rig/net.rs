//! The network of the rig, which has only its loopback, for clients outside of the container.

use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns};

use super::{Result, Rig, host};

impl Rig {
    /// Does this in the network of the rig.
    pub fn in_network<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let network = std::fs::File::open(format!("/proc/{}/ns/net", self.leader))?;
        // A thread of its own, for only that is in it.
        let enter = move || {
            setns(&network, CloneFlags::CLONE_NEWNET)?;
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join()).map_err(|_| "a thread ended")?
    }

    /// A program of this machine in the network of the rig, ended after so many seconds.
    pub fn client(&self, program: &str, limit: u32) -> Result<Command> {
        let program =
            host::which(program).ok_or_else(|| format!("{program} is not installed: tests/run installs it"))?;
        let mut command = Command::new(host::which("nsenter").ok_or("nsenter is not installed")?);
        command.arg(format!("--target={}", self.leader)).args(["-n", "--", "timeout", &limit.to_string()]).arg(program);
        Ok(command)
    }
}
