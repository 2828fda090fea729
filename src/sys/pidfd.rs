//! A process held by a descriptor: what is sent through it can reach no other.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::model::SignalAnswer;

/// `PIDFS_MAGIC` of linux/magic.h: from 6.9 on every pidfd lives on this filesystem, and its
/// inode number is that of no other process until the next boot. Before, all shared one inode.
const PIDFS_MAGIC: u64 = 0x5049_4446;

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

    /// Waits until it has ended. Needs a tokio runtime with I/O.
    pub(crate) async fn ended(&self) -> io::Result<()> {
        // SAFETY: the descriptor is that of `self`, which this future borrows: it stays open, and
        // the same one, for longer than the registration lives.
        let fd = unsafe { AsyncFd::register_with_interest(self.0.as_raw_fd(), Interest::READABLE) };
        fd.map_err(io::Error::from)?.readable().await.map(drop)
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
