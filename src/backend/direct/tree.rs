//! What belongs to a service: its control group, or the tree of its main process, the children of
//! this process that carry its mark, and what an earlier daemon lost.

use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::Inner;
use super::cgroup::Cgroup;
use super::look::Look;
use crate::act::end::end;
use crate::model::{Aim, Ladder, ProcState, Rung, ServiceId, Signal};
use crate::sys::pidfd::PidFd;

/// How often the tree is gone through until nothing is left of it.
const ROUNDS: usize = 8;
/// How long a killed process may take to end.
const WAIT: Duration = Duration::from_secs(5);

/// The variables of the mark.
pub(super) const MARK: [&str; 2] = ["PROVOST_SERVICE", "PROVOST_INSTANCE_ID"];

/// The living processes of a service, by a look that may be shared with others.
pub(super) fn members(inner: &Rc<Inner>, id: &ServiceId) -> Vec<u32> {
    let look = inner.look(inner.runs.borrow().get(id));
    seen(inner, id, &look)
}

/// The living processes of a service, by this look.
fn seen(inner: &Rc<Inner>, id: &ServiceId, look: &Look) -> Vec<u32> {
    let runs = inner.runs.borrow();
    let run = runs.get(id);
    // Nothing leaves it, whichever daemon made it.
    if let Some(cgroup) = run.and_then(|run| run.cgroup.as_ref()) {
        return cgroup.members();
    }
    // What an earlier daemon has left there may have cleared its environment.
    let group = inner.cgroups.as_ref().filter(|_| run.is_none_or(|run| run.adopted)).and_then(|all| all.existing(id));
    let main = run.map(|run| run.identity.pid);
    let mut roots: Vec<u32> = run.filter(|run| run.pidfd.is_alive()).map(|run| run.identity.pid).into_iter().collect();
    roots.extend(look.left_by(inner, id, main));
    roots.extend(group.iter().flat_map(Cgroup::members));
    if run.is_none_or(|run| run.adopted) {
        roots.extend(look.marked(inner, id));
    }
    drop(runs);
    roots.retain(|pid| is_alive(inner, *pid));
    if roots.is_empty() {
        return roots;
    }
    let mut seen = HashSet::new();
    let mut all = look.tree(inner, &roots);
    all.retain(|pid| seen.insert(*pid) && is_alive(inner, *pid));
    all
}

fn is_alive(inner: &Inner, pid: u32) -> bool {
    inner.proc.stat(pid).is_ok_and(|stat| stat.state != ProcState::Zombie)
}

/// Sends signals to all of a service, one after the other. Who has ended meanwhile needs none.
pub(super) fn signal(inner: &Rc<Inner>, id: &ServiceId, signals: &[Signal]) -> io::Result<()> {
    let mut failed = None;
    let held: Vec<PidFd> =
        members(inner, id).into_iter().filter_map(|pid| Some(inner.proc.identify(pid).ok()?.1)).collect();
    for signal in signals {
        for pidfd in &held {
            failed = send(pidfd, *signal).err().or(failed);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Sends a signal to one process; that it has ended is no error.
pub(super) fn send(pidfd: &PidFd, signal: Signal) -> io::Result<()> {
    match pidfd.signal(signal.number()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error()) => Err(error),
        _ => Ok(()),
    }
}

/// Kills what is left of a service, until nothing is.
pub(super) async fn clear(inner: &Rc<Inner>, id: &ServiceId) -> Result<(), String> {
    for _ in 0..ROUNDS {
        let left = seen(inner, id, &*inner.look_anew().await);
        if left.is_empty() {
            return Ok(());
        }
        // Until now they keep the pipes of their output, and what is in them, alive; from now on
        // nobody does if this process is killed.
        if let Err(error) = inner.output.drain(id) {
            tracing::warn!(%id, "its output is not captured yet: {error}");
        }
        // The kernel ends a whole control group at once, and nothing can be forked out of it.
        let cgroup = inner.runs.borrow().get(id).and_then(|run| run.cgroup.clone());
        if let Some(cgroup) = cgroup
            && cgroup.kill()
        {
            wait_for(inner, &left).await;
        } else {
            let aims: Vec<Aim> = inner.proc.processes(&left).iter().map(Aim::from).collect();
            let ladder = Ladder(vec![Rung { signal: Signal::KILL, wait: WAIT }]);
            if let Err(error) = end(&inner.proc, &aims, &ladder).await {
                tracing::debug!(%id, "{error}");
            }
        }
        let stuck = stuck(inner, &left);
        if !stuck.is_empty() {
            return Err(format!("cannot be killed: {} is in uninterruptible sleep (D)", stuck.join(", ")));
        }
    }
    let left = seen(inner, id, &*inner.look_anew().await);
    if left.is_empty() { Ok(()) } else { Err(format!("cannot be killed: {left:?}")) }
}

async fn wait_for(inner: &Inner, pids: &[u32]) {
    let ends = pids.iter().filter_map(|pid| Some(inner.proc.identify(*pid).ok()?.1));
    let ends = crate::join::join_all(ends.map(|pidfd| async move { pidfd.ended().await.is_ok() }));
    let _ = tokio::time::timeout(WAIT, ends).await;
}

fn stuck(inner: &Inner, pids: &[u32]) -> Vec<String> {
    let all = inner.proc.processes(pids).into_iter();
    all.filter(|p| p.state == ProcState::Uninterruptible).map(|p| p.pid().to_string()).collect()
}
