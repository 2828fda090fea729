//! Who is looked after while it runs, and what becomes of what is found.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::backends::AnyBackend;
use super::report::started_at;
use super::service::Service;
use super::{Done, Supervisor};
use crate::health::{Patient, Signs, Verdict, watch};
use crate::model::ServiceId;
use crate::model::service::{EventKind, Health, HealthSpec};
use crate::supervise::Refusal;
use crate::supervise::machine::Event;

/// Commands of checks that run at the same time, of all services.
pub(super) const COMMANDS: usize = 16;

/// A run that is looked after, until this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    task: AbortHandle,
    /// When it last said that it lives, where it says so to us.
    beat: Rc<Cell<Option<Instant>>>,
    /// How long its last check took.
    took: Rc<Cell<Option<Duration>>>,
    /// What was found last, and whether it was ever well.
    found: Option<Verdict>,
    was_well: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// It said that it lives.
    pub(super) fn beats(&self) {
        self.beat.set(Some(Instant::now()));
    }

    /// How long its last check took.
    pub(super) fn took(&self) -> Option<Duration> {
        self.took.get()
    }

    /// What is not as it should be, or that it is loading. Who was well is so until that has lasted.
    pub(super) fn trouble(&self) -> Option<(Health, &str)> {
        match self.found.as_ref()? {
            Verdict::Unhealthy(why) => Some((Health::Bad, why)),
            Verdict::Ailing(why) if self.was_well => Some((Health::Ok, why)),
            Verdict::Ailing(why) => Some((Health::Pending, why)),
            Verdict::Loading => Some((Health::Ok, "it is loading")),
            Verdict::Well => None,
        }
    }
}

/// What the backend knows of a run.
struct Run {
    id: ServiceId,
    backend: Rc<dyn AnyBackend>,
    beat: Rc<Cell<Option<Instant>>>,
    took: Rc<Cell<Option<Duration>>>,
}

impl Signs for Run {
    fn processes(&self) -> Vec<u32> {
        self.backend.processes(&self.id)
    }

    fn cgroup(&self) -> Option<PathBuf> {
        self.backend.cgroup(&self.id)
    }

    async fn beat(&self) -> Option<Instant> {
        self.beat.get().max(self.backend.beat(&self.id).await)
    }

    fn answered(&self, took: Duration) {
        self.took.set(Some(took));
    }
}

impl Supervisor {
    /// Looks after a service that is ready, as its description is now, from now on.
    pub(super) fn look_after(&mut self, id: &ServiceId) {
        let Some(service) = self.services.get(id) else { return };
        let run = service.machine.run();
        if service.record().spec.health.as_ref().is_none_or(|health| health.is_empty()) {
            if let Some(service) = self.services.get_mut(id) {
                service.watch = None;
            }
            return self.queue.push_back((id.clone(), Event::Well { run }));
        }
        let checked = match &service.checked {
            Some(checked) if checked.health.is_some() => checked.as_ref().clone(),
            _ => match self.check_of(id) {
                Ok(checked) => checked,
                Err(why) => return self.say(id, EventKind::Warning, format!("it is not looked after: {why}")),
            },
        };
        let (Some((spec, shown)), Some(service)) = (checked.health, self.services.get(id)) else { return };
        let kind = service.record().backend;
        let Some(backend) = kind.and_then(|kind| self.backends.get(kind)) else { return };
        let age = self.age(service).unwrap_or_default();
        let beat = Rc::new(Cell::new(None));
        let took = Rc::new(Cell::new(None));
        let signs = Run { id: id.clone(), backend, beat: Rc::clone(&beat), took: Rc::clone(&took) };
        let cwd = checked.cwd.clone();
        let kinds = (spec.exec.is_some(), spec.unix.is_some());
        let commands = self.questions(&service.record(), kinds, checked.env, checked.cwd);
        let commands = match commands {
            Ok(commands) => commands,
            Err(why) => return self.say(id, EventKind::Warning, format!("it is not looked after: {why}")),
        };
        let turns = Rc::clone(&self.checking);
        let patient = Patient { spec, shown, cwd, age, signs, commands, turns };
        let (tell, own) = (self.tell.clone(), id.clone());
        let task = crate::tasks::spawn_local(watch(patient, move |verdict| {
            let _ = tell.send(Done::Health { id: own.clone(), run, verdict });
        }));
        let watch = Watch { task: task.abort_handle(), beat, took, found: None, was_well: false };
        if let Some(service) = self.services.get_mut(id) {
            service.watch = Some(watch);
        }
    }

    /// For how long its program runs.
    pub(super) fn age(&self, service: &Service) -> Option<Duration> {
        let started = started_at(&service.record(), true)?;
        let started = humantime::parse_rfc3339_weak(&started).ok()?;
        Some(crate::clock::now().duration_since(started).unwrap_or_default())
    }

    /// It says that it lives, over HTTP.
    pub(super) fn heartbeat(&self, id: &ServiceId) -> Result<(), Refusal> {
        let Some(service) = self.services.get(id) else { return Err(self.no_such(id)) };
        let listens = |health: &HealthSpec| health.heartbeat.is_some();
        if !service.record().spec.health.as_ref().is_some_and(listens) {
            let why = format!("nobody listens for signs of life of {id}: its config has no health.heartbeat");
            return Err(Refusal::Failed(why));
        }
        match &service.watch {
            Some(watch) => watch.beats(),
            None if service.machine.is_alive() => {}
            None => return Err(Refusal::Failed(format!("{id} does not run"))),
        }
        Ok(())
    }

    /// Something new was found of a run.
    pub(super) fn found_health(&mut self, id: &ServiceId, run: u64, verdict: Verdict) {
        let Some(service) = self.services.get_mut(id).filter(|service| service.machine.run() == run) else { return };
        let Some(watch) = &mut service.watch else { return };
        let before = watch.found.replace(verdict.clone());
        let event = match verdict {
            Verdict::Well | Verdict::Loading => {
                watch.was_well = true;
                if std::mem::take(&mut service.unhealthy) {
                    self.say(id, EventKind::Healthy, "it does its work again".to_owned());
                }
                Event::Well { run }
            }
            // It may pass: nobody is called for that.
            Verdict::Ailing(why) => {
                tracing::debug!("{id}: {why}");
                Event::Ailing { run }
            }
            Verdict::Unhealthy(why) => {
                service.unhealthy = true;
                if !matches!(before, Some(Verdict::Unhealthy(_))) {
                    self.say(id, EventKind::Unhealthy, format!("it is unhealthy: {why}"));
                }
                Event::Unhealthy { run, why: format!("unhealthy: {why}") }
            }
        };
        self.queue.push_back((id.clone(), event));
    }
}
