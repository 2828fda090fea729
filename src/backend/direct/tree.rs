//! What belongs to a service: its control group, or the tree of its main process, the children of
//! this process that carry its mark, and what an earlier daemon lost.

use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::cgroup::Cgroup;
use super::look::{Look, Seen};
use super::{Inner, Run};
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
    seen_lately(inner, id).into_iter().map(|one| one.pid).collect()
}

fn seen_lately(inner: &Rc<Inner>, id: &ServiceId) -> Vec<Seen> {
    let look = inner.look(inner.runs.borrow().get(id));
    seen(inner, id, &look)
}

/// The living processes of a service, by this look.
fn seen(inner: &Rc<Inner>, id: &ServiceId, look: &Look) -> Vec<Seen> {
    let runs = inner.runs.borrow();
    let run = runs.get(id);
    // Nothing leaves it, whichever daemon made it.
    if let Some(cgroup) = run.and_then(|run| run.cgroup.as_ref()) {
        return numbered(cgroup.members()).collect();
    }
    // What an earlier daemon has left there may have cleared its environment.
    let group = inner.cgroups.as_ref().filter(|_| run.is_none_or(|run| run.adopted)).and_then(|all| all.existing(id));
    let session = run.map(|run| run.session);
    let main_seen = |run: &Run| Seen { pid: run.identity.pid, start_ticks: Some(run.identity.start_ticks) };
    let mut roots: Vec<Seen> = run.filter(|run| run.pidfd.is_alive()).map(main_seen).into_iter().collect();
    roots.extend(look.left_by(inner, id, session));
    roots.extend(numbered(group.iter().flat_map(Cgroup::members)));
    if run.is_none_or(|run| run.adopted) {
        roots.extend(look.marked(inner, id));
    }
    drop(runs);
    roots.retain(|one| is_alive(inner, *one));
    if roots.is_empty() {
        return roots;
    }
    let mut seen = HashSet::new();
    let mut all = look.tree(inner, &roots);
    all.retain(|one| seen.insert(one.pid) && is_alive(inner, *one));
    all
}

/// Whether a process is one of a service: in its control group, or else in its session, or by its parents or mark.
pub(super) fn is_of(inner: &Inner, id: &ServiceId, pid: u32) -> bool {
    let Some((cgroup, session)) = inner.runs.borrow().get(id).map(|run| (run.cgroup.clone(), run.session)) else {
        return false;
    };
    match cgroup {
        Some(cgroup) => cgroup.members().into_iter().any(|member| member == pid),
        None => {
            let of = super::notify::service_of(inner, pid);
            of.as_ref() == Some(id) || of.is_none() && inner.proc.stat(pid).is_ok_and(|stat| stat.sid == session)
        }
    }
}

/// Members of a control group, which tells their numbers alone.
fn numbered(pids: impl IntoIterator<Item = u32>) -> impl Iterator<Item = Seen> {
    pids.into_iter().map(|pid| Seen { pid, start_ticks: None })
}

fn is_alive(inner: &Inner, one: Seen) -> bool {
    inner.proc.stat(one.pid).is_ok_and(|stat| stat.state != ProcState::Zombie && one.is(stat.start_ticks))
}

/// The living processes of a service, held: those that were seen, and not who has their numbers now.
fn held(inner: &Rc<Inner>, id: &ServiceId) -> Vec<PidFd> {
    let hold = |one: Seen| {
        let (identity, pidfd) = inner.proc.identify(one.pid).ok()?;
        one.is(identity.start_ticks).then_some((one.pid, pidfd))
    };
    let held: Vec<(u32, PidFd)> = seen_lately(inner, id).into_iter().filter_map(hold).collect();
    let cgroup = inner.runs.borrow().get(id).and_then(|run| run.cgroup.clone());
    // Who is in the control group after it was opened was meant, or has ended.
    let inside: Option<HashSet<u32>> = cgroup.map(|cgroup| cgroup.members().into_iter().collect());
    let is_meant = |pid: &u32| inside.as_ref().is_none_or(|inside| inside.contains(pid));
    held.into_iter().filter(|(pid, _)| is_meant(pid)).map(|(_, pidfd)| pidfd).collect()
}

/// Sends signals to all of a service, one after the other. Who has ended meanwhile needs none.
pub(super) fn signal(inner: &Rc<Inner>, id: &ServiceId, signals: &[Signal]) -> io::Result<()> {
    let mut failed = None;
    let held = held(inner, id);
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
        let seen = seen(inner, id, &*inner.look_anew().await);
        if seen.is_empty() {
            return Ok(());
        }
        let left: Vec<u32> = seen.iter().map(|one| one.pid).collect();
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
            let mut found = inner.proc.processes(&left);
            found.retain(|p| seen.iter().any(|one| one.pid == p.pid() && one.is(p.identity.start_ticks)));
            let aims: Vec<Aim> = found.iter().map(Aim::from).collect();
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
    let left: Vec<u32> = left.iter().map(|one| one.pid).collect();
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
