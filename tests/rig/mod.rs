//! A real systemd for the tests, in a container of its own: one for most of a test run, others for trials that must be
//! alone, all gone after it.
//!
//! ```text
//! test binary ──pipe──> keeper (its own session, its own mounts) ──pty──> systemd-nspawn ──> systemd
//!      │                                                                                       ▲
//!      └──────── nsenter, setpriv: a command as any user, with or without a terminal ──────────┘
//! ```
//!
//! * [`keeper`] is this same program started again. It mounts an overlay over `/` (or over `$PROVOST_RIG_ROOT`), prepares
//!   it ([`image`], [`users`]), boots it and waits. When the test process goes away, in whatever manner, its pipe closes,
//!   and the keeper removes everything. Should the keeper itself be killed, the next run does ([`sweep`]).
//! * [`run`], [`process`], [`pty`] run commands in it: to the end, in the background, on a terminal.
//! * [`files`], [`units`], [`containers`], [`polkit`] change it. Tests share one system: they use names of their own, and
//!   what has to be changed for everybody (no polkit, say) is an `exclusive` trial.
//! * [`fakes`] are the servers that tests look at: this program again, under the names `ollama`, `llama-server`…

mod containers;
mod enter;
mod exec;
pub mod fakes;
mod files;
mod helper;
mod host;
mod identity;
mod image;
pub mod keeper;
mod net;
mod output;
mod polkit;
mod process;
pub mod program;
mod pty;
mod run;
mod sweep;
mod units;
mod users;
mod wait;

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

pub use host::missing;
#[allow(unused_imports, reason = "names for the trials to come")]
pub use {
    containers::Container,
    identity::Identity,
    output::Output,
    polkit::PolkitRule,
    process::Process,
    pty::Pty,
    run::As,
    users::{PASSWORD, User},
    wait::{eventually, until},
};

/// What every helper answers: an error is a sentence that fails the trial.
pub type Result<T> = std::result::Result<T, libtest_mimic::Failed>;

/// The words of an error.
pub fn words(error: &libtest_mimic::Failed) -> &str {
    error.message().unwrap_or("no reason given")
}

/// A running container of this test process.
pub struct Rig {
    /// Process id, on the host, of the systemd in it.
    leader: u32,
    /// Its root folder, as a handle: paths are resolved inside it, symbolic links included.
    root: OwnedFd,
    /// Where its cgroup tree lies on the host.
    cgroup: PathBuf,
    keeper: Mutex<Option<(Child, ChildStdin)>>,
}

/// The one that most trials share.
static RIG: OnceLock<std::result::Result<Rig, String>> = OnceLock::new();
/// Those that trials have for themselves and that nobody has just now: as many as were needed at one time.
static FREE: Mutex<Vec<Rig>> = Mutex::new(Vec::new());

/// The rig that is shared, booted at the first call; an error is why it could not be.
pub fn get() -> std::result::Result<&'static Rig, &'static str> {
    RIG.get_or_init(|| Rig::boot().map_err(|e| words(&e).to_owned())).as_ref().map_err(String::as_str)
}

/// Runs `body` on a rig that nobody else uses meanwhile. Whoever comes after an error gets another one.
pub fn alone<T>(body: impl FnOnce(&Rig) -> Result<T>) -> Result<T> {
    let rig = free_or_new()?;
    let done = body(&rig)?;
    FREE.lock().unwrap_or_else(|e| e.into_inner()).push(rig);
    Ok(done)
}

/// The same, and nobody gets that rig afterwards.
pub fn used_up<T>(body: impl FnOnce(&Rig) -> Result<T>) -> Result<T> {
    body(&free_or_new()?)
}

fn free_or_new() -> Result<Rig> {
    let free = FREE.lock().unwrap_or_else(|e| e.into_inner()).pop();
    free.map_or_else(Rig::boot, Ok)
}

/// Ends the rigs that there are, and waits until nothing of them is left.
pub fn shut_down() {
    if let Some(Ok(rig)) = RIG.get() {
        rig.end();
    }
    FREE.lock().unwrap_or_else(|e| e.into_inner()).clear();
}

impl Rig {
    /// Starts a keeper and waits until systemd in it has finished to boot. The keeper itself gives up after a minute.
    fn boot() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PROVOST_RIG_ROOT", std::env::var_os("PROVOST_RIG_ROOT").unwrap_or_default())
            .env(keeper::ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipe = child.stdin.take().ok_or("no pipe to the keeper")?;
        let lines = BufReader::new(child.stdout.take().ok_or("no pipe from the keeper")?).lines();
        let mut told = keeper::Told::default();
        for line in lines {
            if told.take(&line?) {
                break;
            }
        }
        let leader = told.ready()?;
        let root = rustix::fs::open(
            format!("/proc/{leader}/root"),
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )?;
        let cgroup = host::payload_of(leader)?;
        Ok(Self { leader, root, cgroup, keeper: Mutex::new(Some((child, pipe))) })
    }

    fn end(&self) {
        if let Some((mut child, pipe)) = self.keeper.lock().unwrap_or_else(|e| e.into_inner()).take() {
            drop(pipe);
            if !child.wait().is_ok_and(|status| status.success()) {
                sweep::left_overs();
            }
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.end();
    }
}
