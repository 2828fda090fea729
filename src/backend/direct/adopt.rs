//! What an earlier daemon started, or this one before it executed itself anew.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::rc::Rc;
use std::time::Duration;

use super::cgroup::Cgroups;
use super::tree::MARK;
use super::{Inner, Run, Said, containment};
use crate::backend::{Adoption, Marked, Placed};
use crate::model::service::{Exit, ServiceState};
use crate::model::{Identity, ProcState, ServiceId};
use crate::registry::Record;
use crate::sys::pidfd::PidFd;
use crate::sys::spawn::{NEVER_RELEASED, Own};

/// How long a child may take to end whose daemon is gone and has not released it, or to execute
/// its program if it has.
const AT_THE_GATE: Duration = Duration::from_secs(1);

/// Takes a service over, if the process of its record is still that process. One whose record names
/// none is found in its control group.
pub(super) async fn adopt(inner: &Rc<Inner>, record: &Record, number: u64) -> io::Result<Adoption> {
    let Some(identity) = record.identity.or_else(|| oldest_of_group(inner, &record.id)) else {
        return Ok(Adoption::NeverStarted);
    };
    if let Err(error) = inner.output.resume(&record.id) {
        tracing::warn!(id = %record.id, "its output is not captured: {error}");
    }
    let namespace = std::fs::metadata("/proc/self/ns/pid").ok().map(|found| found.ino());
    let elsewhere = record.pid_namespace.zip(namespace).is_some_and(|(then, now)| then != now);
    let found = if elsewhere { None } else { same(inner, &identity) };
    let Some(pidfd) = found else {
        remember(inner, record, number, None);
        return Ok(Adoption::Ended(Exit::Unknown));
    };
    let adopted = !pidfd.is_child();
    let own = (!adopted).then(|| Own::new(identity.pid));
    let starting = record.state == ServiceState::Starting;
    if starting {
        leave_the_gate(inner, identity.pid, &pidfd).await;
    }
    // A child that ended while this process was executing itself is still there to be waited for.
    if !pidfd.is_alive() {
        let exit = match pidfd.reap() {
            Ok(exit) => exit.unwrap_or(Exit::Unknown),
            Err(_) => super::strays::exit_of(&Rc::downgrade(inner), &identity, &pidfd, adopted).await,
        };
        if starting && exit == Exit::Code(NEVER_RELEASED) {
            return Ok(Adoption::NeverStarted);
        }
        remember(inner, record, number, Some(pidfd));
        return Ok(Adoption::Ended(exit));
    }
    let cgroup = inner.cgroups.as_ref().and_then(|all| all.of(&record.id, identity.pid, &inner.proc));
    let placed =
        Placed { identity: Some(identity), containment: Some(containment(cgroup.as_ref())), ..Placed::default() };
    let ended = Cell::default();
    inner.insert(
        &record.id,
        Run {
            number,
            identity,
            session: inner.proc.stat(identity.pid).map_or(identity.pid, |stat| stat.sid),
            pidfd: Rc::new(pidfd),
            cgroup,
            adopted,
            ended,
            said: Said::default(),
            watch: None,
        },
    );
    inner.watch(&record.id, own);
    Ok(Adoption::Running(placed))
}

/// Until it has executed its program, a child has the environment of the daemon that made it, and
/// no mark. It is soon known what becomes of it; a program that hides its environment runs.
async fn leave_the_gate(inner: &Inner, pid: u32, pidfd: &PidFd) {
    let decided = async {
        let mut pause = Duration::from_millis(1);
        while pidfd.is_alive() && super::look::service_of(inner, pid).is_none() {
            tokio::select! {
                _ = pidfd.ended() => {}
                () = tokio::time::sleep(pause) => pause *= 2,
            }
        }
    };
    let _hidden = tokio::time::timeout(AT_THE_GATE, decided).await;
}

/// Whoever has been in the control group of a service for longest: what it started itself is younger.
fn oldest_of_group(inner: &Inner, id: &ServiceId) -> Option<Identity> {
    let members = inner.cgroups.as_ref()?.existing(id)?.members();
    let living = members.into_iter().filter_map(|pid| Some(inner.proc.identify(pid).ok()?.0));
    living.min_by_key(|identity| (identity.start_ticks, identity.pid))
}

/// What is left of a run that has ended is still to be found by its mark.
fn remember(inner: &Rc<Inner>, record: &Record, number: u64, pidfd: Option<PidFd>) {
    let (Some(identity), Some(pidfd)) = (record.identity, pidfd) else { return };
    let cgroup = inner.cgroups.as_ref().and_then(|all| all.existing(&record.id));
    let run = Run {
        number,
        identity,
        session: identity.pid,
        pidfd: Rc::new(pidfd),
        cgroup,
        adopted: true,
        ended: Cell::default(),
        said: Said::default(),
        watch: None,
    };
    inner.runs.borrow_mut().insert(record.id.clone(), run);
}

/// The process, if it is that very one; it may have ended without having been waited for.
fn same(inner: &Inner, identity: &Identity) -> Option<PidFd> {
    let pidfd = PidFd::open(identity.pid).ok()?;
    let start_ticks = inner.proc.stat(identity.pid).ok()?.start_ticks;
    let now = Identity { pid: identity.pid, start_ticks, pidfd_inode: pidfd.inode() };
    now.is(identity).then_some(pidfd)
}

/// Every living process of the host that carries the mark of this instance, or is in a control group
/// that it made, by service. What a unit of the systemd backend holds is that backend's to name.
pub(super) fn marked(inner: &Inner) -> io::Result<Vec<Marked>> {
    let mut found: BTreeMap<ServiceId, Vec<Identity>> = BTreeMap::new();
    let own = std::process::id();
    for pid in inner.proc.pids()?.into_iter().filter(|pid| *pid != own) {
        let Some([Some(service), Some(instance)]) = inner.proc.variables(pid, MARK) else { continue };
        let Ok(id) = service.parse::<ServiceId>() else { continue };
        let in_unit = || inner.proc.cgroup(pid).is_ok_and(|text| text.contains(&format!("/provost-{id}.service")));
        if instance != inner.instance || id.is_glob() || in_unit() {
            continue;
        }
        let Ok(process) = inner.proc.process(pid) else { continue };
        if process.state != ProcState::Zombie
            && let Ok((identity, _)) = inner.proc.identify(pid)
        {
            found.entry(id).or_default().push(identity);
        }
    }
    for (id, members) in inner.cgroups.iter().flat_map(Cgroups::occupied) {
        let known = found.entry(id).or_default();
        let unknown = members.into_iter().filter(|pid| known.iter().all(|identity| identity.pid != *pid));
        let unknown: Vec<Identity> = unknown.filter_map(|pid| Some(inner.proc.identify(pid).ok()?.0)).collect();
        known.extend(unknown);
    }
    found.retain(|_, processes| !processes.is_empty());
    Ok(found.into_iter().map(|(id, processes)| Marked { id, processes, unit: None }).collect())
}
