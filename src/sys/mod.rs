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

/// `F_SETSIG` of fcntl(2), which the crate has not for every C library; hppa, where it is another, is none of ours.
const F_SETSIG: libc::c_int = 10;

/// Whether somebody has this file open for writing, which keeps it from being executed. Known of what belongs to the
/// user of this process, and to who has CAP_LEASE; of the rest `false` is said.
pub(crate) fn is_written_to(file: &std::fs::File) -> bool {
    // Who opens it meanwhile breaks the lease: its holder is sent a signal, and SIGIO would end it. This one is ignored.
    // SAFETY: it takes three numbers, and is of this open file alone.
    if unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) } == -1 {
        return false;
    }
    // SAFETY: as above. The lease it may make goes when the file is closed, and is given back before.
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

/// Runs this test once more, in a process of its own, and expects it to pass there; `true` there.
#[cfg(test)]
pub(crate) fn in_own_process(test: &str) -> bool {
    const HERE: &str = "PROVOST_TEST_HERE";
    if std::env::var_os(HERE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("a test is a program");
    let output = std::process::Command::new(program).args(["--exact", test, "--nocapture"]).env(HERE, "1").output();
    let output = output.expect("it can be executed once more");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    false
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// It may be ended by a signal.
    #[test]
    fn who_opens_a_file_that_is_looked_at_ends_nobody() {
        if !in_own_process("sys::tests::who_opens_a_file_that_is_looked_at_ends_nobody") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let writer = File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        assert!(is_written_to(&file));
        drop(writer);
        assert!(!is_written_to(&file));
        std::thread::scope(|scope| {
            let opener =
                scope.spawn(|| (0..50_000).for_each(|_| drop(File::options().write(true).open(&path).unwrap())));
            while !opener.is_finished() {
                is_written_to(&file);
            }
        });
    }
}
