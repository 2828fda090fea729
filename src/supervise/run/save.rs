//! The records: what of a machine goes into them, and when they are written.

use std::io;
use std::time::Duration;

use super::{Done, Supervisor};
use crate::model::ServiceId;
use crate::model::service::{BackendKind, Desired, EventKind, ServiceState};
use crate::registry::Record;
use crate::supervise::Refusal;
use crate::supervise::machine::Event;

/// How soon a record that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long it may stay unwritten that a unit runs: what comes one after the other is written once.
const MOMENT: Duration = Duration::from_millis(100);
/// The same while others are being started.
const BUSY: Duration = Duration::from_millis(500);

impl Supervisor {
    /// Takes over into the record what the machine now says.
    pub(super) fn note(&mut self, id: &ServiceId) {
        let Some(service) = self.services.get_mut(id) else { return };
        let (machine, counts) = (&service.machine, service.machine.counts());
        let mut record = service.record.borrow_mut();
        // What the daemon's own end does to services is not what they were asked to be: the next one starts
        // them, whatever their policy says of how they ended.
        let keeps = self.finishing.as_ref().is_some_and(|finishing| finishing.keeps_desire());
        let desired = if keeps { record.desired } else { counts.desired };
        let state = match machine.state() {
            ServiceState::Stopped if keeps && desired == Desired::Up => ServiceState::Restarting,
            state => state,
        };
        let asked = record.desired != desired;
        let changed = asked
            || record.state != state
            || record.ready != machine.is_ready()
            || record.failures != counts.failures
            || record.restarts != counts.restarts
            || record.last_exit != counts.last_exit
            || record.last_error != counts.last_error;
        if !changed {
            return;
        }
        if record.restarts != counts.restarts {
            record.last_restart_at = Some(super::tell::stamp());
        }
        record.desired = desired;
        if asked && record.boot_id != self.boot_id {
            // It has not run in this boot, and is told apart from what nobody has asked for in it.
            record.boot_id.clone_from(&self.boot_id);
        }
        (record.state, record.ready) = (state, machine.is_ready());
        (record.failures, record.restarts) = (counts.failures, counts.restarts);
        record.last_exit = counts.last_exit;
        record.last_error.clone_from(&counts.last_error);
        // A start writes the record itself, before its program runs; and what is written while a
        // tree is being cleared is written again when it is.
        let passing = state == ServiceState::Starting || machine.is_alive() && state != ServiceState::Running;
        drop(record);
        if asked || !passing {
            service.touch(asked);
            self.unsaved.insert(id.clone());
        }
    }

    /// Writes the records that changed, and sends what was to be told once that is so.
    pub(super) fn save(&mut self) {
        self.write(false);
        // No answer is given while some that were asked for are not yet written.
        if !self.turns.has_next_round() {
            self.sync();
        }
    }

    /// Writes them. Between rounds of starts those that wait for theirs wait with this, too: what was
    /// begun is to go out. That a unit runs is written a moment later: until then its record says that it
    /// is being started, and the next daemon asks the manager what became of that.
    fn write(&mut self, all: bool) {
        let moment = if self.turns.is_busy() { BUSY } else { MOMENT };
        let due = self.put_off.take_if(|since| since.elapsed() >= moment).is_some();
        if self.unsaved.is_empty() {
            return;
        }
        let (rounds, may_wait) = (!all && self.turns.has_next_round(), !all && !due);
        let now = super::tell::stamp();
        for id in std::mem::take(&mut self.unsaved) {
            let Some(service) = self.services.get_mut(&id) else { continue };
            let Some(must_last) = service.unsaved.get() else { continue };
            let machine = &service.machine;
            if rounds && machine.state() == ServiceState::Starting && !machine.is_being_executed() {
                self.unsaved.insert(id);
                continue;
            }
            let of_unit =
                |record: &Record| record.state == ServiceState::Running && record.backend == Some(BackendKind::Systemd);
            if may_wait && !must_last && of_unit(&service.record()) {
                self.unsaved.insert(id);
                continue;
            }
            service.unsaved.set(None);
            service.record_mut().updated_at = Some(now.clone());
            let result = self.store.save(&service.record(), false);
            if must_last && result.is_ok() {
                self.unsynced.insert(id.clone());
            }
            self.saved(&id, must_last, result);
        }
        if may_wait && !self.unsaved.is_empty() {
            self.put_off.get_or_insert_with(tokio::time::Instant::now);
            if !std::mem::replace(&mut self.looks, true) {
                self.later(MOMENT, Done::Look);
            }
        }
    }

    pub(super) fn saved(&mut self, id: &ServiceId, must_last: bool, result: io::Result<()>) {
        let Some(service) = self.services.get_mut(id) else { return };
        let why = result.err().map(|error| error.to_string());
        if why.is_some() {
            // With the next change of it, and in a while, it is tried again.
            service.touch(must_last);
        }
        let new = why.is_some() && why != service.unsaved_why;
        if why.is_none() && service.unsaved_why.is_some() {
            let _ = self.tell.send(super::Done::Event(id.clone(), Event::Writable));
        }
        service.unsaved_why.clone_from(&why);
        if why.is_some() {
            self.save_later();
        }
        if let Some(why) = why.filter(|_| new) {
            self.say(id, EventKind::Warning, why);
        }
    }

    /// Tries again in a while: what a full disk kept from being written must not stay unwritten
    /// when there is room.
    fn save_later(&mut self) {
        if std::mem::replace(&mut self.saves_later, true) {
            return;
        }
        self.later(AGAIN, Done::SaveAgain);
    }

    pub(super) fn later(&self, wait: Duration, what: Done) {
        let tell = self.tell.clone();
        crate::tasks::spawn_local(async move {
            tokio::time::sleep(wait).await;
            let _ = tell.send(what);
        });
    }

    pub(super) fn save_again(&mut self) {
        self.saves_later = false;
        let unsaved = self.services.iter().filter(|(_, service)| service.unsaved.get().is_some());
        self.unsaved.extend(unsaved.map(|(id, _)| id.clone()));
        for id in std::mem::take(&mut self.unremoved) {
            // One that was made anew meanwhile has a record of its own.
            if !self.services.contains_key(&id) && self.store.remove(&id).is_err() {
                self.unremoved.insert(id);
            }
        }
        if !self.unremoved.is_empty() {
            self.save_later();
        }
    }

    /// Writes everything down, at the end.
    pub(super) fn save_all(&mut self) {
        self.write(true);
        self.sync_all();
    }

    /// Writes the records of these as they are, before anything is done to them that could not be
    /// undone without that.
    pub(super) fn check_writable<'a>(&self, ids: impl Iterator<Item = &'a ServiceId>) -> Result<(), Refusal> {
        for service in ids.filter_map(|id| self.services.get(id)) {
            self.store.save(&service.record(), false).map_err(|error| Refusal::Failed(error.to_string()))?;
        }
        Ok(())
    }

    /// Removes a record, later if it cannot be removed now.
    pub(super) fn remove_record(&mut self, id: &ServiceId) {
        if let Err(error) = self.store.remove(id) {
            self.say(id, EventKind::Warning, error.to_string());
            self.unremoved.insert(id.clone());
            self.save_later();
        }
    }

    /// Writes these records. They survive a loss of power when the next answer is given.
    ///
    /// # Errors
    /// The first that cannot be written.
    pub(super) fn save_now(&mut self, records: &[Record]) -> io::Result<()> {
        for record in records {
            self.store.save(record, false)?;
            self.unsynced.insert(record.id.clone());
        }
        Ok(())
    }
}
