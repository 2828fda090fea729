//! Which services there are: descriptions come, change and go.

use std::collections::{BTreeMap, BTreeSet};

use super::Supervisor;
use super::commands::Outcomes;
use super::service::Service;
use crate::model::ServiceId;
use crate::model::service::{EventKind, PortSpec, ServiceSpec};
use crate::registry::Record;
use crate::supervise::changes::{enabled, needs_restart};
use crate::supervise::machine::Settings;
use crate::supervise::{Refusal, Selection};

impl Supervisor {
    /// Services that are in no file.
    pub(super) fn define(
        &mut self,
        specs: Vec<ServiceSpec>,
        environment: BTreeMap<String, String>,
    ) -> Result<Vec<ServiceId>, Refusal> {
        for spec in &specs {
            let (id, refused) = (&spec.id, |why: String| Err(Refusal::Failed(why)));
            if id.is_glob() {
                return refused(format!("'{id}' is a pattern, and no id of one service"));
            }
            if !spec.cwd.is_absolute() {
                return refused(format!("{id}: its folder {} is not absolute", spec.cwd.display()));
            }
            let Some(service) = self.services.get(id) else { continue };
            if service.record().spec == *spec {
                continue;
            }
            if service.machine.is_alive() || service.machine.next_start().is_some() {
                return refused(format!("{id} is {} already; stop it first", service.machine.state()));
            }
            if let Some(project) = service.record().spec.project.as_ref().filter(|_| spec.project.is_none()) {
                return refused(format!("{id} is described in {}; take another name", project.display()));
            }
        }
        self.put(specs, &environment, &BTreeSet::new())
    }

    /// Takes descriptions over; none where the order is a circle, or records cannot be written. What is new and
    /// started next counts as never asked about in any boot until then: should the daemon die before, the next one
    /// starts it.
    pub(super) fn put(
        &mut self,
        specs: Vec<ServiceSpec>,
        environment: &BTreeMap<String, String>,
        starts: &BTreeSet<ServiceId>,
    ) -> Result<Vec<ServiceId>, Refusal> {
        let mut changed = Vec::new();
        let ids: Vec<ServiceId> = specs.iter().map(|spec| spec.id.clone()).collect();
        for spec in specs {
            let old = self.services.get(&spec.id).map(|service| service.record().clone());
            let mut new = match &old {
                Some(old) => old.clone(),
                None => Record {
                    instance: Some(self.instance_id.clone()),
                    boot_id: if starts.contains(&spec.id) { String::new() } else { self.boot_id.clone() },
                    created_at: Some(super::tell::stamp()),
                    ..Record::new(spec.clone(), self.places.uid)
                },
            };
            new.spec = spec;
            new.rebuilt = false;
            if let Some(old) = &old {
                keep_enabled(&mut new, old);
                // Of one whose description was lost nobody knows that it runs by another.
                new.stale |= !old.rebuilt && needs_restart(&old.spec, &new.spec);
            }
            if !environment.is_empty() {
                new.environment.clone_from(environment);
            }
            if old.as_ref() != Some(&new) {
                changed.push(new);
            }
        }
        self.check_order(&changed)?;
        // By the first it is seen whether records can be written. The others are written with what follows
        // from this, before the answer is given: most are started at once, and their records change with that.
        if let Err(error) = self.save_now(changed.get(..1).unwrap_or_default()) {
            self.put_order_back(&changed);
            return Err(Refusal::Failed(error.to_string()));
        }
        for id in &ids {
            // Its removal, where one is under way, is undone.
            if let Some(service) = self.services.get_mut(id) {
                service.removing = false;
            }
        }
        for (n, record) in changed.into_iter().enumerate() {
            let (id, new) = (record.id.clone(), !self.services.contains_key(&record.id));
            self.take(record);
            if let Some(service) = self.services.get_mut(&id).filter(|_| n > 0) {
                service.touch(true);
                self.unsaved.insert(id.clone());
            }
            if new {
                self.say(&id, EventKind::Added, "it is known from now on".to_owned());
            }
        }
        Ok(ids)
    }

    /// One that is in the store already.
    pub(super) fn take(&mut self, record: Record) {
        let id = record.id.clone();
        self.order.set(&id, &record.spec.after, record.spec.group());
        self.forget_ports(&id);
        if let Some(PortSpec::Fixed(port)) = record.spec.port {
            self.ports.insert(port, id.clone());
        }
        if let Some(port) = record.port {
            self.ports.insert(port, id.clone());
        }
        let Some(service) = self.services.get_mut(&id) else {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            self.services.insert(id, Box::new(Service::new(record, self.seed)));
            return;
        };
        let differs = record.stale;
        service.machine.configure(Settings::from(&record.spec));
        let same = service.record().spec == record.spec;
        let moved = service.record().spec.pid_file != record.spec.pid_file;
        if service.record().spec.log != record.spec.log
            && let Err(error) = crate::logs::resettle(&self.places, &id, &record.spec.log)
        {
            tracing::warn!("{id}: its output is kept as before: {error}");
        }
        let other_health = service.record().spec.health != record.spec.health;
        if other_health {
            service.checked = None;
        }
        *service.record_mut() = record;
        if moved {
            self.move_pid_files(&id);
        }
        if let Some(service) = self.services.get_mut(&id).filter(|_| !same) {
            service.watched = false;
            let when = if differs && service.machine.is_alive() { "; it holds from its next start on" } else { "" };
            self.say(&id, EventKind::Changed, format!("its description changed{when}"));
            self.unwatch(&id);
        }
        self.note_watches(&id);
        let runs =
            self.services.get(&id).is_some_and(|service| service.machine.is_ready() && service.machine.is_alive());
        if other_health && runs {
            self.look_after(&id);
        }
    }

    /// Whether what comes after what makes a circle with these.
    fn check_order(&mut self, records: &[Record]) -> Result<(), Refusal> {
        for record in records {
            let before: Vec<ServiceId> = self.order.after(&record.id).cloned().collect();
            if before.is_empty() && record.spec.after.is_empty() {
                continue;
            }
            self.order.set(&record.id, &record.spec.after, record.spec.group());
            // It may have waited for these, or one of them for its end, and need not any more.
            self.look.extend(before);
            self.look.insert(record.id.clone());
        }
        let circle = records.iter().find_map(|record| self.order.cycle(&record.id));
        if let Some(circle) = circle {
            self.put_order_back(records);
            let words: Vec<String> = circle.iter().map(ToString::to_string).collect();
            return Err(Refusal::Config(format!("what comes after what makes a circle: {}", words.join(" -> "))));
        }
        Ok(())
    }

    /// As it was before these were looked at.
    fn put_order_back(&mut self, records: &[Record]) {
        for record in records {
            match self.services.get(&record.id).map(|service| service.record().spec.clone()) {
                Some(old) => self.order.set(&record.id, &old.after, old.group()),
                None => self.order.remove(&record.id),
            }
        }
    }

    pub(super) fn enable(&mut self, which: &Selection, enabled: bool) -> Result<Outcomes, Refusal> {
        let named = self.select(which)?;
        let passes = |id: &ServiceId| {
            let record = self.services.get(id).map(|service| service.record());
            record.is_some_and(|record| record.spec.project.is_none() && record.spec.enabled)
        };
        if let Some(first) = named.iter().next().filter(|_| enabled && named.iter().all(passes)) {
            let why =
                format!("{first} is in no config, and forgotten with the next boot: only what is in one is enabled");
            return Err(Refusal::Failed(why));
        }
        // Nothing but the record says so.
        self.check_writable(named.iter())?;
        let mut outcomes = Outcomes::new();
        for id in named {
            let Some(service) = self.services.get_mut(&id) else { continue };
            let new = {
                let mut record = service.record.borrow_mut();
                let before = std::mem::replace(&mut record.spec.enabled, enabled);
                if before != enabled {
                    record.enabled_in_config.get_or_insert(before);
                }
                before != enabled
            };
            if new {
                service.touch(true);
                self.unsaved.insert(id.clone());
                let word = if enabled { "enabled" } else { "disabled" };
                self.say(&id, EventKind::Changed, format!("it is {word}"));
            }
            outcomes.push((id, new));
        }
        Ok(outcomes)
    }

    pub(super) fn remove(&mut self, which: &Selection) -> Result<Outcomes, Refusal> {
        let named = self.select(which)?;
        // A record that stays would have the next daemon start it again.
        named
            .iter()
            .try_for_each(|id| self.store.check_removable(id))
            .map_err(|error| Refusal::Failed(error.to_string()))?;
        self.note_removed(&named)?;
        self.remove_all(&named);
        Ok(named.into_iter().map(|id| (id, true)).collect())
    }

    /// Stops these and forgets each as soon as it has.
    pub(super) fn remove_all(&mut self, named: &BTreeSet<ServiceId>) {
        let all = self.order.with_later(named.iter().cloned());
        self.remove_each(named, all);
    }

    /// Forgets these as soon as all has stopped that is to.
    pub(super) fn remove_each(&mut self, named: &BTreeSet<ServiceId>, stopped: BTreeSet<ServiceId>) {
        for id in named {
            if let Some(service) = self.services.get_mut(id) {
                service.removing = true;
            }
        }
        self.stop_each(stopped, named, false);
        for id in named {
            // One that never ran changes no state.
            if self.services.get(id).is_some_and(|service| service.machine.is_at_rest()) {
                self.forget(id);
            }
        }
    }

    /// The ports that it names, and that it was given.
    fn forget_ports(&mut self, id: &ServiceId) {
        let Some(service) = self.services.get(id) else { return };
        let record = service.record();
        let fixed = match record.spec.port {
            Some(PortSpec::Fixed(port)) => Some(port),
            _ => None,
        };
        for port in [fixed, record.port].into_iter().flatten() {
            if self.ports.get(&port) == Some(id) {
                self.ports.remove(&port);
            }
        }
    }

    /// It does not run, and nothing is to remind of it.
    pub(super) fn forget(&mut self, id: &ServiceId) {
        self.remove_record(id);
        self.unplaced(id);
        self.look_at_dependents(id);
        // What waits for its end does not find it any more.
        let earlier: Vec<ServiceId> = self.order.after(id).cloned().collect();
        self.look.extend(earlier);
        self.say(id, EventKind::Removed, "it is forgotten".to_owned());
        self.unwatch(id);
        self.order.remove(id);
        self.forget_ports(id);
        self.unsaved.remove(id);
        self.turns.over(id);
        let Some(mut service) = self.services.remove(id) else { return };
        service.cancel();
        if let Some(at) = service.deadline {
            self.timers.remove(&(at, id.clone()));
        }
        let project = service.record().spec.project.clone();
        if let Some(project) = project.filter(|project| self.removed.has(project, id)) {
            self.drop_removed(&project);
        }
    }
}

/// What `enable` and `disable` said holds until the config says otherwise than it did.
fn keep_enabled(new: &mut Record, old: &Record) {
    new.enabled_in_config = old.enabled_in_config.filter(|in_config| *in_config == new.spec.enabled);
    new.spec.enabled = enabled(old, &new.spec);
}
