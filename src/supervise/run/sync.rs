//! What must survive a loss of power: definitions, and what services were asked to be.
//!
//! A record is written at once, and from then on no death of the daemon loses it; a loss of power
//! does, until the disk has it. Nothing but the answer to whoever asked waits for that: what runs
//! ends with the power as well.

use std::time::Duration;

use super::commands::reply;
use super::{Done, Supervisor};
use crate::model::ServiceId;
use crate::supervise::{Answer, Refusal};

/// How soon the disk is to have what nobody waits for.
const SOON: Duration = Duration::from_millis(100);

/// An answer that waits for the disk.
pub(super) type Later = Box<dyn FnOnce()>;

/// What the disk is to have, and who waits for that.
#[derive(Default)]
pub(super) struct Syncing {
    /// Whose records were written meanwhile.
    under_way: Option<Vec<ServiceId>>,
    /// Answers after what is under way.
    then: Vec<Later>,
    /// Answers after the next.
    answers: Vec<Later>,
    /// It is looked at in a moment.
    soon: bool,
}

impl Supervisor {
    /// Does what was asked for, and answers when the disk has it.
    pub(super) fn answer<T: 'static>(&mut self, answer: Answer<T>, work: impl FnOnce(&mut Self) -> Result<T, Refusal>) {
        let result = work(self);
        self.syncing.answers.push(Box::new(move || reply(answer, result)));
    }

    /// Has the disk take what it does not have, if somebody waits for that or has not for a while.
    pub(super) fn sync(&mut self) {
        if self.syncing.under_way.is_some() {
            return;
        }
        if self.unsynced.is_empty() {
            self.syncing.answers.drain(..).for_each(|answer| answer());
        } else if !self.syncing.answers.is_empty() {
            self.sync_now();
        } else if !std::mem::replace(&mut self.syncing.soon, true) {
            self.later(SOON, Done::Sync);
        }
    }

    /// The moment has passed.
    pub(super) fn sync_soon(&mut self) {
        self.syncing.soon = false;
        if self.syncing.under_way.is_none() && !self.unsynced.is_empty() {
            self.sync_now();
        }
    }

    fn sync_now(&mut self) {
        let ids: Vec<ServiceId> = std::mem::take(&mut self.unsynced).into_iter().collect();
        self.syncing.under_way = Some(ids.clone());
        self.syncing.then = std::mem::take(&mut self.syncing.answers);
        let (store, tell) = (self.store.clone(), self.tell.clone());
        crate::tasks::spawn_local(async move {
            let synced = tokio::task::spawn_blocking(move || store.sync(&ids)).await;
            let _ = tell.send(Done::Synced(synced.unwrap_or_default()));
        });
    }

    /// The disk has it, but for these.
    pub(super) fn synced(&mut self, failed: Vec<(ServiceId, std::io::Error)>) {
        self.syncing.under_way = None;
        for (id, error) in failed {
            self.saved(&id, true, Err(error));
        }
        self.syncing.then.drain(..).for_each(|answer| answer());
    }

    /// The last: the disk is to have everything before this returns.
    pub(super) fn sync_all(&mut self) {
        let under_way = self.syncing.under_way.take().into_iter().flatten();
        let ids: Vec<ServiceId> = under_way.chain(std::mem::take(&mut self.unsynced)).collect();
        for (id, error) in self.store.sync(&ids) {
            tracing::warn!("{id}: {error}");
        }
        let Syncing { then, answers, .. } = std::mem::take(&mut self.syncing);
        then.into_iter().chain(answers).for_each(|answer| answer());
    }
}
