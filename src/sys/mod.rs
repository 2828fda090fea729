//! The only unsafe code: what the kernel offers and no safe crate has.
//!
//! No policy lives here, and nothing that could be written safely elsewhere.

#![allow(unsafe_code, reason = "the one module for it; every block says why it is sound")]

pub(crate) mod inherit;
pub(crate) mod memory;
pub(crate) mod pidfd;
#[cfg(test)]
#[path = "../../tests/rig/program.rs"]
#[allow(unreachable_pub, reason = "the trials have it, too")]
pub(crate) mod program;
pub(crate) mod spawn;
pub(crate) mod watched;

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::PathBuf;

use nix::libc;
use rustix::io::Errno;
use rustix::process::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits until a descriptor is ready. Needs a tokio runtime with I/O.
pub(crate) async fn ready(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<()> {
    // SAFETY: this future borrows the descriptor: it stays open, and the same one, for longer than
    // the registration lives.
    let fd = unsafe { AsyncFd::register_with_interest(fd.as_raw_fd(), interest) }.map_err(io::Error::from)?;
    fd.ready(interest).await.map(drop)
}

/// Whether somebody has this file open for writing, which keeps it from being executed. Known to its owner and to root.
pub(crate) fn is_written_to(file: &std::fs::File) -> bool {
    // SAFETY: it takes three numbers. The lease it may make goes when the file is closed, and is given back before.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) };
    let refused = result == -1 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock;
    if result == 0 {
        // SAFETY: as above.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    }
    refused
}

/// A pid as rustix takes it; `None` for 0 and for what no pid can be.
pub(crate) fn pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Whether some task has this id, asked of the kernel and not of /proc: with `hidepid` the two
/// differ.
pub(crate) fn exists(number: u32) -> bool {
    pid(number).is_some_and(|p| rustix::process::test_kill_process(p) != Err(Errno::SRCH))
}

/// Where the PATH has a program; a name with a slash is a path itself.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let runs = |path: &PathBuf| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(runs);
    }
    let path = crate::observe::env("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    path.split(':').filter(|dir| dir.starts_with('/')).map(|dir| PathBuf::from(dir).join(name)).find(runs)
}
