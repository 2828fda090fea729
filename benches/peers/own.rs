//! A daemon of ours in a home of its own, in the direct backend, on one core.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::rig::Result;

/// Ended with the bench.
pub struct Daemon {
    child: Child,
    home: tempfile::TempDir,
}

impl Daemon {
    /// Starts it with this config.
    pub fn start(provost: &Path, config: &str) -> Result<Self> {
        let home = tempfile::tempdir()?;
        std::fs::create_dir_all(home.path().join("config/provost"))?;
        std::fs::create_dir_all(home.path().join("run"))?;
        rustix::fs::chmod(home.path().join("run"), rustix::fs::Mode::RWXU)?;
        std::fs::write(home.path().join("config/provost/provost.toml"), config)?;
        let mut command = surrounded(&home, "taskset".as_ref());
        command.args(["-c", "0"]).arg(provost).args(["--user", "daemon", "--backend", "direct"]);
        Ok(Self { child: command.stderr(Stdio::null()).spawn()?, home })
    }

    /// A program that finds this daemon.
    pub fn command(&self, program: &Path) -> Command {
        surrounded(&self.home, program)
    }

    /// Seconds of processor time so far.
    pub fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn surrounded(home: &tempfile::TempDir, program: &Path) -> Command {
    let folder = |name: &str| home.path().join(name);
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", home.path());
    command.env("XDG_RUNTIME_DIR", folder("run")).env("XDG_STATE_HOME", folder("state"));
    command.env("XDG_CONFIG_HOME", folder("config"));
    command
}
