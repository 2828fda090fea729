//! One signal to one process, and to no other: pidfd first, then identity, then the signal.

use std::io;

use super::{ActError, Done, Outcome};
use crate::model::{Aim, Signal};
use crate::observe::ProcFs;
use crate::sys::pidfd::PidFd;

/// Opens a process that must be the one that was observed.
///
/// The pidfd holds on to the process that has the pid now; if that process then turns out to be
/// the observed one, no later reuse of the pid can redirect a signal.
pub(super) fn open(proc: &ProcFs, aim: &Aim) -> Result<PidFd, ActError> {
    let pid = aim.identity.pid;
    let gone = || ActError::Gone(format!("process {pid} has ended meanwhile"));
    let pidfd = match PidFd::open(pid) {
        Ok(pidfd) => pidfd,
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => return Err(gone()),
        Err(error) => return Err(ActError::Failed(format!("process {pid} cannot be opened: {error}"))),
    };
    if aim.identity.pidfd_inode.is_some() && pidfd.inode() != aim.identity.pidfd_inode {
        return Err(gone());
    }
    let now = proc.process(pid).map_err(|_| gone())?;
    if now.identity.start_ticks != aim.identity.start_ticks || !pidfd.is_alive() {
        return Err(gone());
    }
    if aim.uid.is_some() && now.uid() != aim.uid {
        return Err(ActError::Failed(format!("process {pid} has changed its user since it was looked at; look again")));
    }
    if aim.cgroup.is_some() && now.cgroup != aim.cgroup {
        return Err(ActError::Failed(format!(
            "process {pid} has moved to another unit since it was looked at; look again"
        )));
    }
    Ok(pidfd)
}

/// Sends through the pidfd. A process that has ended is no error: `false`.
pub(crate) fn send_to(pidfd: &PidFd, pid: u32, signal: Signal) -> Result<bool, ActError> {
    tracing::info!(pid, %signal, "signalling");
    match pidfd.signal(signal.number()) {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(nix::libc::ESRCH) => Ok(false),
            Some(nix::libc::EPERM) => Err(not_permitted(pid, signal)),
            _ => Err(failed(pid, signal, &error)),
        },
    }
}

fn not_permitted(pid: u32, signal: Signal) -> ActError {
    ActError::NotPermitted(format!("{signal} to {pid}: the kernel does not permit it"))
}

fn failed(pid: u32, signal: Signal, error: &io::Error) -> ActError {
    ActError::Failed(format!("{signal} to {pid}: {error}"))
}

/// One signal to each of the processes. All are opened and checked before the first is sent.
pub(super) fn send(proc: &ProcFs, processes: &[Aim], signal: Signal) -> Result<Done, ActError> {
    let opened = processes.iter().map(|aim| open(proc, aim).map(|fd| (aim.identity.pid, fd)));
    let opened = opened.collect::<Result<Vec<_>, _>>()?;
    let mut sent = Vec::new();
    for (pid, pidfd) in &opened {
        if send_to(pidfd, *pid, signal)? {
            sent.push(pid.to_string());
        }
    }
    if sent.is_empty() {
        return Err(ActError::Gone("it has ended meanwhile".to_owned()));
    }
    Ok(Done { outcome: Outcome::Signalled, state: format!("{signal} sent to {}", sent.join(", ")) })
}
