//! What a machine wants done: small local tasks whose results come back as events.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::backends::AnyBackend;
use super::service::{Checked, Held};
use super::{Done, Supervisor};
use crate::model::service::{Check, EventKind, ServiceState};
use crate::model::{ServiceId, Whom};
use crate::supervise::machine::{Effect, Event};
use crate::supervise::readiness;

/// How soon it is looked again whether anything of a stopped tree is left, and how much later each time.
const LOOK: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

impl Supervisor {
    pub(super) fn carry_out(&mut self, id: &ServiceId, effect: Effect) {
        match effect {
            Effect::AwaitDependencies => {
                self.look.insert(id.clone());
            }
            Effect::Prepare { run } => self.prepare(id, run, None),
            Effect::Launch { run } => self.launch(id, run),
            Effect::AwaitReady { run } => self.await_ready(id, run),
            Effect::AwaitEmpty { run } => self.await_empty(id, run),
            Effect::Cancel => {
                if let Some(service) = self.services.get_mut(id) {
                    service.cancel();
                }
            }
            Effect::Stop { signal, .. } => self.with_backend(id, async move |backend, id| {
                let said = backend.stop(&id, signal).await.err();
                said.map(|error| failed(&id, "cannot be stopped", &error))
            }),
            Effect::Signal { signal, .. } => self.with_backend(id, async move |backend, id| {
                let said = backend.signal(&id, signal, Whom::All).await.err();
                said.map(|error| failed(&id, &format!("cannot be sent {signal}"), &error))
            }),
            Effect::Clear { run } => self.with_backend(id, async move |backend, id| {
                let result = backend.clear(&id).await;
                Some(Done::Event(id, Event::Cleared { run, result }))
            }),
            Effect::State { from, to } => self.state(id, from, to),
            Effect::BecameReady => {
                self.say(id, EventKind::Ready, self.ready_words(id));
                if self.services.get(id).is_some_and(|service| service.machine.is_alive()) {
                    self.look_after(id);
                }
                self.look_at_dependents(id);
            }
            Effect::Exited { exit } => {
                let message = match exit {
                    crate::model::service::Exit::Signal(_) => format!("its main process was ended by {exit}"),
                    _ => format!("its main process ended with {exit}"),
                };
                self.main_ended(id);
                if let Some(service) = self.services.get(id) {
                    service.record_mut().stopped_at = Some(super::tell::stamp());
                }
                self.say(id, EventKind::Exited { exit }, message);
            }
        }
    }

    /// A task with the backend of a service; what it finds is told.
    fn with_backend<F>(&self, id: &ServiceId, work: F)
    where
        F: AsyncFnOnce(Rc<dyn AnyBackend>, ServiceId) -> Option<Done> + 'static,
    {
        let kind = self.services.get(id).and_then(|service| service.record().backend);
        let Some(backend) = kind.and_then(|kind| self.backends.get(kind)) else {
            let run = self.services.get(id).map_or(0, |service| service.machine.run());
            // Nothing can be left of what is in no backend.
            let result = kind.map_or(Ok(()), |_| Err("the backend that runs it is not there".to_owned()));
            let _ = self.tell.send(Done::Event(id.clone(), Event::Cleared { run, result }));
            return;
        };
        let (tell, id) = (self.tell.clone(), id.clone());
        crate::tasks::spawn_local(async move {
            if let Some(done) = work(backend, id).await {
                let _ = tell.send(done);
            }
        });
    }

    fn await_ready(&mut self, id: &ServiceId, run: u64) {
        let Some(service) = self.services.get(id) else { return };
        let checked = match &service.checked {
            Some(checked) => checked.as_ref().clone(),
            // It was taken over.
            None => match self.check_of(id) {
                Ok(checked) => checked,
                Err(why) => return self.queue.push_back((id.clone(), Event::NotReady { run, why })),
            },
        };
        let Checked { ready, env, cwd, .. } = checked;
        let Some((ready, shown)) = ready else {
            // Its description changed meanwhile: it needs none any more.
            return self.queue.push_back((id.clone(), Event::Ready { run }));
        };
        let (tell, own, log_match) = (self.tell.clone(), id.clone(), self.log_match.clone());
        let record = service.record().clone();
        let kinds = (matches!(ready.check, Check::Exec(_)), matches!(ready.check, Check::Unix(_)));
        let commands = self.questions(&record, kinds, env, cwd);
        let commands = match commands {
            Ok(commands) => commands,
            Err(why) => return self.queue.push_back((id.clone(), Event::NotReady { run, why })),
        };
        let wait = crate::tasks::spawn_local(async move {
            let asked = readiness::wait_ready(&ready.check, &shown, ready.timeout.0, ready.interval.0, &commands);
            let result = match &ready.check {
                Check::Log(pattern) => {
                    let told = async {
                        match log_match {
                            Some(log_match) => log_match(record, pattern.clone()).await,
                            None => Err("its output cannot be followed here".to_owned()),
                        }
                    };
                    tokio::select! { told = told => told, asked = asked => asked }
                }
                _ => asked.await,
            };
            let event = match result {
                Ok(()) => Event::Ready { run },
                Err(why) => Event::NotReady { run, why },
            };
            let _ = tell.send(Done::Event(own, event));
        });
        if let Some(service) = self.services.get_mut(id) {
            service.cancel();
            service.wait = Some(wait.abort_handle());
        }
    }

    fn await_empty(&mut self, id: &ServiceId, run: u64) {
        let Some(service) = self.services.get_mut(id) else { return };
        let kind = service.record().backend;
        let Some(backend) = kind.and_then(|kind| self.backends.get(kind)) else { return };
        service.cancel();
        let (tell, own) = (self.tell.clone(), id.clone());
        let wait = crate::tasks::spawn_local(async move {
            let (mut pause, most) = LOOK;
            while !backend.processes(&own).is_empty() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(most);
            }
            let _ = tell.send(Done::Event(own, Event::Empty { run }));
        });
        service.wait = Some(wait.abort_handle());
    }

    /// It went from one state to another.
    fn state(&mut self, id: &ServiceId, from: ServiceState, to: ServiceState) {
        let Some(service) = self.services.get_mut(id) else { return };
        if matches!(to, ServiceState::Stopped | ServiceState::Failed | ServiceState::Done) {
            service.choose = true;
            service.checked = None;
            // Stopped before it was executed.
            service.prepared = None;
            let mut record = service.record_mut();
            // Others stopped it: how its main process ended is not told then.
            if from.is_up() && record.stopped_at <= record.started_at {
                record.stopped_at = Some(super::tell::stamp());
            }
        }
        let pid = service.main.filter(|_| to == ServiceState::Running);
        let message = self.state_words(id, to);
        self.say(id, EventKind::State { from, to, pid }, message);
        if to == ServiceState::Restarting {
            self.warn_of_restarts(id);
        }
        if matches!(to, ServiceState::Stopped | ServiceState::Failed | ServiceState::Done) {
            self.rests(id);
            // Whoever waited for it need not any more, or learns why.
            self.look_at_dependents(id);
        }
    }

    /// It has come to rest: the backend forgets it, and so do we if that was asked for.
    pub(super) fn rests(&mut self, id: &ServiceId) {
        let Some(service) = self.services.get(id) else { return };
        let (kind, removing) = (service.record().backend, service.removing);
        if let Some(backend) = kind.and_then(|kind| self.backends.get(kind)) {
            self.release(id, backend);
        }
        if removing {
            self.forget(id);
        }
    }

    fn release(&mut self, id: &ServiceId, backend: Rc<dyn AnyBackend>) {
        let (before, own, tell) = (self.releasing.remove(id), id.clone(), self.tell.clone());
        let task = crate::tasks::spawn_local(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            backend.release(&own).await;
            let _ = tell.send(Done::Released(own));
        });
        self.releasing.insert(id.clone(), task);
    }

    /// Nobody waits for that any more, unless it has run and come to rest again.
    pub(super) fn released(&mut self, id: &ServiceId) {
        if self.releasing.get(id).is_some_and(JoinHandle::is_finished) {
            self.releasing.remove(id);
        }
    }

    /// No process of it is left: what waited for that goes on.
    pub(super) fn has_ended(&mut self, id: &ServiceId) {
        if self.services.get(id).is_some_and(|service| !service.machine.is_left_over()) {
            self.unplaced(id);
        }
        let earlier: Vec<ServiceId> = self.order.after(id).cloned().collect();
        self.look.extend(earlier);
    }

    pub(super) fn look_at_dependents(&mut self, id: &ServiceId) {
        let later: Vec<ServiceId> = self.order.dependents(id).cloned().collect();
        self.look.extend(later);
    }

    /// Looks at those that wait for others. Whether there is anything new to handle.
    pub(super) fn look_again(&mut self) -> bool {
        let look = std::mem::take(&mut self.look);
        // First all of them: one that is let go has not begun to stop yet, and those that it comes after still wait.
        let free = |id: &ServiceId| {
            let held = self.services.get(id)?.held?;
            (!self.has_living_dependents(id, held)).then(|| (id.clone(), held))
        };
        let free: Vec<(ServiceId, Held)> = look.iter().filter_map(free).collect();
        for (id, held) in free {
            if let Some(service) = self.services.get_mut(&id) {
                service.held = None;
            }
            let event = match held {
                Held::Stop => Event::Stop { force: false },
                Held::Restart => Event::Restart,
            };
            self.queue.push_back((id, event));
        }
        if !self.queue.is_empty() {
            // Who is to be started looks only when those have begun to stop: until then they seem ready.
            self.look.extend(look);
            return true;
        }
        for id in look {
            let Some(service) = self.services.get(&id) else { continue };
            if service.held.is_some() || !service.machine.awaits_dependencies() {
                continue;
            }
            match self.awaited(&id).and_then(|earlier| self.services.get(earlier)) {
                None if self.turns.take(&id) => self.queue.push_back((id, Event::DependenciesReady)),
                None => {}
                Some(earlier) => {
                    if let Some(left) = earlier.machine.settles_in(self.now()) {
                        self.later(left, Done::LookAt(id));
                    }
                }
            }
        }
        !self.queue.is_empty()
    }

    /// Whether something that comes after it is still to end first.
    fn has_living_dependents(&self, id: &ServiceId, held: Held) -> bool {
        self.order.dependents(id).filter(|later| *later != id).filter_map(|later| self.services.get(later)).any(
            |later| {
                let ends = match held {
                    // Not as its record says: the end of the daemon leaves that as it was.
                    Held::Stop => later.machine.counts().desired == crate::model::service::Desired::Down,
                    // Those that are restarted together with it.
                    Held::Restart => {
                        later.held == Some(Held::Restart) || later.machine.state() == ServiceState::Stopping
                    }
                };
                ends && later.machine.is_alive()
            },
        )
    }

    /// The first of those that it comes after that is not ready and should become so, or may end in a moment.
    pub(super) fn awaited(&self, id: &ServiceId) -> Option<&ServiceId> {
        let now = self.now();
        self.order.after(id).find(|earlier| {
            self.services.get(*earlier).is_some_and(|earlier| {
                let settled = earlier.machine.is_ready() && earlier.machine.settles_in(now).is_none();
                let ready = settled && earlier.held.is_none();
                let wanted = earlier.machine.counts().desired == crate::model::service::Desired::Up;
                !ready && (wanted || earlier.held.is_some())
            })
        })
    }
}

fn failed(id: &ServiceId, what: &str, error: &std::io::Error) -> Done {
    Done::Say(id.clone(), EventKind::Warning, format!("{id} {what}: {error}"))
}
