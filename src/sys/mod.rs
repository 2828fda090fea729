//! The only unsafe code: what the kernel offers and no safe crate has.
//!
//! No policy lives here, and nothing that could be written safely elsewhere.

#![allow(unsafe_code, reason = "the one module for it; every block says why it is sound")]

pub(crate) mod pidfd;
pub(crate) mod spawn;

use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::Pid;

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
