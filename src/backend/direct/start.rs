//! One start: a child that is made, recorded, and only then executes its program.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd as _;
use std::rc::Rc;

use super::cgroup::Cgroup;
use super::{Inner, Run, Said, containment};
use crate::backend::{Launch, NO_PROGRAM, Placed, StartError};
use crate::model::Identity;
use crate::sys::spawn::{self, Fault, Held, Own, Program, Stage};

pub(super) async fn start(
    inner: &Rc<Inner>,
    launch: &Launch,
    number: u64,
    record: &dyn Fn(&Placed) -> io::Result<()>,
) -> Result<Placed, StartError> {
    let id = &launch.id;
    let transient = |what: &str, error: &dyn std::fmt::Display| StartError::Transient(format!("{what}: {error}"));
    let unwritable = |what: &str, error: &dyn std::fmt::Display| StartError::Unwritable(format!("{what}: {error}"));
    let (out, err) = inner.output.open(id).map_err(|error| unwritable("its output cannot be captured", &error))?;
    let mut warnings = Vec::new();
    if inner.cgroups.as_ref().is_some_and(|all| !all.is_free(id)) {
        // Something of it runs that nobody knew of: there are never two.
        tracing::warn!(%id, "what is left in its control group is killed");
        super::tree::clear(inner, id).await.map_err(|error| transient("what is left of it", &error))?;
    }
    let cgroup = inner.cgroups.as_ref().and_then(|all| all.make(id, &launch.limits, &mut warnings));
    if cgroup.is_none() {
        warnings.extend(unenforced(launch));
    }
    warnings.extend(of_units(launch));
    let mut env: Vec<String> = launch.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if let Some(notify) = inner.notify.as_ref().filter(|_| launch.notify || launch.beats) {
        env.push(format!("NOTIFY_SOCKET={}", notify.path().display()));
    }
    let user = launch.user.as_deref().map(spawn::user).transpose();
    let folder = cgroup.as_ref().map(Cgroup::folder).transpose();
    let folder = folder.map_err(|error| transient("its control group cannot be opened", &error))?;
    let program = Program {
        env: Some(env),
        cwd: Some(&launch.cwd),
        nofile: launch.limits.nofile,
        soft_nofile: crate::daemon::original_nofile(),
        nice: launch.limits.nice,
        oom_score_adjust: launch.limits.oom_score_adjust,
        user: user.map_err(|error| StartError::Permanent(format!("it cannot run as its user: {error}")))?,
        cgroup: folder.as_ref().map(|fd| fd.as_fd()),
        ..Program::new(&launch.program, &launch.argv, out.as_fd(), err.as_fd())
    };
    let held = spawn::spawn(&program).map_err(|error| transient("no process can be made", &error))?;
    drop((out, err));

    let pid = held.pid();
    let stat = inner.proc.stat(pid).map_err(|error| transient("its process cannot be read", &error))?;
    let identity = Identity { pid, start_ticks: stat.start_ticks, pidfd_inode: held.pidfd().inode() };
    let pidfd = Rc::new(held.pidfd().again().map_err(|error| transient("its process cannot be held", &error))?);
    let containment = Some(containment(cgroup.as_ref()));
    let mut placed = Placed { identity: Some(identity), containment, warnings, ..Placed::default() };
    // If this fails the child is dropped, and ends without having run the program.
    if let Err(error) = record(&placed) {
        let (pidfd, _own) = held.abandon();
        super::strays::reap_one(&pidfd).await;
        return Err(unwritable("it was not started", &error));
    }
    let run = Run {
        number,
        identity,
        session: pid,
        pidfd,
        cgroup,
        adopted: false,
        ended: Cell::default(),
        said: Said::default(),
        watch: None,
    };
    // What it says may be heard before it is seen that it was executed.
    inner.insert(id, run);
    match released(launch, held).await {
        Ok((own, warnings)) => {
            placed.warnings.extend(warnings);
            inner.watch(id, Some(own));
            inner.take_main(id);
            placed.identity = inner.runs.borrow().get(id).map(|run| run.identity);
            Ok(placed)
        }
        Err(error) => {
            inner.remove(id);
            Err(error)
        }
    }
}

/// Lets it execute the program: what keeps others from waiting for it, and what is to be said of it.
async fn released(launch: &Launch, held: Held) -> Result<(Own, Vec<String>), StartError> {
    let released = held.release().await;
    let (pidfd, own, faults) =
        released.map_err(|error| StartError::Transient(format!("it cannot be started: {error}")))?;
    if let Some(fault) = faults.iter().find(|fault| fault.fatal) {
        super::strays::reap_one(&pidfd).await;
        return Err(why(launch, *fault));
    }
    Ok((own, faults.iter().map(|fault| why(launch, *fault).to_string()).collect()))
}

/// What limits need a control group.
fn unenforced(launch: &Launch) -> Option<String> {
    let limits = &launch.limits;
    let named = [("memory", limits.memory.is_some()), ("cpu", limits.cpu.is_some()), ("tasks", limits.tasks.is_some())];
    let named: Vec<&str> = named.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    (!named.is_empty())
        .then(|| format!("not enforced, for want of a control group: limits.{}", named.join(", limits.")))
}

/// What is asked of a unit, and there is none.
fn of_units(launch: &Launch) -> Option<String> {
    let named: Vec<&str> = launch.systemd.keys().map(String::as_str).collect();
    (!named.is_empty())
        .then(|| format!("not enforced, because it is run without systemd: systemd.{}", named.join(", systemd.")))
}

/// What went wrong on the way to the program, and whether it would go wrong again.
fn why(launch: &Launch, fault: Fault) -> StartError {
    use rustix::io::Errno;
    let (program, cwd) = (launch.program.display(), launch.cwd.display());
    let error = io::Error::from(fault.errno);
    let again = matches!(fault.errno, Errno::NOMEM | Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::TXTBSY);
    let text = match (fault.stage, fault.errno) {
        (Stage::Exec, Errno::NOENT) if launch.program.exists() => {
            format!("{program}: the interpreter that its first line names is not there")
        }
        (Stage::Exec, Errno::NOENT) => format!("{program}: there is no such program"),
        (Stage::Exec, Errno::ACCESS) => format!("{program}: this file may not be executed"),
        (Stage::Exec, Errno::NOEXEC) => format!("{program}: {NO_PROGRAM}"),
        (Stage::Exec, Errno::TXTBSY) => {
            format!("{program} is being written: it cannot be executed before that is done")
        }
        (Stage::Exec, _) => format!("{program}: {error}"),
        (Stage::Cwd, Errno::NOENT) => format!("{cwd}: there is no such folder to run in"),
        (Stage::Cwd, _) => format!("{cwd}: it cannot be run in: {error}"),
        (Stage::User, _) => format!("it cannot run as user {}: {error}", launch.user.as_deref().unwrap_or("?")),
        // Its own hard limit is the daemon's.
        (Stage::Nofile, _) => {
            let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
            let (is, asked) = (most.unwrap_or_default(), launch.limits.nofile.unwrap_or_default());
            format!("limits.nofile is {is} instead of {asked}: more was not allowed")
        }
        (Stage::Nice, _) => format!("limits.nice cannot be set: {error}"),
        (Stage::OomScore, _) => format!("limits.oom_score_adjust cannot be set: {error}"),
        (Stage::Cgroup, _) => format!("it cannot enter its control group: {error}"),
        (Stage::Setup, _) => format!("its process cannot be set up: {error}"),
    };
    if again || fault.stage == Stage::Setup { StartError::Transient(text) } else { StartError::Permanent(text) }
}
