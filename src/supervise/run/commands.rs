//! What others ask for. All of it is answered at once, or as soon as the disk has it; what takes time
//! is told by events.

use std::collections::{BTreeMap, BTreeSet};

use super::Supervisor;
use super::orphans::Wanted;
use super::service::Held;
use crate::gather::Gather as _;
use crate::model::service::{Desired, EventKind, ServiceState};
use crate::model::{ServiceId, Signal, Whom};
use crate::supervise::changes::Change;
use crate::supervise::machine::Event;
use crate::supervise::{Answer, Command, Refusal, Selection};

/// Of each service that was meant: whether there was anything to do.
pub(super) type Outcomes = Vec<(ServiceId, bool)>;

impl Supervisor {
    pub(super) fn on_command(&mut self, command: Command) {
        if self.finishing.is_some() && !matches!(command, Command::Finish { .. } | Command::Report { .. }) {
            return refuse(command);
        }
        match command {
            // The disk has the file that it was read from.
            Command::Load { config, environment, occasion, answer } => {
                reply(answer, self.load(&config, environment, occasion));
            }
            Command::Define { specs, environment, answer } => self.answer(answer, |all| all.define(specs, environment)),
            Command::Start { which, environment, answer } => self.answer(answer, |all| all.start(&which, environment)),
            Command::Stop { which, force, answer } => self.answer(answer, |all| all.stop(&which, force)),
            Command::Restart { which, answer } => self.answer(answer, |all| all.restart(&which)),
            Command::Reload { which, answer } => self.reload(&which, answer),
            Command::Kill { which, signal, whom, answer } => self.kill(&which, signal, whom, answer),
            Command::Enable { which, enabled, answer } => self.answer(answer, |all| all.enable(&which, enabled)),
            Command::Remove { which, answer } => self.answer(answer, |all| all.remove(&which)),
            Command::Reach { which, what, answer } => reply(answer, self.reach(&which, what)),
            Command::Bounded { allowed, command } => self.on_bounded(&allowed, *command),
            Command::Report { which, resources, answer } => reply(answer, self.report(&which, resources)),
            Command::Heartbeat { id, answer } => reply(answer, self.heartbeat(&id)),
            Command::Orphans { query, answer } => self.orphans(Wanted::Find(query, answer)),
            Command::CleanOrphans { query, force, answer } => self.orphans(Wanted::Clean(query, force, answer)),
            Command::Follow { folder, answer } => reply(answer, self.follow_own(folder)),
            Command::ReadConfig { id, answer } => reply(answer, self.read_config(&id)),
            Command::PatchConfig { id, patch, expected, answer } => self.patch_config(&id, &patch, expected, answer),
            Command::ReloadConfig { answer } => self.answer(answer, |all| all.reload_config()),
            Command::Finish { stop, answer } => self.finish(stop, answer),
        }
    }

    /// These, and what they come after. Of a whole project, those that are enabled.
    fn start(&mut self, which: &Selection, sent: BTreeMap<String, String>) -> Result<Outcomes, Refusal> {
        let mut named = self.select(which)?;
        if which.ids.is_empty() {
            named.retain(|id| self.services.get(id).is_some_and(|service| service.record().spec.enabled));
        }
        self.check_stays(&named)?;
        for id in &named {
            let Some(service) = self.services.get_mut(id) else { continue };
            if !sent.is_empty() && service.record().environment != sent {
                service.record_mut().environment.clone_from(&sent);
                service.touch(true);
                self.unsaved.insert(id.clone());
            }
            let stale = service.record().stale && service.machine.is_alive();
            if stale
                && self.is_wanted(id)
                && let Err(why) = self.can_start_again(id)
            {
                return Err(Refusal::Failed(format!("{id} {why}")));
            }
        }
        let mut outcomes = Outcomes::new();
        for id in self.order.with_earlier(named.iter().cloned()) {
            let Some(service) = self.services.get_mut(&id).filter(|service| !service.removing) else { continue };
            let stale = named.contains(&id) && service.record().stale && service.machine.is_alive();
            let event = if stale { Event::Restart } else { Event::Start };
            let held = service.held.take().is_some();
            let new = stale || !service.machine.is_already_so(&event) || held;
            if held {
                // Who waited for its stop or restart need not any more: there will be none.
                self.look_at_dependents(&id);
            }
            if new {
                self.handle(id.clone(), event);
            }
            // What they come after is told only where there was something to do.
            if new || named.contains(&id) {
                outcomes.push((id, new));
            }
        }
        // What waited for one that failed gets it started again by this.
        let begun = outcomes.iter().any(|(_, new)| *new);
        for (id, new) in &mut outcomes {
            *new |= begun && self.services.get(id).is_some_and(|service| service.machine.awaits_dependencies());
        }
        Ok(outcomes)
    }

    /// What is being removed is neither started nor restarted: it would be forgotten when it ends.
    fn check_stays(&self, named: &BTreeSet<ServiceId>) -> Result<(), Refusal> {
        let removing = |id: &&ServiceId| self.services.get(*id).is_some_and(|service| service.removing);
        match named.iter().find(removing) {
            Some(id) => Err(Refusal::Failed(format!("{id} is being removed"))),
            None => Ok(()),
        }
    }

    fn stop(&mut self, which: &Selection, force: bool) -> Result<Outcomes, Refusal> {
        let named = self.select(which)?;
        Ok(self.stop_all(&named, force))
    }

    /// Stops these, and before each what comes after it; by force all at once.
    pub(super) fn stop_all(&mut self, named: &BTreeSet<ServiceId>, force: bool) -> Outcomes {
        let all = self.order.with_later(named.iter().cloned());
        self.stop_each(all, named, force)
    }

    /// Stops all of these, of which some were named.
    pub(super) fn stop_each(&mut self, all: BTreeSet<ServiceId>, named: &BTreeSet<ServiceId>, force: bool) -> Outcomes {
        let mut outcomes = Outcomes::new();
        for id in all {
            let keeps = self.finishing.as_ref().is_some_and(|finishing| finishing.keeps_desire());
            let Some(service) = self.services.get_mut(&id) else { continue };
            // Why it failed is still to be told when the daemon has ended, and the next one leaves it so.
            if keeps && service.machine.state() == ServiceState::Failed && !service.machine.is_left_over() {
                continue;
            }
            let event = if force { Event::Stop { force } } else { Event::StopLater };
            let so =
                service.machine.is_already_so(&Event::Stop { force }) || service.held == Some(Held::Stop) && !force;
            // What is ending still, as by a stop that the daemon before had begun, is awaited by who asks now.
            let did = !so || service.machine.is_alive();
            service.held = (!force && service.machine.is_alive()).then_some(Held::Stop);
            if !so {
                self.handle(id.clone(), event);
            }
            self.look.insert(id.clone());
            if !so || named.contains(&id) {
                outcomes.push((id, did));
            }
        }
        outcomes
    }

    fn restart(&mut self, which: &Selection) -> Result<Outcomes, Refusal> {
        let named = self.select(which)?;
        self.check_stays(&named)?;
        // What cannot be recorded cannot be started: it would only be stopped.
        self.check_writable(named.iter())?;
        for id in &named {
            let runs = self.services.get(id).is_some_and(|service| service.machine.is_alive());
            if runs && let Err(why) = self.can_start_again(id) {
                return Err(Refusal::Failed(format!("{id} {why}")));
            }
        }
        self.restart_all(&named);
        Ok(named.into_iter().map(|id| (id, true)).collect())
    }

    /// Restarts these: what comes after others among them stops first, and starts last.
    pub(super) fn restart_all(&mut self, named: &BTreeSet<ServiceId>) {
        self.restart_each(named);
        // What they come after is to be up as well.
        let earlier = self.order.with_earlier(named.iter().cloned());
        self.start_each(earlier.difference(named));
    }

    pub(super) fn restart_each(&mut self, named: &BTreeSet<ServiceId>) {
        for id in named {
            let Some(service) = self.services.get_mut(id).filter(|service| !service.removing) else { continue };
            if service.machine.is_alive() {
                service.held = Some(Held::Restart);
                self.look.insert(id.clone());
            } else {
                service.held = None;
                self.handle(id.clone(), Event::Restart);
            }
        }
    }

    /// Starts those of these that do not run, and are not about to.
    fn start_each<'a>(&mut self, ids: impl Iterator<Item = &'a ServiceId>) {
        for id in ids {
            let Some(service) = self.services.get_mut(id).filter(|service| !service.removing) else { continue };
            let held = service.held.take_if(|held| *held == Held::Stop).is_some();
            // Its stop has not begun, and what runs is of another description.
            let event = if held && service.record().stale { Event::Restart } else { Event::Start };
            if held || !service.machine.is_already_so(&Event::Start) {
                self.look_at_dependents(id);
                self.handle(id.clone(), event);
            }
        }
    }

    /// Does what a change of descriptions comes to, and nothing else.
    pub(super) fn carry_out_changes(&mut self, changes: &BTreeMap<ServiceId, Change>) {
        let those = |what: fn(&Change) -> bool| -> BTreeSet<ServiceId> {
            changes.iter().filter(|(_, change)| what(change)).map(|(id, _)| id.clone()).gather()
        };
        let removed = those(|change| *change == Change::Removed);
        let stopped = those(|change| matches!(change, Change::Removed | Change::Stopped));
        self.remove_each(&removed, stopped);
        let mut restarted = those(|change| matches!(change, Change::Restarted { .. }));
        let mut goes_on = Vec::new();
        restarted.retain(|id| match self.can_start_again(id) {
            Ok(()) => true,
            Err(why) => {
                self.say(id, EventKind::Warning, format!("its description changed: it {why}"));
                goes_on.push(format!("service.{id}."));
                self.note_stale(id);
                false
            }
        });
        // What would only follow those that keep their ports follows them later.
        let follows = |key: &String| goes_on.iter().any(|it| key.starts_with(it));
        restarted.retain(|id| match &changes[id] {
            Change::Restarted { keys } => keys.is_empty() || !keys.iter().all(follows),
            _ => true,
        });
        restarted.iter().for_each(|id| self.note_stale(id));
        self.restart_each(&restarted);
        self.start_each(
            those(|change| matches!(change, Change::Added { starts: true } | Change::Started { .. })).iter(),
        );
    }

    fn kill(&mut self, which: &Selection, signal: Signal, whom: Whom, answer: Answer<Outcomes>) {
        let named = match self.select(which) {
            Ok(named) => named,
            Err(refusal) => return reply(answer, Err(refusal)),
        };
        let work: Vec<_> = named.into_iter().map(|id| (self.living_backend(&id), id)).collect();
        crate::tasks::spawn_local(async move {
            let mut outcomes = Outcomes::new();
            for (backend, id) in work {
                if let Some(backend) = &backend
                    && let Err(error) = backend.signal(&id, signal, whom).await
                {
                    return reply(answer, Err(Refusal::Failed(format!("{id} cannot be sent {signal}: {error}"))));
                }
                outcomes.push((id, backend.is_some()));
            }
            reply(answer, Ok(outcomes));
        });
    }

    /// The backend of a service that runs.
    pub(super) fn living_backend(&self, id: &ServiceId) -> Option<std::rc::Rc<dyn super::backends::AnyBackend>> {
        let service = self.services.get(id).filter(|service| service.machine.is_alive())?;
        let kind = service.record().backend?;
        self.backends.get(kind)
    }

    /// Whether it is to run, as far as anybody asked.
    pub(super) fn is_wanted(&self, id: &ServiceId) -> bool {
        self.services.get(id).is_some_and(|service| service.machine.counts().desired == Desired::Up)
    }
}

/// Whoever asked may have gone.
pub(super) fn reply<T>(answer: Answer<T>, result: Result<T, Refusal>) {
    let _ = answer.send(result);
}

pub(super) fn refuse(command: Command) {
    match command {
        Command::Load { answer, .. } | Command::Define { answer, .. } | Command::ReloadConfig { answer } => {
            reply(answer, Err(Refusal::Ending));
        }
        Command::Start { answer, .. }
        | Command::Stop { answer, .. }
        | Command::Restart { answer, .. }
        | Command::Reload { answer, .. }
        | Command::Kill { answer, .. }
        | Command::Enable { answer, .. }
        | Command::Remove { answer, .. } => reply(answer, Err(Refusal::Ending)),
        Command::Reach { answer, .. } => reply(answer, Err(Refusal::Ending)),
        Command::Bounded { command, .. } => refuse(*command),
        Command::Report { answer, .. } => reply(answer, Err(Refusal::Ending)),
        Command::Heartbeat { answer, .. } => reply(answer, Err(Refusal::Ending)),
        Command::Orphans { answer, .. } => reply(answer, Err(Refusal::Ending)),
        Command::CleanOrphans { answer, .. } => reply(answer, Err(Refusal::Ending)),
        Command::Follow { answer, .. } => reply(answer, Err(Refusal::Ending)),
        Command::ReadConfig { answer, .. } => reply(answer, Err(Refusal::Ending)),
        Command::PatchConfig { answer, .. } => reply(answer, Err(Refusal::Ending)),
        Command::Finish { answer, .. } => reply(answer, Err(Refusal::Ending)),
    }
}
