//! Which processes the caller may signal, and who they are.

use std::collections::BTreeSet;

use super::super::observer::Observer;
use crate::gather::Gather as _;
use crate::model::{Identity, Process, SignalAnswer};
use crate::sys::pidfd::PidFd;

/// At most so many processes of one owner are asked whether they may be signalled.
const MOST_SIGNALS: usize = 2048;

/// What the kernel says to signal 0, for everything that a signal could be meant for. Completes the
/// identity of each with the inode of its pidfd: start times have a grain in which a pid can come
/// round again.
pub(in crate::observe) fn ask_signals(
    observer: &Observer,
    processes: &mut [Process],
    matched: &[u32],
    tree: &[u32],
) -> Vec<(Identity, SignalAnswer)> {
    let meant: BTreeSet<u32> = matched.iter().chain(tree).copied().gather();
    let asked = processes.iter_mut().filter(|p| meant.contains(&p.pid()) && !p.kernel_thread).take(MOST_SIGNALS);
    asked
        .map(|process| {
            let answer = ask_signal(observer, process);
            (process.identity, answer)
        })
        .collect()
}

fn ask_signal(observer: &Observer, process: &mut Process) -> SignalAnswer {
    let Ok(pidfd) = PidFd::open(process.pid()) else { return SignalAnswer::Gone };
    let started = observer.proc().stat(process.pid()).map(|s| s.start_ticks);
    if started.ok() != Some(process.identity.start_ticks) {
        return SignalAnswer::Gone;
    }
    process.identity.pidfd_inode = pidfd.inode();
    pidfd.test()
}
