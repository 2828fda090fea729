//! Reads and verifies the registry where no daemon runs.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::reports::{running, seen};
use crate::act::ActError;
use crate::control::Control;
use crate::error::Error;
use crate::gather::Arrange as _;
use crate::model::ServiceId;
use crate::model::service::{Desired, Health, Measured, ServiceReport, ServiceSpec, ServiceState};
use crate::observe::Observer;
use crate::paths::Places;
use crate::registry::orphans::of_mark;
use crate::registry::{Damaged, Loaded, Record, Store};
use crate::supervise::Orphan;

/// All records of an instance, and what of them cannot be read.
///
/// # Errors
/// Their folder cannot be read: that is not to be without services.
pub(crate) fn records(places: &Places) -> Result<Loaded, Error> {
    let own =
        || std::fs::metadata(places.registry()).is_ok_and(|found| rustix::process::geteuid().as_raw() == found.uid());
    Store::at(places).look().map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied if !own() => {
            let why = format!("{error}; they are {}'s", if places.uid == 0 { "root" } else { "another user" });
            Error::Act(ActError::NotPermitted(why))
        }
        _ => Error::Io { what: "the registry".to_owned(), source: error },
    })
}

/// The folders of the caller's instance.
fn own_places(observer: &Observer) -> Option<Places> {
    let uid = observer.caller().uid;
    Places::of(super::instance_of(observer.units(), uid), uid)
}

/// What the caller's registry says of supervised services, each looked for on the host; and what runs on of
/// those that have ended, or whose records cannot be read.
///
/// # Errors
/// It cannot be read.
pub(crate) async fn offline_reports(observer: &Observer) -> Result<Vec<ServiceReport>, Error> {
    let Some(places) = own_places(observer) else { return Ok(Vec::new()) };
    let known = records(&places)?;
    let supervised: Vec<Record> = known.records.iter().filter(|record| record.instance.is_some()).cloned().collect();
    let mut reports = verified(observer, &supervised).await;
    let all_run = known.damaged.is_empty() && reports.iter().all(|report| report.state.is_alive());
    let Some(instance) = Store::at(&places).known_instance_id().filter(|_| !all_run) else { return Ok(reports) };
    add_found(&mut reports, &known.damaged, &of_mark(observer, &places, &instance, &known));
    Ok(reports)
}

/// Adds what carries the mark of services of which nothing runs by their records.
fn add_found(reports: &mut Vec<ServiceReport>, damaged: &[Damaged], found: &[Orphan]) {
    for one in found.iter().filter(|one| one.marked) {
        let Some(id) = &one.service else { continue };
        if let Some(report) = reports.iter_mut().find(|report| report.id == *id) {
            if one.orphan && !report.state.is_alive() {
                left_behind(report, one);
            }
        } else if let Some(damaged) = damaged.iter().find(|damaged| damaged.id.as_ref() == Some(id)) {
            reports.push(of_damaged(id, damaged, one));
        }
    }
    reports.arrange_by(|a, b| a.id.cmp(&b.id));
}

/// Adds what runs of those that are in no record, where no daemon runs: records may be lost.
pub(crate) async fn add_unrecorded(observer: &Observer, reports: &mut [&mut ServiceReport]) {
    let Some(places) = own_places(observer).filter(|_| !reports.is_empty()) else { return };
    let (Some(instance), Ok(None)) = (Store::at(&places).known_instance_id(), Control::connect(places.instance).await)
    else {
        return;
    };
    let Ok(known) = records(&places) else { return };
    for one in of_mark(observer, &places, &instance, &known).iter().filter(|one| one.marked && one.orphan) {
        if let Some(report) = reports.iter_mut().find(|report| one.service.as_ref() == Some(&report.id)) {
            unrecorded(report, one);
        }
    }
}

fn unrecorded(report: &mut ServiceReport, one: &Orphan) {
    left_behind(report, one);
    let pid = one.identity.pid;
    report.reason.replace(format!("it is in no record, and runs as pid {pid}; provost orphans shows it"));
}

fn left_behind(report: &mut ServiceReport, one: &Orphan) {
    report.processes = Some(report.processes.unwrap_or_default() + 1);
    report.health = Health::Bad;
    let (id, pid) = (&report.id, one.identity.pid);
    report.reason.replace(format!("what it started runs on, as pid {pid}; provost stop {id} ends it"));
}

fn of_damaged(id: &ServiceId, damaged: &Damaged, one: &Orphan) -> ServiceReport {
    let (pid, why) = (one.identity.pid, &damaged.reason);
    let words = format!("its record cannot be read ({why}); it runs as pid {pid}, and the next daemon takes it over");
    let spec = ServiceSpec::new(id.clone(), one.command_line.clone(), "/".into());
    ServiceReport {
        state: ServiceState::Running,
        desired: Desired::Up,
        health: Health::Bad,
        reason: Some(words),
        pid: Some(pid),
        ..super::of_spec(&spec)
    }
}

/// Adds what those use that run, as the sum over their processes.
pub(crate) fn measure(observer: &Observer, reports: &mut [ServiceReport]) {
    for report in reports.iter_mut().filter(|report| report.state.is_alive()) {
        let Some(main) = report.pid else { continue };
        let usage = crate::supervise::resources::measure(&crate::observe::tree::of(observer.proc(), &[main]));
        report.cpu_percent = Some(usage.cpu_percent);
        report.memory_bytes = Some(usage.memory_bytes);
        report.processes = Some(usage.processes);
        report.measured = Some(Measured::Processes);
    }
}

/// What is wrong with records of the caller's registry that cannot be read.
pub(crate) fn damaged_records(observer: &Observer) -> Vec<String> {
    let known = own_places(observer).and_then(|places| records(&places).ok()).unwrap_or_default();
    known.damaged.iter().map(ToString::to_string).collect()
}

/// The records of these services, or of all, that a daemon could not read: no daemon knows them any more.
pub(crate) fn lost_records(observer: &Observer, ids: &[ServiceId]) -> Vec<String> {
    let mut lost = own_places(observer).map(|places| Store::at(&places).lost()).unwrap_or_default();
    lost.retain(|(id, _)| ids.is_empty() || ids.iter().any(|word| super::matches(word, id)));
    let one = |(id, path): &(ServiceId, PathBuf)| {
        format!(
            "the record of {id} could not be read, and is kept as {}: no service is made of it; it may be removed",
            path.display()
        )
    };
    lost.iter().map(one).collect()
}

/// What these records say, each looked for on the host.
pub(crate) async fn verified(observer: &Observer, records: &[Record]) -> Vec<ServiceReport> {
    let (boot_id, now) = (observer.host().boot_id.as_str(), crate::clock::now());
    let one = |record| async move { seen(record, running(observer, record).await, boot_id, now) };
    let reports = records.iter().map(one);
    crate::join::join_all(reports).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identity;

    fn found(service: &str, pid: u32, orphan: bool) -> Orphan {
        Orphan {
            identity: Identity { pid, start_ticks: 1, pidfd_inode: None },
            command_line: vec!["sleep".to_owned(), "4501".to_owned()],
            unit: None,
            service: Some(service.parse().unwrap()),
            orphan,
            marked: true,
            reason: String::new(),
        }
    }

    #[test]
    fn what_runs_with_a_mark_is_told_whatever_the_records_say() {
        let spec = ServiceSpec::new("e".parse().unwrap(), vec!["sh".to_owned()], "/".into());
        let mut reports = vec![crate::services::of_spec(&spec)];
        let damaged = Damaged {
            id: Some("b".parse().unwrap()),
            path: "b.json".into(),
            aside: None,
            reason: "it ends too early".to_owned(),
            useless: true,
        };
        let all = [found("b", 7, false), found("b", 9, false), found("e", 8, true), found("f", 10, true)];
        add_found(&mut reports, &[damaged], &all);
        let [b, e] = reports.as_slice() else { panic!("{reports:?}") };
        let why = "its record cannot be read (it ends too early); it runs as pid 7, and the next daemon takes it over";
        assert_eq!((b.id.as_str(), b.state, b.pid), ("b", ServiceState::Running, Some(7)));
        assert_eq!((b.reason.as_deref(), b.has_processes()), (Some(why), true));
        let why = "what it started runs on, as pid 8; provost stop e ends it";
        assert_eq!((e.state, e.processes, e.has_processes()), (ServiceState::Stopped, Some(1), true));
        assert_eq!((e.health, e.reason.as_deref()), (Health::Bad, Some(why)));
        let mut lost = crate::services::of_spec(&spec);
        unrecorded(&mut lost, &all[2]);
        let why = "it is in no record, and runs as pid 8; provost orphans shows it";
        assert_eq!((lost.has_processes(), lost.reason.as_deref()), (true, Some(why)));
    }
}
