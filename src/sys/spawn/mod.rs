//! Starts programs as children that can be held back: made, known by a pidfd, recorded, and only
//! then allowed to execute.
//!
//! Everything that needs memory is prepared before (`prepared`); the child itself (`child`) makes
//! system calls and nothing else; `fork` makes it, in a process of many files from the thread of
//! `maker`. What went wrong in the child comes back over a
//! pipe that closes when the program is executed, with the step at which it happened.

mod child;
mod fork;
mod maker;
mod prepared;
mod raw;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::Interest;

use super::pidfd::PidFd;
use crate::model::service::Exit;

pub(crate) use prepared::user;
use report::Report;

/// What is to be executed, and as what.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    /// The file, absolute: nothing is searched for.
    pub(crate) path: &'a Path,
    /// All words, the first is the name that the program sees.
    pub(crate) argv: &'a [String],
    /// The whole environment as `NAME=VALUE`; `None`: that of this process.
    pub(crate) env: Option<Vec<String>>,
    /// The folder; `None`: that of this process.
    pub(crate) cwd: Option<&'a Path>,
    /// Standard output.
    pub(crate) stdout: BorrowedFd<'a>,
    /// Standard error.
    pub(crate) stderr: BorrowedFd<'a>,
    /// The limit of open files, soft and hard.
    pub(crate) nofile: Option<u64>,
    /// The soft limit of open files alone, where `nofile` names none.
    pub(crate) soft_nofile: Option<u64>,
    /// The nice value.
    pub(crate) nice: Option<i32>,
    /// The value in oom_score_adj.
    pub(crate) oom_score_adjust: Option<i32>,
    /// Another user, whom only root can become.
    pub(crate) user: Option<User>,
    /// The folder of the control group (version 2) that it is to be born in.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
}

impl<'a> Program<'a> {
    /// A program with everything else as this process has it.
    pub(crate) fn new(
        path: &'a Path,
        argv: &'a [String],
        stdout: BorrowedFd<'a>,
        stderr: BorrowedFd<'a>,
    ) -> Program<'a> {
        let none = (None, None, None);
        Program {
            path,
            argv,
            env: None,
            cwd: None,
            stdout,
            stderr,
            nofile: none.0,
            soft_nofile: None,
            nice: none.1,
            oom_score_adjust: none.2,
            user: None,
            cgroup: None,
        }
    }
}

/// A user with all groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// The steps of a child on its way to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Session, signals, descriptors.
    Setup = 1,
    /// Its control group.
    Cgroup,
    /// The limit of open files.
    Nofile,
    /// The nice value.
    Nice,
    /// oom_score_adj.
    OomScore,
    /// The user and groups.
    User,
    /// The folder.
    Cwd,
    /// execve(2).
    Exec,
}

impl Stage {
    const ALL: [Self; 8] =
        [Self::Setup, Self::Cgroup, Self::Nofile, Self::Nice, Self::OomScore, Self::User, Self::Cwd, Self::Exec];
}

/// What went wrong in the child. Limits that could not be set are no reason not to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// At which step.
    pub(crate) stage: Stage,
    /// The kernel's answer.
    pub(crate) errno: Errno,
    /// Whether the program was not executed because of it.
    pub(crate) fatal: bool,
}

/// One message on the report pipe: the step, whether it is fatal, the errno. Far shorter than what
/// a pipe takes in one piece.
const MESSAGE: usize = 8;

impl Fault {
    fn read(message: &[u8; MESSAGE]) -> Option<Self> {
        let [stage, fatal, _, _, errno @ ..] = *message;
        let stage = Stage::ALL.into_iter().find(|s| *s as u8 == stage)?;
        Some(Self { stage, errno: Errno::from_raw_os_error(i32::from_ne_bytes(errno)), fatal: fatal != 0 })
    }
}

/// Children that somebody in this process waits for, so that whoever reaps strays leaves them.
static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Whether somebody waits for this child.
pub(crate) fn is_own(pid: u32) -> bool {
    OWN.lock().is_ok_and(|own| own.contains(&pid))
}

/// As long as this lives, the child is its holder's to wait for.
#[derive(Debug)]
pub(crate) struct Own(u32);

impl Own {
    /// Of a child that this process made, or made before it executed itself anew.
    pub(crate) fn new(pid: u32) -> Self {
        if let Ok(mut own) = OWN.lock() {
            own.insert(pid);
        }
        Self(pid)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Ok(mut own) = OWN.lock() {
            own.remove(&self.0);
        }
    }
}

/// How a child ends that was never allowed to execute its program. Hardly a program's own.
pub(crate) const NEVER_RELEASED: i32 = 213;

/// A child that exists and has not executed its program yet: it waits to be released. If this is
/// dropped, or its holder dies, the child ends without ever having run the program.
#[derive(Debug)]
pub(crate) struct Held {
    pid: u32,
    pidfd: PidFd,
    own: Own,
    gate: File,
    report: Report,
}

/// Makes a child. The error is that of the clone, or says which word cannot be passed.
pub(crate) fn spawn(program: &Program<'_>) -> io::Result<Held> {
    let mut shared = Box::new(fork::Shared::new(prepared::Prepared::new(program)?));
    let (wait, gate) = pipe_with(PipeFlags::CLOEXEC)?;
    let (report, tell) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let Program { stdout, stderr, cgroup, .. } = *program;
    let fds = fork::Fds { stdout, stderr, gate: wait.as_fd(), report: tell.as_fd(), cgroup };
    let (shared, made) = match maker::for_many(tell.as_fd()) {
        Some(maker) => maker.lock().unwrap_or_else(PoisonError::into_inner).make(shared, &fds),
        None => {
            let made = fork::fork(&mut shared, &fds);
            (Some(shared), made)
        }
    };
    drop((wait, tell));
    let report = Report::new(report, shared);
    let fork::Made { pid, pidfd, outside } = match made {
        Ok(made) => made,
        Err(error) => {
            // If there is a child after all, this ends it, and with it the report.
            drop(gate);
            return Err(error);
        }
    };
    if let Some(error) = outside {
        tracing::debug!("no clone into the control group: {error}");
    }
    Ok(Held { pid, pidfd, own: Own::new(pid), gate: gate.into(), report })
}

impl Held {
    /// The process id, which is also that of the program once it runs.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The process.
    pub(crate) fn pidfd(&self) -> &PidFd {
        &self.pidfd
    }

    /// Lets it end without having executed the program; it is still to be waited for.
    pub(crate) fn abandon(self) -> (PidFd, Own) {
        (self.pidfd, self.own)
    }

    /// Lets it execute the program. Waits until it has, or could not; for the program itself
    /// nobody waits.
    pub(crate) async fn release(self) -> io::Result<(PidFd, Own, Vec<Fault>)> {
        let (pidfd, own, mut report) = self.open();
        while !report.take()? {
            super::ready(report.as_fd(), Interest::READABLE).await?;
        }
        Ok((pidfd, own, report.found()))
    }

    /// The same for who has no runtime.
    fn release_now(self) -> io::Result<(PidFd, Own, Vec<Fault>)> {
        let (pidfd, own, mut report) = self.open();
        while !report.take()? {
            report.wait(None)?;
        }
        Ok((pidfd, own, report.found()))
    }

    fn open(mut self) -> (PidFd, Own, Report) {
        // A child that was killed meanwhile is no error here: its end tells.
        let _ = self.gate.write_all(&[1]);
        (self.pidfd, self.own, self.report)
    }
}

/// A child of this process that was started and is nobody else's to wait for.
#[derive(Debug)]
pub(crate) struct Child {
    pid: u32,
    pidfd: PidFd,
    _own: Own,
    exit: Option<Exit>,
}

impl Child {
    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.pid
    }

    /// Waits until it has ended, and for it. Needs a tokio runtime with I/O.
    pub(crate) async fn ended(&self) {
        if self.pidfd.ended().await.is_ok() {
            let _its_exit_is_of_no_use = self.pidfd.reap();
        }
    }

    /// How it ended; `None` while it runs.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        if self.exit.is_none() {
            self.exit = self.pidfd.reap()?;
        }
        Ok(self.exit)
    }
}

/// Makes a child that will execute the command with the caller's environment, in a session of its
/// own, with its output appended to `log` and nothing to read.
pub(crate) fn detached(path: &Path, argv: &[String], log: &File) -> io::Result<Held> {
    spawn(&Program::new(path, argv, log.as_fd(), log.as_fd()))
}

impl Held {
    /// Lets it execute the program; the error is that of execve(2).
    pub(crate) fn run(self) -> io::Result<Child> {
        let pid = self.pid;
        let (pidfd, own, faults) = self.release_now()?;
        match faults.into_iter().find(|fault| fault.fatal) {
            Some(fault) => Err(fault.errno.into()),
            None => Ok(Child { pid, pidfd, _own: own, exit: None }),
        }
    }
}
