//! What `list` and `status` show.

use super::Supervisor;
use super::service::{Held, Service};
use crate::model::ServiceId;
use crate::model::service::{BackendKind, Check, Desired, Health, Measured, ServiceReport, ServiceState};
use crate::registry::Record;
use crate::supervise::changes::later_backend;
use crate::supervise::{Refusal, Selection, readiness, resources};

/// Further apart than a start takes, by two clocks: one of them was set.
const CLOCK_SET: std::time::Duration = std::time::Duration::from_secs(10);

impl Supervisor {
    pub(super) fn report(&self, which: &Selection, resources: bool) -> Result<Vec<ServiceReport>, Refusal> {
        let named = self.select(which)?;
        Ok(named.iter().filter_map(|id| self.report_of(id, resources)).collect())
    }

    fn report_of(&self, id: &ServiceId, resources: bool) -> Option<ServiceReport> {
        let service = self.services.get(id)?;
        let (record, machine) = (service.record(), &service.machine);
        let state = machine.state();
        let usage = if resources { self.usage(id, service) } else { None };
        let next_start_at = machine.next_start().map(|at| {
            let at = crate::clock::now() + at.saturating_sub(self.now());
            humantime::format_rfc3339_millis(at).to_string()
        });
        let mut warnings = record.warnings.clone();
        warnings.extend(service.unsaved_why.clone());
        if record.stale && machine.is_alive() {
            let said = self.can_start_again(id).err().map_or("restart it".to_owned(), |why| format!("it {why}"));
            warnings.push(format!("its description changed since it was started: {said}"));
        }
        // One that rests chooses anew.
        warnings.extend(later_backend(&record, &record.spec).filter(|_| !service.choose));
        let outdated = self.outdated(&record, &service.started_with);
        if !outdated.is_empty() && machine.is_alive() {
            warnings.push(format!("{} is not what it was when it was started: restart it", outdated.join(", ")));
        }
        let (health, reason) = self.health(id, service);
        let spec = &record.spec;
        Some(ServiceReport {
            id: id.clone(),
            instance_of: spec.instance_of.as_ref().map(|(group, _)| group.clone()),
            name: spec.name.clone(),
            state,
            ready: machine.is_ready(),
            desired: machine.counts().desired,
            enabled: spec.enabled,
            health,
            reason,
            backend: record.backend.or(spec.backend.kind()).or(self.usual_backend()),
            containment: record.containment.filter(|_| machine.is_alive()),
            unit: record.unit.clone(),
            pid: service.main,
            // The one that it had is over for what is to get another.
            port: spec.fixed_port().filter(|_| !machine.is_alive()).or(record.port).or(spec.fixed_port()),
            socket: record.socket.clone().or(spec.fixed_socket()),
            command_line: match record.command_line.as_slice() {
                [] => spec.command_as_written(),
                started => started.to_vec(),
            },
            cwd: record.cwd.clone(),
            project: spec.project.clone(),
            after: spec.after.clone(),
            restarts: machine.counts().restarts,
            failures: machine.counts().failures,
            next_start_at,
            held_up: machine.is_held_up(),
            can_reload: spec.reload.is_some(),
            created_at: record.created_at.clone(),
            started_at: started_at(&record, machine.is_alive()),
            stopped_at: record.stopped_at.clone(),
            last_restart_at: record.last_restart_at.clone(),
            updated_at: record.updated_at.clone(),
            last_exit: machine.counts().last_exit,
            last_error: machine.counts().last_error.clone(),
            cpu_percent: usage.map(|(usage, _)| usage.cpu_percent),
            memory_bytes: usage.map(|(usage, _)| usage.memory_bytes),
            measured: usage.map(|(_, measured)| measured),
            processes: usage.map(|(usage, _)| usage.processes),
            check_ms: service.watch.as_ref().and_then(|watch| watch.took()).map(|took| took.as_secs_f64() * 1e3),
            gpus: spec.gpus.clone(),
            warnings,
            meta: spec.meta.clone(),
        })
    }

    fn usage(&self, id: &ServiceId, service: &Service) -> Option<(resources::Usage, Measured)> {
        let kind = service.record().backend.filter(|_| service.machine.is_alive())?;
        let backend = self.backends.get(kind)?;
        let sum = resources::measure(&backend.processes(id));
        let Some((memory_bytes, work)) = backend.cgroup(id).as_deref().and_then(crate::health::counted) else {
            return Some((sum, Measured::Processes));
        };
        let share = |age: std::time::Duration| work.as_secs_f64() / age.as_secs_f64().max(1.0) * 100.0;
        let cpu_percent = self.age(service).map_or(sum.cpu_percent, share);
        Some((resources::Usage { memory_bytes, cpu_percent, ..sum }, Measured::Cgroup))
    }

    fn health(&self, id: &ServiceId, service: &Service) -> (Health, Option<String>) {
        let machine = &service.machine;
        let up = machine.counts().desired == Desired::Up;
        if service.held == Some(Held::Stop) {
            return (Health::Pending, Some("it stops when what comes after it has stopped".to_owned()));
        }
        if machine.awaits_dependencies() {
            let Some(earlier) = self.awaited(id) else { return (Health::Pending, None) };
            let state = self.services.get(earlier).map(|service| service.machine.state());
            let failed = state == Some(ServiceState::Failed);
            let word =
                if failed { format!("waits for {earlier}, which failed") } else { format!("waits for {earlier}") };
            return (if failed { Health::Bad } else { Health::Pending }, Some(word));
        }
        if service.waits_for_room {
            let why = "waits for others: so many at a time may be started and not have said READY=1";
            return (Health::Pending, Some(why.to_owned()));
        }
        let trouble = service.watch.as_ref().and_then(|watch| watch.trouble());
        let health = match machine.state() {
            ServiceState::Running if machine.is_ready() => trouble.map_or(Health::Ok, |(health, _)| health),
            // One that runs once does what it is to do.
            ServiceState::Running if service.record().spec.oneshot => Health::Ok,
            ServiceState::Running | ServiceState::Stopping => Health::Pending,
            ServiceState::Starting if machine.awaits_port() => Health::Bad,
            ServiceState::Starting => Health::Pending,
            ServiceState::Done => Health::Ok,
            ServiceState::Stopped if !up => Health::Ok,
            ServiceState::Stopped | ServiceState::Restarting | ServiceState::Failed => Health::Bad,
        };
        let said = service.status.clone().filter(|_| machine.state() == ServiceState::Running);
        let reason = machine.reason().or_else(|| trouble.map(|(_, why)| why.to_owned()));
        let unready = (machine.state() == ServiceState::Running && !machine.is_ready()).then(|| ready_check(service));
        let reason = match (reason, unready.flatten()) {
            (Some(reason), Some(check)) => Some(format!("{reason}: {}", readiness::awaited(&check))),
            (reason, _) => reason,
        };
        let reason = match (reason, said) {
            (Some(reason), Some(said)) => Some(format!("{reason}; it says: {said}")),
            (None, Some(said)) => Some(format!("it says: {said}")),
            (reason, None) => reason,
        };
        (health, reason)
    }
}

/// The check that says whether it is ready, as messages name it.
fn ready_check(service: &Service) -> Option<Check> {
    let resolved = service.checked.as_ref().and_then(|checked| checked.ready.as_ref());
    let resolved = resolved.map(|(_, shown)| shown.clone());
    resolved.or_else(|| service.record().spec.ready.as_ref().map(|ready| ready.check.clone()))
}

/// When it started. If the clock was set since then, what was written down is no time of this
/// clock, and what it has run would be told wrong.
pub(super) fn started_at(record: &Record, alive: bool) -> Option<String> {
    let written = record.started_at.as_ref()?;
    let real = record.backend.is_some_and(|kind| kind != BackendKind::Sim);
    let started =
        record.identity.filter(|_| alive && real).map(|identity| crate::clock::of_ticks(identity.start_ticks));
    let off = started.zip(humantime::parse_rfc3339_weak(written).ok()).is_some_and(|(started, written)| {
        let apart = started.duration_since(written).unwrap_or_else(|before| before.duration());
        apart > CLOCK_SET
    });
    started.filter(|_| off).map(|at| humantime::format_rfc3339_millis(at).to_string()).or(Some(written.clone()))
}
