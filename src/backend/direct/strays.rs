//! The daemon as the reaper of what loses its parent (prctl(2), PR_SET_CHILD_SUBREAPER).

use std::future::Future;
use std::io;
use std::rc::Weak;
use std::time::Duration;

use nix::sys::wait::{self, WaitPidFlag};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::signal::unix::{SignalKind, signal};

use super::Inner;
use crate::model::Identity;
use crate::model::service::Exit;
use crate::observe::ProcFs;
use crate::sys::pidfd::{PidFd, exit_by};

/// Who lost its parent becomes a child of this process, and not of PID 1.
pub(super) fn become_reaper() -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true).map_err(io::Error::from)
}

/// How a process ended. Of what is no child of ours the kernel tells until its parent has waited
/// for it, and (6.15 and later) again a moment after.
pub(super) async fn exit_of(inner: &Weak<Inner>, identity: &Identity, pidfd: &PidFd, adopted: bool) -> Exit {
    match pidfd.reap() {
        Ok(Some(exit)) => return exit,
        Ok(None) => return Exit::Unknown,
        Err(error) if !adopted => tracing::debug!("not waited for: {error}"),
        Err(_) => {}
    }
    for _ in 0..10 {
        let unwaited = || inner.upgrade()?.proc.wait_status(identity).map(exit_by);
        if let Some(exit) = pidfd.exit().or_else(unwaited) {
            return exit;
        }
        // Its parent has been told, and waits for it in a moment; nothing tells us of that.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Exit::Unknown
}

/// Waits for a child that is about to end.
pub(super) async fn reap_one(pidfd: &PidFd) {
    let _ = pidfd.ended().await;
    let _ = pidfd.reap();
}

/// The children of this process, of all its threads.
pub(super) fn children(proc: &ProcFs) -> Vec<u32> {
    proc.children(std::process::id()).unwrap_or_default()
}

/// Waits for strays that have ended, as long as the backend lives. Children that somebody else in
/// this process waits for (a check that is a command) share our session; services have their own.
pub(super) fn reap(inner: Weak<Inner>) -> io::Result<impl Future<Output = ()>> {
    let mut ends = signal(SignalKind::child())?;
    Ok(async move {
        while ends.recv().await.is_some() {
            // First come those that wait for main processes.
            tokio::task::yield_now().await;
            let Some(inner) = inner.upgrade() else { return };
            if inner.settled.get() {
                round(&inner);
            }
        }
    })
}

fn round(inner: &Inner) {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    // Nothing to wait for is the usual case, and costs one call.
    while let Some(first) = wait::waitid(wait::Id::All, peek).ok().and_then(|status| status.pid()) {
        if let Some(pid) = stray(inner, first.as_raw().unsigned_abs()) {
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            continue;
        }
        // It is somebody else's; behind it there may be others.
        for pid in children(&inner.proc).into_iter().filter_map(|pid| stray(inner, pid)) {
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
        return;
    }
}

/// The pid, if it is that of a child which is nobody's to wait for.
fn stray(inner: &Inner, pid: u32) -> Option<Pid> {
    if crate::sys::spawn::is_own(pid) {
        return None;
    }
    let stat = inner.proc.stat(pid).ok()?;
    let own = rustix::process::getsid(None).map(|sid| sid.as_raw_nonzero().get() as u32);
    // A child that is being started is in our session, too, until it has one of its own.
    let foreign = own != Ok(stat.sid) || own == Err(Errno::SRCH);
    foreign.then(|| crate::sys::pid(pid)).flatten()
}
