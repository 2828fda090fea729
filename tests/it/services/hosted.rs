//! A daemon of this machine in folders of its own, without a session bus and without a manager.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use crate::rig::{Result, eventually};

/// The program.
pub const PROVOST: &str = env!("CARGO_BIN_EXE_provost");

/// Further variables, of the daemon and of the verbs.
type Env = Vec<(String, String)>;

/// A daemon that runs; it is killed when this is dropped.
pub struct Hosted {
    child: Child,
    args: Vec<String>,
    env: Env,
    notify: UnixDatagram,
    dir: tempfile::TempDir,
}

impl Hosted {
    /// Starts one and waits until it says that it is ready.
    pub fn start(args: &[&str]) -> Result<Self> {
        Self::with_config(args, "")
    }

    /// The same with services of its user; none if that is empty.
    pub fn with_config(args: &[&str], config: &str) -> Result<Self> {
        Self::with_env(args, config, |_| Ok(Env::new()))
    }

    /// The same with further variables for it and its verbs, which may speak of its folder.
    pub fn with_env(args: &[&str], config: &str, env: impl FnOnce(&Path) -> Result<Env>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let env = env(dir.path())?;
        for folder in ["state", "config/provost", "run"] {
            fs::create_dir_all(dir.path().join(folder))?;
        }
        if !config.is_empty() {
            fs::write(dir.path().join("config/provost/provost.toml"), config)?;
        }
        fs::set_permissions(dir.path().join("run"), fs::Permissions::from_mode(0o700))?;
        let notify = UnixDatagram::bind(dir.path().join("notify"))?;
        notify.set_read_timeout(Some(Duration::from_secs(20)))?;
        let args: Vec<String> = args.iter().map(|word| (*word).to_owned()).collect();
        let hosted = Self { child: spawn(&dir, &args, &env)?, args, env, notify, dir };
        hosted.says("READY=1")?;
        Ok(hosted)
    }

    /// Kills it, and starts another one in its place.
    pub fn again(&mut self) -> Result<()> {
        self.kill()?;
        self.then()
    }

    /// Kills it, and sees it go.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(rustix::process::Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts another one in the place of one that has ended.
    pub fn then(&mut self) -> Result<()> {
        self.child = spawn(&self.dir, &self.args, &self.env)?;
        self.says("READY=1")
    }

    /// The same, with other arguments.
    pub fn then_with(&mut self, args: &[&str]) -> Result<()> {
        self.args = args.iter().map(|word| (*word).to_owned()).collect();
        self.then()
    }

    /// Where everything of it is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The folder of its records.
    pub fn registry(&self) -> Result<PathBuf> {
        let machine = fs::read_dir(self.dir.path().join("state/provost"))?.next().ok_or("no state")??;
        Ok(machine.path().join("registry"))
    }

    /// What `list` says of one service.
    pub fn service(&self, id: &str) -> Result<serde_json::Value> {
        let list: serde_json::Value = serde_json::from_str(&self.ok(&["list", "-o", "json", id])?)?;
        Ok(list["services"][0].clone())
    }

    /// Waits until it has said this to its manager.
    pub fn says(&self, words: &str) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let n = self.notify.recv(&mut buffer).map_err(|e| format!("waiting for {words}: {e}; {}", self.log()))?;
            if buffer[..n] == *words.as_bytes() {
                return Ok(());
            }
        }
    }

    /// How often it has said this since the last word that was waited for.
    pub fn said(&self, words: &str) -> Result<usize> {
        self.notify.set_nonblocking(true)?;
        let (mut buffer, mut times) = ([0; 4096], 0);
        while let Ok(n) = self.notify.recv(&mut buffer) {
            times += usize::from(buffer[..n] == *words.as_bytes());
        }
        self.notify.set_nonblocking(false)?;
        Ok(times)
    }

    /// Runs a verb of the same instance.
    pub fn provost(&self, args: &[&str]) -> Result<Output> {
        Ok(in_dir(&self.dir, &self.env, ["--user"].iter().chain(args)).output()?)
    }

    /// The same, and its standard output.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        let output = self.provost(args)?;
        if !output.status.success() {
            return Err(format!("{args:?}: {output:?}; the daemon: {}", self.log()).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/provost/control.sock")
    }

    /// A connection that has said nothing yet.
    pub fn connect(&self) -> Result<UnixStream> {
        let stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(stream)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A number from its `status` in /proc.
    pub fn status(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find(|line| line.starts_with(field)).ok_or("no such field")?;
        Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
    }

    pub fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        Ok(rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)?)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub fn ends(&mut self) -> Result<ExitStatus> {
        eventually("the daemon ends", || !self.is_running())?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &tempfile::TempDir, args: &[String], env: &Env) -> Result<Child> {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.path().join("log"))?;
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = in_dir(dir, env, ["daemon", "--user"].iter().chain(&words));
    command.env("NOTIFY_SOCKET", dir.path().join("notify")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Ok(command.spawn()?)
}

fn in_dir<'a>(dir: &tempfile::TempDir, env: &Env, args: impl Iterator<Item = &'a &'a str>) -> Command {
    // A trial may have put a program of its own there.
    let own = Some(dir.path().join("provost")).filter(|own| own.exists());
    let mut command = Command::new(own.unwrap_or_else(|| PROVOST.into()));
    for (name, folder) in [("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config"), ("XDG_RUNTIME_DIR", "run")] {
        command.env(name, dir.path().join(folder));
    }
    command.env_remove("DBUS_SESSION_BUS_ADDRESS").env_remove("JOURNAL_STREAM");
    command.envs(env.iter().map(|(name, value)| (name, value))).args(args);
    command
}
