//! A process held by a descriptor: what is sent through it can reach no other.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, waitid};
use tokio::io::Interest;

use crate::model::SignalAnswer;
use crate::model::service::Exit;

/// `PIDFS_MAGIC` of linux/magic.h: from 6.9 on every pidfd lives on this filesystem, and its
/// inode number is that of no other process until the next boot. Before, all shared one inode.
const PIDFS_MAGIC: u64 = 0x5049_4446;

/// The first version of `struct pidfd_info` of linux/pidfd.h.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroupid: u64,
    /// pid, tgid, ppid, and eight user and group ids.
    ids: [u32; 11],
    exit_code: i32,
}

/// `_IOWR(0xFF, 11, struct pidfd_info)`, of 64 bytes.
const PIDFD_GET_INFO: u32 = 3 << 30 | 64 << 16 | 0xff << 8 | 11;
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// What waitid(2) says of an end.
pub(super) fn exit_of(status: WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

/// What a wait status says of an end: waitpid(2).
pub(crate) fn exit_by(status: i32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code(status >> 8 & 0xff),
        signal => Exit::Signal(signal),
    }
}

/// A process, by pidfd_open(2) (Linux 5.3).
#[derive(Debug)]
pub(crate) struct PidFd(OwnedFd);

impl PidFd {
    /// Opens a process. `ESRCH` where there is none; an id of a thread that leads no process is
    /// `EINVAL` (`ENOENT` on newer kernels).
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let pid = super::pid(pid).ok_or(Errno::SRCH)?;
        Ok(Self(pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// The same process by another descriptor.
    pub(crate) fn again(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// The inode on pidfs, unique until the next boot; `None` where the kernel gives none.
    pub(crate) fn inode(&self) -> Option<u64> {
        let on_pidfs = rustix::fs::fstatfs(&self.0).is_ok_and(|fs| fs.f_type as u64 == PIDFS_MAGIC);
        if on_pidfs { rustix::fs::fstat(&self.0).ok().map(|stat| stat.st_ino) } else { None }
    }

    /// Sends a signal to the process; number 0 sends nothing and tests the permission.
    pub(crate) fn signal(&self, number: i32) -> io::Result<()> {
        // SAFETY: the descriptor is open for as long as `self` is borrowed, a null siginfo is
        // what pidfd_send_signal(2) documents for "as kill(2) does", and no memory is passed.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                number,
                std::ptr::null::<libc::siginfo_t>(),
                0_u32,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Whether the caller may signal it: the kernel's own answer, security modules included.
    /// A zombie is gone, although the kernel takes signals for it.
    pub(crate) fn test(&self) -> SignalAnswer {
        match self.signal(0) {
            Ok(()) if self.is_alive() => SignalAnswer::Allowed,
            Ok(()) => SignalAnswer::Gone,
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => SignalAnswer::Gone,
            Err(_) => SignalAnswer::Denied,
        }
    }

    /// Whether it runs still. A zombie has ended.
    pub(crate) fn is_alive(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        loop {
            match poll(&mut fds, Some(&now)) {
                Err(Errno::INTR) => {}
                Ok(ready) => return ready == 0,
                // No poll, no knowledge: the careful answer is that it may be alive.
                Err(_) => return true,
            }
        }
    }

    /// Waits for a child of this process that has ended: how it ended, and its pid is free. `None`
    /// while it runs; `ECHILD` where it is no child, or was waited for before.
    pub(crate) fn reap(&self) -> io::Result<Option<Exit>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(self.0.as_fd()), options))?;
        Ok(status.map(exit_of))
    }

    /// Whether it is a child of this process that was not waited for.
    pub(crate) fn is_child(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::PidFd(self.0.as_fd()), options).is_ok()
    }

    /// How a process ended that is no child of ours and was waited for by its parent; `None` where
    /// that is not so (yet), and before Linux 6.15.
    pub(crate) fn exit(&self) -> Option<Exit> {
        let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
        // SAFETY: the request says the size of the structure, which is as long as that, and the
        // kernel writes no further.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), PIDFD_GET_INFO as _, &raw mut info) };
        (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(exit_by(info.exit_code))
    }

    /// Waits until it has ended. Needs a tokio runtime with I/O.
    pub(crate) async fn ended(&self) -> io::Result<()> {
        super::ready(self.0.as_fd(), Interest::READABLE).await
    }
}

impl From<OwnedFd> for PidFd {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<PidFd> for OwnedFd {
    fn from(fd: PidFd) -> OwnedFd {
        fd.0
    }
}

#[cfg(test)]
#[allow(clippy::zombie_processes, reason = "the tests end and reap what they start")]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn child() -> std::process::Child {
        Command::new("cat").stdin(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn a_child_is_alive_until_it_ends_even_unreaped() {
        let mut child = child();
        let fd = PidFd::open(child.id()).unwrap();
        assert!(fd.is_alive());
        assert_eq!(fd.test(), SignalAnswer::Allowed);
        fd.signal(9).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(fd.ended()).unwrap();
        assert!(!fd.is_alive(), "a zombie has ended");
        assert_eq!(fd.test(), SignalAnswer::Gone);
        child.wait().unwrap();
        assert_eq!(fd.test(), SignalAnswer::Gone);
        assert_eq!(fd.signal(15).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn the_end_of_somebody_elses_child_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let gate = dir.path().join("gate");
        rustix::fs::mkfifoat(rustix::fs::CWD, &gate, rustix::fs::Mode::RWXU).unwrap();
        // The shell waits for it at once, or only when its input ends.
        for (waits, code) in [("wait", 7), ("read x; wait", 8)] {
            let script = format!("sh -c 'read x < \"$0\"; exit {code}' \"$0\" & echo $!; {waits}");
            let mut shell = Command::new("sh");
            shell.args(["-c", &script]).arg(&gate).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut shell = shell.spawn().unwrap();
            let mut line = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(shell.stdout.take().unwrap()), &mut line).unwrap();
            let proc = crate::observe::ProcFs::host().unwrap();
            let (identity, fd) = proc.identify(line.trim().parse().unwrap()).unwrap();
            assert_eq!((fd.exit(), proc.wait_status(&identity)), (None, None));
            assert_eq!(fd.reap().unwrap_err().raw_os_error(), Some(libc::ECHILD));
            drop(std::fs::File::options().write(true).open(&gate).unwrap());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(fd.ended()).unwrap();
            if waits != "wait" {
                assert_eq!(proc.wait_status(&identity).map(exit_by), Some(Exit::Code(code)), "not waited for");
            }
            drop(shell.stdin.take());
            shell.wait().unwrap();
            assert_eq!(proc.wait_status(&identity), None);
            let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
            let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
            if (numbers.next(), numbers.next()) >= (Some(6), Some(15)) {
                assert_eq!(fd.exit(), Some(Exit::Code(code)), "waited for");
            }
        }
    }

    #[test]
    fn inodes_are_of_one_process_alone() {
        let mut child = child();
        let (one, same) = (PidFd::open(child.id()).unwrap(), PidFd::open(child.id()).unwrap());
        let own = PidFd::open(std::process::id()).unwrap();
        assert_eq!(one.inode(), same.inode());
        if one.inode().is_some() {
            assert_ne!(one.inode(), own.inode());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_is_no_process_does_not_open() {
        for pid in [0, u32::MAX, i32::MAX as u32] {
            assert!(PidFd::open(pid).is_err(), "{pid}");
        }
        assert!(PidFd::open(1).is_ok());
        assert!(super::super::exists(1) && !super::super::exists(0));
    }
}
