//! Executing what was prepared, and writing down where it went before it runs.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::backends::AnyBackend;
use super::{Done, Supervisor};
use crate::backend::{Placed, StartError, systemd};
use crate::model::service::{BackendKind, EventKind, ServiceState};
use crate::model::{Identity, Ladder, ServiceId, Signal};
use crate::registry::Record;
use crate::supervise::machine::Event;

/// How soon it is looked again whether what was left has ended.
const LOOK: Duration = Duration::from_millis(50);

impl Supervisor {
    /// Has the backend execute it. The task is never given up: what it starts must be known.
    pub(super) fn launch(&mut self, id: &ServiceId, run: u64) {
        let now = super::tell::stamp();
        let Some(service) = self.services.get_mut(id) else { return };
        let Some(prepared) = service.prepared.take() else { return };
        let releasing = self.releasing.remove(id);
        let stale = std::mem::take(&mut service.record_mut().stale);
        if prepared.backend == BackendKind::Systemd && !stale {
            // Where it will be is known: it is written down with the rest, before the task begins.
            let mut record = service.record.borrow_mut();
            begin(&mut record, &now, &self.instance_id, &self.boot_id, self.pid_namespace);
            put(&mut record, &systemd::place_of(id));
            drop(record);
            service.touch(false);
            self.unsaved.insert(id.clone());
        }
        let unsaved = Rc::clone(&service.unsaved);
        let Some(backend) = self.backends.get(prepared.backend) else { return };
        let stop = service.record().spec.stop.clone();
        let left = prepared.backend != BackendKind::Systemd && self.left.remove(id);
        let (record, store, tell) = (service.record.clone(), self.store.clone(), self.tell.clone());
        let (instance, boot_id, pid_namespace) = (self.instance_id.clone(), self.boot_id.clone(), self.pid_namespace);
        let id = id.clone();
        crate::tasks::spawn_local(async move {
            if let Some(releasing) = releasing {
                let _ = releasing.await;
            }
            let write = |placed: &Placed| {
                let mut record = record.borrow_mut();
                if unsaved.get().is_none() && is_begun(&record, &now, placed) {
                    return Ok(());
                }
                begin(&mut record, &now, &instance, &boot_id, pid_namespace);
                put(&mut record, placed);
                store.save(&record, false)
            };
            if stale {
                // What the backend keeps of it is of another description. That there is nothing of
                // it is written down first: a daemon that dies here leaves a start to carry out.
                let _again_by_the_start = write(&Placed::default());
                backend.release(&id).await;
            }
            let ended = if left { end_left(&*backend, &id, &stop, &tell).await } else { Ok(()) };
            let result = match ended {
                Ok(()) => backend.start(&prepared.launch, run, &write).await,
                Err(why) => Err(StartError::Transient(why)),
            };
            let _ = tell.send(Done::Started { id, run, result });
        });
    }

    /// A start is through.
    pub(super) fn started(&mut self, id: &ServiceId, run: u64, result: Result<Placed, StartError>) {
        let event = match result {
            Ok(placed) => {
                self.placed(id, &placed);
                Event::Started { run }
            }
            Err(error) => {
                if let Some(service) = self.services.get(id) {
                    put(&mut service.record_mut(), &Placed::default());
                }
                Event::NotStarted { run, error }
            }
        };
        self.queue.push_back((id.clone(), event));
    }

    /// Others started it. Of one that ran, its end and the new start are told as those of any: the machine sees no
    /// state between them.
    pub(super) fn started_by_others(&mut self, id: &ServiceId, run: u64, placed: &Placed) {
        use ServiceState::{Running, Starting};
        let machine = self.services.get(id).map(|service| &service.machine);
        let ran = machine.is_some_and(|machine| machine.run() == run && machine.state() == Running);
        if ran {
            self.main_ended(id);
            self.say(id, EventKind::State { from: Running, to: Starting, pid: None }, "others restarted it".to_owned());
        }
        self.placed(id, placed);
        let Some(service) = self.services.get(id).filter(|_| ran) else { return };
        let started_at = service.record().started_at.clone();
        service.record_mut().stopped_at = started_at;
        let (pid, message) = (service.main, self.state_words(id, Running));
        self.say(id, EventKind::State { from: Starting, to: Running, pid }, message);
    }

    /// It runs there from now on: in its record, and in its pid files.
    pub(super) fn placed(&mut self, id: &ServiceId, placed: &Placed) {
        let Some(service) = self.services.get_mut(id) else { return };
        let mut record = service.record.borrow_mut();
        // Of a start of ours it stands there since that began.
        let by_others = record.state != ServiceState::Starting && record.identity != placed.identity;
        if let Some(identity) = placed.identity.filter(|_| by_others) {
            let started = crate::clock::of_ticks(identity.start_ticks);
            record.started_at = Some(humantime::format_rfc3339_millis(started).to_string());
        }
        put(&mut record, placed);
        drop(record);
        service.main = placed.identity.map(|identity| identity.pid);
        service.write_pid_files();
        self.unsaved.insert(id.clone());
        service.touch(false);
        let warnings = service.record().warnings.clone();
        for warning in warnings {
            self.say(id, EventKind::Warning, warning);
        }
    }

    /// Another process of it is its main process from now on: it said so.
    pub(super) fn main_is(&mut self, id: &ServiceId, run: u64, identity: Identity) {
        let Some(service) = self.services.get_mut(id).filter(|service| service.machine.run() == run) else { return };
        service.remove_pid_files();
        service.main = Some(identity.pid);
        service.record_mut().identity = Some(identity);
        service.write_pid_files();
        self.unsaved.insert(id.clone());
        service.touch(false);
    }

    /// Its description names another place for its pid.
    pub(super) fn move_pid_files(&mut self, id: &ServiceId) {
        let Some(service) = self.services.get(id).filter(|service| service.main.is_some()) else { return };
        let Ok(resolved) = self.resolve(&service.record()) else { return };
        let pid_files = self.pid_files(id, resolved.pid_file);
        let Some(service) = self.services.get_mut(id) else { return };
        service.remove_pid_files();
        service.pid_files = pid_files;
        service.write_pid_files();
    }

    /// Its main process has ended. The record keeps it until nothing of its tree is left: by it the
    /// next daemon knows that there may be something to clear.
    pub(super) fn main_ended(&mut self, id: &ServiceId) {
        let Some(service) = self.services.get_mut(id) else { return };
        service.remove_pid_files();
        (service.main, service.status) = (None, None);
    }

    /// Nothing of it is left.
    pub(super) fn unplaced(&mut self, id: &ServiceId) {
        self.main_ended(id);
        let Some(service) = self.services.get_mut(id) else { return };
        let mut record = service.record.borrow_mut();
        (record.identity, record.unit, record.containment) = (None, None, None);
    }
}

/// There are never two of a service: what carries its mark, and is no run that is known, is stopped as it is.
async fn end_left(
    backend: &dyn AnyBackend,
    id: &ServiceId,
    stop: &Ladder,
    tell: &mpsc::UnboundedSender<Done>,
) -> Result<(), String> {
    let left = backend.processes(id);
    // This daemon may have been started by it.
    if left.is_empty() || left.contains(&std::process::id()) {
        return Ok(());
    }
    let pids: Vec<String> = left.iter().map(u32::to_string).collect();
    let words = format!("pid {} carries its mark, and is in no record: it is stopped first", pids.join(", "));
    let _ = tell.send(Done::Say(id.clone(), EventKind::Warning, words));
    for rung in stop.0.iter().take_while(|rung| rung.signal != Signal::KILL) {
        if let Err(error) = backend.stop(id, rung.signal).await {
            tracing::warn!("{id}: {}: {error}", rung.signal);
        }
        let until = Instant::now() + rung.wait;
        while Instant::now() < until && !backend.processes(id).is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    }
    backend.clear(id).await
}

fn put(record: &mut Record, placed: &Placed) {
    record.identity = placed.identity;
    record.unit.clone_from(&placed.unit);
    // Until that of a start is known, the one before stays: by it the next daemon tells what the run before
    // left from what the start has made.
    if placed.invocation.is_some() {
        record.invocation.clone_from(&placed.invocation);
    }
    record.containment = placed.containment;
    record.warnings.clone_from(&placed.warnings);
}

/// A start begins.
fn begin(record: &mut Record, now: &str, instance: &str, boot_id: &str, pid_namespace: Option<u64>) {
    record.instance = Some(instance.to_owned());
    boot_id.clone_into(&mut record.boot_id);
    record.pid_namespace = pid_namespace;
    record.state = ServiceState::Starting;
    record.ready = false;
    record.started_at = Some(now.to_owned());
}

/// Whether this is in it of the start that began then.
fn is_begun(record: &Record, now: &str, placed: &Placed) -> bool {
    record.state == ServiceState::Starting
        && record.started_at.as_deref() == Some(now)
        && (record.identity, record.containment) == (placed.identity, placed.containment)
        && record.unit == placed.unit
        && (placed.invocation.is_none() || record.invocation == placed.invocation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::ServiceSpec;

    #[test]
    fn a_start_keeps_the_invocation_of_the_run_before_it() {
        let id: ServiceId = "a".parse().unwrap();
        let mut record = Record::new(ServiceSpec::new(id.clone(), vec!["a".to_owned()], "/".into()), 0);
        let expected = systemd::place_of(&id);
        let invoked = |word: &str| Placed { invocation: Some(word.to_owned()), ..expected.clone() };
        put(&mut record, &invoked("first"));
        begin(&mut record, "then", "instance", "boot", None);
        put(&mut record, &expected);
        assert_eq!(record.invocation.as_deref(), Some("first"));
        // What a backend knows no better needs not be written once more.
        assert!(is_begun(&record, "then", &expected) && is_begun(&record, "then", &invoked("first")));
        assert!(!is_begun(&record, "then", &invoked("failed")), "a start that failed has left another");
        assert!(!is_begun(&record, "later", &expected));
        put(&mut record, &Placed::default());
        assert_eq!((record.invocation.as_deref(), record.unit), (Some("first"), None));
    }
}
