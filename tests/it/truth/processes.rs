//! Objects that are processes without a unit of their own.

use crate::rig::{Identity, Process, Result, Rig, eventually};

use super::cells::Cell;
use super::look::{Object, Watched};
use super::owners::{Keep, Subject};

/// A process that is started by hand, in a cgroup that is no unit.
pub fn spawned<'r>(rig: &'r Rig, cell: &Cell, cgroup: &str, argv: &[&str]) -> Result<Subject<'r>> {
    let cgroup = cgroup.replace("NAME", &cell.name());
    if cgroup.ends_with(&cell.name()) {
        rig.make_cgroup(&cgroup)?;
    }
    let log = cell.log();
    let argv = argv.iter().copied().chain(["--log", &log]);
    let process = rig.as_user(cell.owner.user).in_unit(&cgroup).spawn(argv)?;
    logged(rig, process, log)
}

pub fn session<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let log = cell.log();
    let process = rig.as_user(cell.owner.user).in_session().spawn(["sleeper", "--log", &log])?;
    logged(rig, process, log)
}

/// A daemon of root's that took watson's effective uid only.
pub fn seteuid<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let (log, cgroup) = (cell.log(), format!("/{}", cell.name()));
    rig.make_cgroup(&cgroup)?;
    let uid = rig.uid(cell.owner.user)?.to_string();
    let process = rig.as_root().in_unit(&cgroup).spawn(["sleeper", "--seteuid", &uid, "--log", &log])?;
    logged(rig, process, log)
}

pub fn container<'r>(rig: &'r Rig, cell: &Cell) -> Result<Subject<'r>> {
    let container = rig.container(cell.owner.user, &cell.name())??;
    let (pid, log) = (container.pid, container.log.clone());
    wait_for_start(rig, &log)?;
    of_process(rig, pid, Some(log), Keep::Container { _container: container })
}

fn logged(rig: &Rig, process: Process, log: String) -> Result<Subject<'_>> {
    wait_for_start(rig, &log)?;
    of_process(rig, process.pid, Some(log), Keep::Process { _process: process })
}

pub fn of_process<'r>(rig: &'r Rig, pid: u32, log: Option<String>, keep: Keep<'r>) -> Result<Subject<'r>> {
    let object = Object::Process(living(rig, pid)?);
    Ok(Subject { target: format!("pid:{pid}"), watched: Watched { rig, object, others: Vec::new(), log }, keep })
}

/// The process with this id, which must be there.
pub fn living(rig: &Rig, pid: u32) -> Result<Identity> {
    rig.identity(pid).ok_or_else(|| format!("process {pid} is gone").into())
}

/// Waits until the log's process is ready; its id as it sees itself.
pub fn wait_for_start(rig: &Rig, log: &str) -> Result<u32> {
    let mut pid = None;
    eventually(&format!("{log} is written"), || {
        let text = rig.read(log).unwrap_or_default();
        pid = text.lines().rev().find_map(|line| line.strip_prefix("START ")?.parse().ok());
        pid.is_some()
    })?;
    Ok(pid.unwrap_or_default())
}
