//! What becomes of the records when a daemon starts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Supervisor;
use super::backends::AnyBackend;
use super::service::{Checked, Held, Service};
use crate::backend::{Adoption, Marked, Placed};
use crate::config;
use crate::gather::Gather as _;
use crate::model::ServiceId;
use crate::model::service::{BackendKind, EventKind, Exit, PortSpec, RestartPolicy, ServiceSpec, ServiceState};
use crate::registry::recovery::{self, Decision};
use crate::registry::{Damaged, Loaded, Record};
use crate::supervise::machine::Event;

impl Supervisor {
    /// Asks the backends what still runs of what was left, of all at once; then each is decided on,
    /// and said in one line.
    pub(super) async fn recover(&mut self, left: Loaded) {
        let now = crate::clock::now();
        self.removed = self.store.removed();
        self.left = self.left().await;
        let Loaded { mut records, damaged } = left;
        let described = self.unrecorded(&records);
        if !damaged.is_empty() || !described.is_empty() {
            records.extend(self.rebuild(damaged, described).await);
        }
        // Not supervised, and not ours to touch: only asked whether it is to be dropped.
        let (mut records, others): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.instance.is_some());
        let mut over = Vec::new();
        for record in others {
            let (decision, line) = recovery::decide(&record, None, &self.boot_id, now);
            self.log(&decision, &line);
            if decision == Decision::Drop
                && let Err(error) = self.store.remove(&record.id)
            {
                tracing::warn!("{error}");
            }
        }
        let here = crate::observe::boot_id_here();
        for record in &mut records {
            // As an older version saw this boot.
            if record.boot_id == here {
                record.boot_id.clone_from(&self.boot_id);
            }
            // It is started in another, where its description leaves that open.
            let ended = record.backend.take_if(|kind| self.backends.has_ended(*kind)).is_some();
            let found = ended && record.boot_id == self.boot_id && record.state.is_alive();
            over.push(found.then_some(Adoption::Ended(Exit::Unknown)));
            self.take(record.clone());
        }
        let asked: Vec<_> = records
            .iter()
            .map(|record| {
                let kind = record.backend.filter(|_| recovery::may_run(record, &self.boot_id));
                let backend = kind.and_then(|kind| self.backends.get(kind));
                let run = self.services.get_mut(&record.id).map_or(0, |service| service.machine.next_run());
                found(backend, record, run)
            })
            .collect();
        let found = crate::join::join_all(asked).await;
        for ((record, found), over) in records.into_iter().zip(found).zip(over) {
            let found = found.or(over);
            let (decision, line) = recovery::decide(&record, found.as_ref(), &self.boot_id, now);
            self.log(&decision, &line);
            self.recovered(&record, decision, found);
        }
        self.go_on_removing();
    }

    /// What was being removed when the daemon before ended. Who asked was told that it would be.
    fn go_on_removing(&mut self) {
        let is_removed = |service: &Service| {
            let record = service.record();
            record.spec.project.as_ref().is_some_and(|project| self.removed.has(project, &record.id))
        };
        let named: BTreeSet<ServiceId> =
            self.services.iter().filter(|(_, service)| is_removed(service)).map(|(id, _)| id.clone()).gather();
        if !named.is_empty() {
            self.remove_all(&named);
        }
    }

    fn log(&self, decision: &Decision, line: &str) {
        match decision {
            Decision::LeaveAlone => tracing::warn!("{line}"),
            // The event says it.
            Decision::Adopt => tracing::debug!("{line}"),
            _ => tracing::info!("{line}"),
        }
    }

    fn recovered(&mut self, record: &Record, decision: Decision, found: Option<Adoption>) {
        let id = &record.id;
        if matches!(decision, Decision::LeaveStopped(None) | Decision::Drop) && self.left.contains(id) {
            return self.left_behind(id);
        }
        let event = match decision {
            Decision::Adopt | Decision::AdoptAndStop => {
                let Some(Adoption::Running(placed)) = found else { return };
                self.adopted(id, placed, record.ready);
                if let Some(service) = self.services.get_mut(id).filter(|_| decision == Decision::AdoptAndStop) {
                    // In order, as it began: what comes after it may be on its way down too.
                    service.held = Some(Held::Stop);
                    self.look.insert(id.clone());
                }
                return;
            }
            Decision::Restart(Some(exit)) | Decision::LeaveStopped(Some(exit)) => Event::Ended { exit },
            Decision::Restart(None) => Event::Resume,
            Decision::StartBecauseEnabled => Event::Start,
            Decision::LeaveStopped(None) => {
                self.unplaced(id);
                // The daemon before may have died before the backend was told, and its output taken in.
                self.rests(id);
                let other_boot = record.boot_id != self.boot_id && !record.boot_id.is_empty();
                if let Some(service) = self.services.get_mut(id).filter(|_| other_boot) {
                    // This boot's word on it is given: being enabled in it starts it with the next one.
                    service.record_mut().boot_id.clone_from(&self.boot_id);
                    service.touch(false);
                    self.unsaved.insert(id.clone());
                }
                if record.state == ServiceState::Done && !other_boot {
                    if let Some(service) = self.services.get_mut(id) {
                        service.machine.was_done();
                    }
                    return;
                }
                if other_boot || found == Some(Adoption::StoppedByOthers) {
                    // What it was in the last boot, or before it was stopped, is over.
                    Event::StopLater
                } else {
                    return;
                }
            }
            Decision::LeaveAlone => return self.left_alone(id),
            Decision::Drop => {
                self.rests(id);
                return self.forget(id);
            }
        };
        if !matches!(event, Event::Ended { .. }) {
            self.unplaced(id);
        }
        if let (Event::Ended { exit: Exit::Unknown }, Some(service)) = (&event, self.services.get(id)) {
            // When it ended nobody saw.
            service.record_mut().stopped_at = Some(super::tell::stamp());
        }
        self.queue.push_back((id.clone(), event));
    }

    fn adopted(&mut self, id: &ServiceId, placed: Placed, ready: bool) {
        let Some(service) = self.services.get(id) else { return };
        let warnings = service.record().warnings.clone();
        let own = self.resolve(&service.record()).ok().and_then(|resolved| resolved.pid_file);
        let pid_files = self.pid_files(id, own);
        if let Some(service) = self.services.get_mut(id) {
            service.choose = false;
            service.pid_files = pid_files;
        }
        let pid = placed.identity.map(|identity| format!(" as pid {}", identity.pid)).unwrap_or_default();
        self.placed(id, &placed);
        if let Some(service) = self.services.get(id) {
            // Backends tell them of a start alone, and it is the same run.
            service.record_mut().warnings = warnings;
        }
        self.say(id, EventKind::Adopted, format!("it runs{pid}, and was taken over"));
        let age = self.services.get(id).and_then(|service| self.age(service)).unwrap_or_default();
        self.adopting = true;
        self.handle(id.clone(), Event::Adopted { ready, age });
        self.adopting = false;
    }

    /// It does not run, and what it started does: it is kept for a stop, even if nobody wants it any more.
    fn left_behind(&mut self, id: &ServiceId) {
        self.rests(id);
        if let Some(service) = self.services.get_mut(id) {
            service.choose = false;
            service.machine.doubt("what it started runs on; a stop, or a start, ends it first");
        }
    }

    /// Whether it runs cannot be told: a start kills first what there may be of it.
    fn left_alone(&mut self, id: &ServiceId) {
        if let Some(service) = self.services.get_mut(id) {
            service.choose = false;
            service.machine.doubt("whether it still runs cannot be told now");
        }
    }

    /// Whose mark processes carry. What is in a unit is found by its unit.
    async fn left(&self) -> BTreeSet<ServiceId> {
        let mut left = BTreeSet::new();
        for backend in self.backends.all().filter(|backend| backend.kind() != BackendKind::Systemd) {
            match backend.marked().await {
                Ok(found) => left.extend(found.into_iter().map(|marked| marked.id)),
                Err(error) => tracing::warn!("what carries our mark cannot be read: {error}"),
            }
        }
        left
    }

    /// What known configs describe and no record is of: it may run all the same, where a record was lost.
    fn unrecorded(&self, records: &[Record]) -> Vec<ServiceSpec> {
        let own = config::find("/".as_ref(), Some(&self.places.config), self.places.uid, false).ok().flatten();
        let own = own.map(|path| config::edit::place_of(&path).unwrap_or(path));
        let paths: BTreeSet<PathBuf> =
            records.iter().filter_map(|record| record.spec.project.clone()).chain(own).gather();
        let recorded: BTreeSet<ServiceId> = records.iter().map(|record| record.id.clone()).gather();
        let mut all = Vec::new();
        for path in paths {
            // What is wrong with one is said when it is taken over.
            let Ok(project) = config::load(&path, &self.load_options()) else { continue };
            let lost = |spec: &ServiceSpec| !recorded.contains(&spec.id) && !self.removed.has(&project.path, &spec.id);
            all.extend(project.services.into_iter().filter(lost));
        }
        all
    }

    /// Records whose files are damaged or gone, of what runs and carries their mark.
    async fn rebuild(&mut self, damaged: Vec<Damaged>, described: Vec<ServiceSpec>) -> Vec<Record> {
        let mut rebuilt = Vec::new();
        for damaged in &damaged {
            tracing::error!("{damaged}");
        }
        let backends: Vec<_> = self.backends.all().collect();
        for backend in backends {
            let marked = match backend.marked().await {
                Ok(marked) => marked,
                Err(error) => {
                    tracing::warn!("what carries our mark cannot be read: {error}");
                    continue;
                }
            };
            for found in marked {
                let was_damaged = damaged.iter().any(|damaged| damaged.id.as_ref() == Some(&found.id));
                // A child of the daemon has left others that carry its mark: which of them it was nobody knows.
                let known = was_damaged || backend.kind() != BackendKind::Direct;
                let spec = described.iter().find(|spec| known && spec.id == found.id).cloned();
                let Some(spec) = spec.or_else(|| was_damaged.then(|| spec_of(&found))) else { continue };
                if rebuilt.iter().any(|record: &Record| record.id == found.id) {
                    continue;
                }
                let mut record = recovery::rebuilt(spec, &found, &self.instance_id, &self.boot_id, self.places.uid);
                record.backend = Some(backend.kind());
                if !was_damaged {
                    tracing::warn!("{}: its record is gone, and it runs", found.id);
                    record.last_error = Some("its record was gone, and made anew from what runs".to_owned());
                }
                known_to_itself(&mut record, &self.places.variables(&found.id));
                if let Err(error) = self.save_now(std::slice::from_ref(&record)) {
                    tracing::error!("{error}");
                }
                rebuilt.push(record);
            }
        }
        rebuilt
    }

    /// How it is found out whether one that was taken over is ready, and does its work.
    pub(super) fn check_of(&self, id: &ServiceId) -> Result<Checked, String> {
        let Some(service) = self.services.get(id) else { return Err("it is gone".to_owned()) };
        let record = service.record();
        let resolved = self.resolve(&record)?;
        Ok(Checked {
            ready: resolved.ready.zip(resolved.ready_shown),
            health: resolved.health.zip(resolved.health_shown),
            env: self.environment(&record, resolved.env),
            cwd: resolved.cwd,
        })
    }
}

async fn found(backend: Option<Rc<dyn AnyBackend>>, record: &Record, run: u64) -> Option<Adoption> {
    match backend?.adopt(record, run).await {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::warn!("{}: it cannot be taken over: {error}", record.id);
            None
        }
    }
}

/// What a process knows of its own service: its port and its socket are in its environment. The system's daemon may
/// not read that of other users' processes: it has the file of variables that it wrote for it.
fn known_to_itself(record: &mut Record, variables: &Path) {
    let Some(identity) = record.identity else { return };
    let started = crate::clock::of_ticks(identity.start_ticks);
    record.started_at = Some(humantime::format_rfc3339_millis(started).to_string());
    let environ = std::fs::read(format!("/proc/{}/environ", identity.pid)).unwrap_or_default();
    let written = std::fs::read_to_string(variables).unwrap_or_default();
    let written = config::env_variables(&written);
    let value = |name: &str| {
        let line = environ.split(|b| *b == 0).find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        let own = line.and_then(|value| String::from_utf8(value.to_vec()).ok());
        own.or_else(|| written.iter().find(|(of, _)| of == name).map(|(_, value)| value.clone()))
    };
    let fixed = match record.spec.port {
        Some(PortSpec::Fixed(port)) => Some(port),
        _ => None,
    };
    record.port = value("PORT").and_then(|port| port.parse().ok()).or(fixed);
    record.socket = value("PROVOST_SOCKET");
}

/// What can be told of a service whose description is lost. It is not started again by that: its
/// config, or whoever ran it, describes it anew.
fn spec_of(marked: &Marked) -> ServiceSpec {
    let oldest = marked.processes.iter().min_by_key(|process| process.start_ticks);
    let proc = |name: &str| oldest.map(|process| PathBuf::from(format!("/proc/{}/{name}", process.pid)));
    let line = proc("cmdline").and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    let words = line.split(|b| *b == 0).filter(|word| !word.is_empty());
    let argv: Vec<String> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let cwd = proc("cwd").and_then(|path| std::fs::read_link(path).ok()).unwrap_or_else(|| "/".into());
    let argv = if argv.is_empty() { vec![marked.id.to_string()] } else { argv };
    let mut spec = ServiceSpec::new(marked.id.clone(), argv, cwd);
    spec.restart.policy = RestartPolicy::Never;
    spec
}
