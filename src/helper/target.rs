//! A process by its pidfd, and what the kernel says of it: nothing else is believed.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, OFlags, StatxFlags};

use super::HelperError;
use crate::model::Signal;
use crate::observe::{ProcFs, ReadError};
use crate::sys::pidfd::PidFd;

/// What was read of a process: what polkit is told, and what must still be so when the signal is
/// sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
    /// Real, effective, saved, file system.
    pub(super) uids: [u32; 4],
    /// The path of its executable.
    pub(super) exe: Option<String>,
    /// Device and inode of that: another file at the same path is another program.
    exe_file: Option<(u64, u64)>,
    pub(super) cgroup: Option<String>,
    /// Whether it is in our user namespace; `None` where that cannot be seen.
    pub(super) own_users: Option<bool>,
    pub(super) kernel_thread: bool,
}

impl Seen {
    /// Whose process it is.
    pub(super) fn uid(&self) -> u32 {
        self.uids[1]
    }

    /// The user that it is said to be of: root, if root's rights are in it.
    pub(super) fn shown_uid(&self) -> u32 {
        if self.is_roots() { 0 } else { self.uid() }
    }

    /// Whether root's rights are in it in any way.
    pub(super) fn is_roots(&self) -> bool {
        self.uids.contains(&0)
    }

    /// Whether it is one user's alone. What a setuid program runs is two users'.
    pub(super) fn is_of_one(&self) -> bool {
        self.is_of(self.uids[0])
    }

    /// Whether this user may signal it without anybody's help, and it is nobody else's in any way.
    pub(super) fn is_of(&self, uid: u32) -> bool {
        self.uids == [uid; 4]
    }
}

/// A process that is held.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) pidfd: PidFd,
    pub(super) seen: Seen,
    /// The kernel's name for it, which it may change at any time.
    pub(super) comm: String,
}

impl Target {
    /// Takes a descriptor that must be a pidfd of a whole process that lives.
    pub(super) fn hold(proc: &ProcFs, fd: OwnedFd) -> Result<Self, HelperError> {
        check_kind(&fd)?;
        Self::of(proc, PidFd::from(fd))
    }

    /// The same for a pidfd of our own.
    pub(super) fn of(proc: &ProcFs, pidfd: PidFd) -> Result<Self, HelperError> {
        let (seen, comm) = look(proc, &pidfd)?;
        Ok(Self { pidfd, seen, comm })
    }

    /// Whether it is still what was seen. It may have ended, or execute another program, or have
    /// become another user, while polkit was asked.
    pub(super) fn is_unchanged(&self, proc: &ProcFs) -> Result<(), HelperError> {
        let (now, _) = look(proc, &self.pidfd)?;
        if now == self.seen {
            return Ok(());
        }
        let pid = self.seen.pid;
        let what = match () {
            () if now.uids != self.seen.uids => "has become another user",
            () if now.cgroup != self.seen.cgroup => "has moved to another unit",
            () => "executes another program",
        };
        tracing::warn!(pid, "not signalled: it {what} since it was approved ({:?}, now {now:?})", self.seen);
        Err(HelperError::Changed(format!("process {pid} {what} since this was approved; nothing was sent")))
    }

    /// Sends a signal; false if it has ended.
    pub(super) fn send(&self, signal: Signal) -> Result<bool, HelperError> {
        let pid = self.seen.pid;
        match self.pidfd.signal(signal.number()) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(false),
            Err(error) => Err(HelperError::Failed(format!("{signal} to {pid}: {error}"))),
        }
    }
}

fn wrong(why: &str) -> HelperError {
    HelperError::InvalidArgs(format!("this is no descriptor of a process: {why}"))
}

/// A descriptor that pidfd_open(2) made for a whole process. The kernel would take others for some
/// calls: a folder of /proc, a pidfd of one thread.
fn check_kind(fd: &OwnedFd) -> Result<(), HelperError> {
    let flags = rustix::fs::fcntl_getfl(fd).map_err(|error| wrong(&error.to_string()))?;
    if flags.contains(OFlags::PATH) {
        return Err(wrong("it is open as a path only"));
    }
    // `PIDFD_THREAD` is `O_EXCL`: signals through it go to one thread.
    if flags.contains(OFlags::EXCL) {
        return Err(HelperError::InvalidArgs("this is a descriptor of a thread, not of a process".to_owned()));
    }
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let kind = link.ok().and_then(|link| link.to_str().map(str::to_owned)).unwrap_or_default();
    // Files have paths, which begin with a slash.
    if kind != "anon_inode:[pidfd]" && !kind.starts_with("pidfd:[") {
        return Err(wrong(&format!("it is {}", crate::text::clip(&kind))));
    }
    Ok(())
}

/// The pid behind a pidfd, in our pid namespace, by /proc/self/fdinfo.
fn pid_of(fd: impl AsFd) -> Result<u32, HelperError> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd()))
        .map_err(|error| wrong(&error.to_string()))?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:")).map(str::trim);
    match number.and_then(|n| n.parse::<i64>().ok()) {
        Some(-1) => Err(HelperError::NoSuchProcess("the process has ended".to_owned())),
        // Of a pid namespace that we do not see into.
        Some(0) => Err(HelperError::NotPermitted("the process is not one of this host's namespace".to_owned())),
        Some(pid) => u32::try_from(pid).map_err(|_| wrong("its pid is none")),
        None => Err(wrong("it has no pid")),
    }
}

/// Reads everything of the process behind a pidfd. That the pid was its own all the while is sure,
/// because it lives at the end.
fn look(proc: &ProcFs, pidfd: &PidFd) -> Result<(Seen, String), HelperError> {
    let pid = pid_of(pidfd)?;
    let gone = || HelperError::NoSuchProcess(format!("process {pid} has ended"));
    for _ in 0..4 {
        let before = uids(pid);
        // Not its command line: whoever has it can keep those waiting who read it.
        let process = match proc.without_words(pid) {
            Ok(process) => process,
            Err(ReadError::Thread { .. }) => {
                return Err(HelperError::InvalidArgs(format!("{pid} is a thread, not a process")));
            }
            Err(ReadError::Gone { .. }) => return Err(gone()),
            Err(error) => return Err(HelperError::Failed(error.to_string())),
        };
        let exe_file = exe_file(pid);
        let own_users = users_of("self").zip(users_of(&pid.to_string())).map(|(own, its)| own == its);
        // What it was before and what it is now must not be mixed: it may execute a program meanwhile.
        let still = proc.without_words(pid).ok().map(|now| now.exe);
        let after = uids(pid);
        // A process whose main thread alone has ended looks like a zombie, and lives.
        if !pidfd.is_alive() {
            return Err(gone());
        }
        let Some(uids) = after else { return Err(HelperError::Failed(format!("process {pid} cannot be read"))) };
        if before != after || still.as_ref() != Some(&process.exe) {
            continue;
        }
        let seen = Seen {
            pid,
            start_ticks: process.identity.start_ticks,
            uids,
            exe: process.exe,
            exe_file,
            cgroup: process.cgroup,
            own_users,
            kernel_thread: process.kernel_thread,
        };
        return Ok((seen, process.comm));
    }
    Err(HelperError::Changed(format!("process {pid} changes faster than it can be looked at")))
}

/// The device and inode of what a process executes, as the kernel has them: a file system that is in
/// its user's hands (FUSE) is not asked, and cannot keep us waiting.
fn exe_file(pid: u32) -> Option<(u64, u64)> {
    let path = format!("/proc/{pid}/exe");
    let file = rustix::fs::statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO).ok()?;
    Some((u64::from(file.stx_dev_major) << 32 | u64::from(file.stx_dev_minor), file.stx_ino))
}

fn uids(pid: u32) -> Option<[u32; 4]> {
    let text = std::fs::read(format!("/proc/{pid}/status")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // A comm cannot begin a line: the kernel escapes newlines.
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let all = line.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>().ok()?;
    all.try_into().ok()
}

fn users_of(pid: &str) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/user")).ok()
}

#[cfg(test)]
#[allow(clippy::zombie_processes, reason = "the tests end and reap what they start")]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn child() -> Child {
        Command::new("cat").stdin(Stdio::piped()).spawn().unwrap()
    }

    fn hold(fd: impl Into<OwnedFd>) -> Result<Target, HelperError> {
        Target::hold(&ProcFs::host().unwrap(), fd.into())
    }

    #[test]
    fn a_process_is_seen_as_the_kernel_has_it() {
        let mut child = child();
        let proc = ProcFs::host().unwrap();
        let target = hold(PidFd::open(child.id()).unwrap()).unwrap();
        assert_eq!(target.seen.pid, child.id());
        assert!(target.seen.is_of(rustix::process::getuid().as_raw()) && !target.seen.kernel_thread);
        assert_eq!(target.seen.own_users, Some(true));
        target.is_unchanged(&proc).unwrap();
        child.kill().unwrap();
        // A zombie has ended, and so has one that was waited for.
        target.pidfd.signal(0).unwrap();
        let mut fds = [rustix::event::PollFd::new(&target.pidfd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, None).unwrap();
        assert!(matches!(target.is_unchanged(&proc), Err(HelperError::NoSuchProcess(_))));
        child.wait().unwrap();
        assert!(matches!(target.is_unchanged(&proc), Err(HelperError::NoSuchProcess(_))));
        assert!(!target.send(Signal::TERM).unwrap());
    }

    #[test]
    fn a_process_lives_without_its_main_thread() {
        // Ends its main thread alone: exit(2) by its number.
        let number = nix::libc::SYS_exit;
        let script = format!(
            "import ctypes, sys, threading\n\
             threading.Thread(target=sys.stdin.read).start()\n\
             ctypes.CDLL(None).syscall({number}, 0)"
        );
        let Ok(mut child) = Command::new("python3").args(["-c", &script]).stdin(Stdio::piped()).spawn() else { return };
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        while !stat().contains(") Z ") {
            std::thread::yield_now();
        }
        let pidfd = PidFd::open(child.id()).unwrap();
        assert!(pidfd.is_alive());
        let target = hold(pidfd).unwrap();
        target.is_unchanged(&ProcFs::host().unwrap()).unwrap();
        assert!(target.send(Signal::KILL).unwrap());
        child.wait().unwrap();
    }

    #[test]
    fn another_program_is_a_change() {
        let mut shell = Command::new("sh")
            .args(["-c", "read x; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let proc = ProcFs::host().unwrap();
        let target = hold(PidFd::open(shell.id()).unwrap()).unwrap();
        std::io::Write::write_all(shell.stdin.as_mut().unwrap(), b"\n").unwrap();
        while proc.comm(shell.id()).unwrap() != "cat" {
            std::thread::yield_now();
        }
        let error = target.is_unchanged(&proc).unwrap_err();
        assert!(matches!(error, HelperError::Changed(_)), "{error}");
        shell.kill().unwrap();
        shell.wait().unwrap();
    }

    #[test]
    fn other_descriptors_are_none_of_processes() {
        let own = std::process::id();
        let open = |flags: OFlags, path: &str| rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap();
        let folder = open(OFlags::DIRECTORY, &format!("/proc/{own}"));
        let pidfd = PidFd::open(own).unwrap();
        let path = open(OFlags::PATH, &format!("/proc/self/fd/{}", pidfd.as_fd().as_raw_fd()));
        let file = open(OFlags::RDONLY, "/etc/passwd");
        let (pipe, _other) = rustix::pipe::pipe().unwrap();
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        for fd in [folder, path, file, pipe, socket.into()] {
            let error = hold(fd).unwrap_err();
            assert!(matches!(error, HelperError::InvalidArgs(_)), "{error}");
        }
    }
}
