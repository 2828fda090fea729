//! The records: what of a machine goes into them, and when they are written.

use std::io;

use super::Supervisor;
use crate::model::ServiceId;
use crate::model::service::{EventKind, ServiceState};
use crate::registry::{Record, Store};
use crate::supervise::Refusal;
use crate::supervise::machine::Event;

/// How soon a record that could not be written is tried again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(2);

/// As many threads write at once: a disk that is told of several writes carries them out together.
const WRITERS: usize = 16;

impl Supervisor {
    /// Takes over into the record what the machine now says.
    pub(super) fn note(&mut self, id: &ServiceId) {
        let Some(service) = self.services.get_mut(id) else { return };
        let (machine, counts) = (&service.machine, service.machine.counts());
        let mut record = service.record.borrow_mut();
        let state = machine.state();
        // What the daemon's own end does to services is not what they were asked to be.
        let desired = if self.finishing.as_ref().is_some_and(|finishing| finishing.keeps_desire()) {
            record.desired
        } else {
            counts.desired
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
        if asked && record.boot_id.is_empty() {
            // It has never run, and is told apart from what nobody has ever asked for in this boot.
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

    /// Writes all records that changed.
    pub(super) fn save(&mut self) {
        if self.unsaved.is_empty() {
            return;
        }
        let now = super::tell::stamp();
        let mut durable = Vec::new();
        let mut results = Vec::new();
        for id in std::mem::take(&mut self.unsaved) {
            let Some(service) = self.services.get_mut(&id) else { continue };
            let Some(must_last) = service.unsaved.take() else { continue };
            service.record_mut().updated_at = Some(now.clone());
            if must_last {
                durable.push(service.record().clone());
            } else {
                let result = self.store.save(&service.record(), false);
                results.push((id, false, result));
            }
        }
        results.extend(save_all(&self.store, &durable).into_iter().map(|(id, result)| (id, true, result)));
        for (id, must_last, result) in results {
            self.saved(&id, must_last, result);
        }
    }

    fn saved(&mut self, id: &ServiceId, must_last: bool, result: io::Result<()>) {
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
        let tell = self.tell.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(AGAIN).await;
            let _ = tell.send(super::Done::SaveAgain);
        });
    }

    pub(super) fn save_again(&mut self) {
        self.saves_later = false;
        let unsaved = self.services.iter().filter(|(_, service)| service.unsaved.is_some());
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

    /// Writes these records so that they survive a loss of power.
    ///
    /// # Errors
    /// The first that cannot be written.
    pub(super) fn save_now(&self, records: &[Record]) -> io::Result<()> {
        save_all(&self.store, records).into_iter().try_for_each(|(_, result)| result)
    }
}

/// Many at once wait for the disk together.
fn save_all(store: &Store, records: &[Record]) -> Vec<(ServiceId, io::Result<()>)> {
    let one = |record: &Record| (record.id.clone(), store.save(record, true));
    if records.len() < 3 {
        return records.iter().map(one).collect();
    }
    let share = records.len().div_ceil(WRITERS);
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            records.chunks(share).map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}
