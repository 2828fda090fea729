//! What is said of services where no daemon speaks for them: made from records and descriptions.

use std::time::SystemTime;

use crate::backend::Adoption;
use crate::model::service::{Desired, Exit, Health, ServiceReport, ServiceSpec, ServiceState};
use crate::model::{Instance, Manager, ServiceId};
use crate::observe::Observer;
use crate::registry::Record;
use crate::registry::recovery::{self, Decision};

pub(crate) use super::offline::offline_reports;

/// Whether an id is meant by an id or a glob.
pub(crate) fn matches(pattern: &ServiceId, id: &ServiceId) -> bool {
    if pattern.is_glob() { crate::observe::glob(pattern.as_str(), id.as_str()) } else { pattern == id }
}

/// Whether a service is meant by its id, by a glob, or by the id that its instances have in common.
pub(crate) fn means(word: &ServiceId, report: &ServiceReport) -> bool {
    matches(word, &report.id) || report.instance_of.as_ref() == Some(word)
}

/// A service that has never been started.
pub(crate) fn of_spec(spec: &ServiceSpec) -> ServiceReport {
    ServiceReport {
        id: spec.id.clone(),
        instance_of: spec.instance_of.as_ref().map(|(group, _)| group.clone()),
        name: spec.name.clone(),
        state: ServiceState::Stopped,
        ready: false,
        desired: Desired::Down,
        enabled: spec.enabled,
        health: Health::Ok,
        reason: None,
        backend: None,
        containment: None,
        unit: None,
        pid: None,
        port: None,
        socket: None,
        command_line: spec.command_as_written(),
        cwd: spec.cwd.clone(),
        project: spec.project.clone(),
        after: spec.after.clone(),
        restarts: 0,
        failures: 0,
        next_start_at: None,
        held_up: false,
        can_reload: spec.reload.is_some(),
        created_at: None,
        started_at: None,
        stopped_at: None,
        last_restart_at: None,
        updated_at: None,
        last_exit: None,
        last_error: None,
        cpu_percent: None,
        memory_bytes: None,
        measured: None,
        processes: None,
        check_ms: None,
        gpus: spec.gpus.clone(),
        warnings: Vec::new(),
        meta: spec.meta.clone(),
    }
}

/// What a record says, before anybody has looked whether it is still so.
pub(super) fn of_record(record: &Record) -> ServiceReport {
    let written = of_spec(&record.spec);
    let command_line =
        if record.command_line.is_empty() { written.command_line.clone() } else { record.command_line.clone() };
    ServiceReport {
        state: record.state,
        ready: record.ready,
        desired: record.desired,
        backend: record.backend,
        containment: record.containment,
        unit: record.unit.clone(),
        pid: record.identity.map(|identity| identity.pid),
        port: record.port,
        socket: record.socket.clone(),
        command_line,
        restarts: record.restarts,
        failures: record.failures,
        created_at: record.created_at.clone(),
        started_at: record.started_at.clone(),
        stopped_at: record.stopped_at.clone(),
        last_restart_at: record.last_restart_at.clone(),
        updated_at: record.updated_at.clone(),
        last_exit: record.last_exit,
        last_error: record.last_error.clone(),
        warnings: record.warnings.clone(),
        ..written
    }
}

/// The same with what was seen of it: `Some` pid of its main process if it runs. What does not is said to be
/// what the next daemon makes of it.
pub(super) fn seen(record: &Record, running: Option<Option<u32>>, boot_id: &str, now: SystemTime) -> ServiceReport {
    let said = of_record(record);
    if let Some(pid) = running {
        let pid = pid.or(said.pid);
        if said.state == ServiceState::Stopping {
            // Whether it was ready is not known any more.
            let reason = format!("its stop had begun when its daemon ended; provost stop {} goes on with it", said.id);
            return ServiceReport { health: Health::Pending, reason: Some(reason), pid, ..said };
        }
        return ServiceReport {
            state: ServiceState::Running,
            health: if said.ready { Health::Ok } else { Health::Pending },
            pid,
            ..said
        };
    }
    let ended = recovery::may_run(record, boot_id) && said.state.is_alive();
    let ended = ended.then_some(Adoption::Ended(Exit::Unknown));
    let (decision, _) = recovery::decide(record, ended.as_ref(), boot_id, now);
    let anew = !record.boot_id.is_empty() && record.boot_id != boot_id;
    let comes = matches!(decision, Decision::Restart(_) | Decision::StartBecauseEnabled);
    // What it was in another boot is over.
    let state = match said.state {
        state @ (ServiceState::Done | ServiceState::Failed) if !anew => state,
        _ => ServiceState::Stopped,
    };
    let desired = match anew {
        _ if comes => Desired::Up,
        true => Desired::Down,
        false => said.desired,
    };
    let id = &said.id;
    let reason = match (&decision, record.state) {
        _ if state == ServiceState::Failed => said.last_error.clone(),
        (Decision::Drop, _) => Some("it was started by a command and is over: the next daemon forgets it".to_owned()),
        _ if desired == Desired::Down || state == ServiceState::Done => None,
        (_, ServiceState::Running | ServiceState::Stopping) if said.desired == Desired::Up => {
            Some(format!("it ended while no daemon ran; provost start {id} starts both"))
        }
        (Decision::StartBecauseEnabled, _) => {
            Some(format!("the next daemon starts it, as it is enabled; provost start {id} starts both"))
        }
        _ if comes => Some("no daemon runs that would start it again".to_owned()),
        _ => None,
    };
    // One that ended and is not started again by its policy has failed for all that is known.
    let lost = desired == Desired::Up && matches!(decision, Decision::LeaveStopped(Some(_)) | Decision::LeaveAlone);
    let bad = state == ServiceState::Failed || comes || lost;
    let health = if bad { Health::Bad } else { Health::Ok };
    let ready = state == ServiceState::Done && said.ready;
    ServiceReport { state, desired, health, ready, reason, containment: None, pid: None, ..said }
}

/// What a record speaks of is looked for as the process or the unit that it names.
pub(super) async fn running(observer: &Observer, record: &Record) -> Option<Option<u32>> {
    // A unit of our name with our mark is it, whatever its invocation: others may have restarted it.
    if let Some(unit) = record.unit.as_ref().filter(|_| record.instance.is_some()) {
        let unit = unit.parse().ok()?;
        let caller = observer.caller();
        let whose = match super::instance_of(observer.units(), caller.uid) {
            Instance::System => Manager::System,
            Instance::User => Manager::User(caller.uid),
        };
        if let Ok(manager) = observer.bus().manager(whose).await {
            let properties = manager.unit_properties(&unit, &["MainPID", "Environment"]).await.ok()?;
            let (active, sub) = (properties.string("ActiveState"), properties.string("SubState"));
            // One whose program has ended well stays active, so that how it ended can be read.
            let up = !matches!(active.as_str(), "inactive" | "failed" | "") && sub != "exited";
            let same = properties.variable("PROVOST_INSTANCE_ID") == record.instance;
            return (up && same).then(|| properties.pid("MainPID"));
        }
    }
    crate::observe::runs(observer, record).then_some(record.identity.map(|identity| identity.pid))
}

/// Records as they are now: of one whose unit runs as another process than it says, or in what it takes for another
/// boot, that process is put into it.
pub(crate) async fn as_they_run(observer: &Observer, records: &mut [Record]) {
    for record in records.iter_mut().filter(|record| record.unit.is_some()) {
        if crate::observe::runs(observer, record) {
            continue;
        }
        let main = running(observer, record).await.flatten().and_then(|pid| observer.proc().identify(pid).ok());
        if let Some((identity, _)) = main {
            record.identity = Some(identity);
            record.boot_id.clone_from(&observer.host().boot_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "b1";

    fn record(state: ServiceState, desired: Desired) -> Record {
        let project = Some("/p/provost.toml".into());
        let spec = ServiceSpec::new("llm".parse().unwrap(), vec!["llama-server".to_owned()], "/".into());
        let spec = ServiceSpec { project, ..spec };
        Record {
            instance: Some("i".to_owned()),
            boot_id: BOOT.to_owned(),
            state,
            desired,
            last_error: Some("exit code 1".to_owned()),
            ready: true,
            ..Record::new(spec, 1000)
        }
    }

    fn seen(record: &Record, running: Option<Option<u32>>) -> ServiceReport {
        super::seen(record, running, BOOT, crate::clock::now())
    }

    #[test]
    fn what_is_seen_counts_more_than_what_was_written() {
        let ended = seen(&record(ServiceState::Running, Desired::Up), None);
        assert!(ended.reason.unwrap().starts_with("it ended while no daemon ran"));
        let warnings = vec!["limits.nofile is less than asked".to_owned()];
        let up = Record { warnings: warnings.clone(), ..record(ServiceState::Restarting, Desired::Up) };
        let there = seen(&up, Some(Some(7)));
        assert_eq!((there.state, there.health, there.pid), (ServiceState::Running, Health::Ok, Some(7)));
        assert_eq!(there.warnings, warnings);
        let ending = Record { ready: false, ..record(ServiceState::Stopping, Desired::Down) };
        let ending = seen(&ending, Some(Some(7)));
        assert_eq!(
            (ending.state, ending.health, ending.has_processes()),
            (ServiceState::Stopping, Health::Pending, true)
        );
        assert!(ending.reason.unwrap().starts_with("its stop had begun"));
        let gone = seen(&up, None);
        assert_eq!((gone.state, gone.health, gone.pid), (ServiceState::Stopped, Health::Bad, None));
        let down = seen(&record(ServiceState::Running, Desired::Down), None);
        assert_eq!((down.state, down.health, down.reason), (ServiceState::Stopped, Health::Ok, None));
        let failed = seen(&record(ServiceState::Failed, Desired::Up), None);
        assert_eq!((failed.state, failed.reason.as_deref()), (ServiceState::Failed, Some("exit code 1")));
    }

    #[test]
    fn after_a_boot_it_is_what_the_next_daemon_makes_of_it() {
        let boots = |state, desired, enabled| {
            let mut record = record(state, desired);
            (record.boot_id, record.spec.enabled) = ("b0".to_owned(), enabled);
            record
        };
        for state in [ServiceState::Running, ServiceState::Stopped, ServiceState::Failed, ServiceState::Done] {
            for desired in [Desired::Up, Desired::Down] {
                let off = seen(&boots(state, desired, false), None);
                let is = (off.state, off.desired, off.health, off.reason);
                assert_eq!(is, (ServiceState::Stopped, Desired::Down, Health::Ok, None), "{state} {desired:?}");
                let on = seen(&boots(state, desired, true), None);
                let is = (on.state, on.desired, on.health);
                assert_eq!(is, (ServiceState::Stopped, Desired::Up, Health::Bad), "{state} {desired:?}");
                assert!(on.reason.unwrap().ends_with("provost start llm starts both"));
                let mut by_hand = boots(state, desired, true);
                by_hand.spec.project = None;
                let reason = seen(&by_hand, None).reason.unwrap();
                assert_eq!(reason, "it was started by a command and is over: the next daemon forgets it");
            }
        }
    }
}
