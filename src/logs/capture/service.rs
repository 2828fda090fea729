//! One service that is captured.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Weak;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::layout::Side;
use super::super::{folder, settings};
use super::sink::Sink;
use crate::model::ServiceId;
use crate::paths::Places;

/// How often it is looked whether the settings of one that writes have changed.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Service {
    pub(super) id: ServiceId,
    pub(super) pipes: [OwnedFd; 2],
    pub(super) sink: Sink,
    /// When its settings were looked at last, and which they were.
    settings: (Instant, Option<SystemTime>),
    /// Of those who wait for lines.
    pub(super) news: Weak<Notify>,
}

impl Service {
    pub(super) fn new(places: &Places, id: &ServiceId, pipes: [OwnedFd; 2]) -> Self {
        let sink = Sink::new(folder(places, id), places.uid, &settings::load(places, id));
        let settings = (Instant::now(), settings::changed(places, id));
        Self { id: id.clone(), pipes, sink, settings, news: Weak::new() }
    }

    /// From now on it is kept as its settings say.
    pub(super) fn settle(&mut self, places: &Places) {
        let settings = settings::load(places, &self.id);
        let dir = folder(places, &self.id);
        if dir == self.sink.dir {
            self.sink.set(&settings);
        } else {
            // Nothing more comes where it was; a last line without an end is one.
            if let Err(error) = self.sink.leave() {
                tracing::warn!("the output of the run before is left as it is: {error}");
            }
            self.sink = Sink::new(dir, places.uid, &settings);
        }
        self.settings = (Instant::now(), settings::changed(places, &self.id));
    }

    /// The same of one that runs: its files stay where they are.
    pub(super) fn look_at_settings(&mut self, places: &Places) {
        if self.settings.0.elapsed() < LOOK {
            return;
        }
        let now = (Instant::now(), settings::changed(places, &self.id));
        if std::mem::replace(&mut self.settings, now).1 != now.1 {
            self.sink.set(&settings::load(places, &self.id));
        }
    }

    /// Moves what an earlier run has left; an error shows again when there is more.
    pub(super) fn empty(&mut self) {
        if let Err(error) = self.drain() {
            tracing::warn!("what an earlier run has written is not captured yet: {error}");
        }
        self.tell();
    }

    /// Moves what is in the pipes now, and not what comes meanwhile: there may be no end to that.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        for side in Side::BOTH {
            let pipe = &self.pipes[side as usize];
            let mut left = rustix::io::ioctl_fionread(pipe)?;
            while left > 0 {
                match self.sink.take(side, pipe) {
                    Ok(moved) => left = left.saturating_sub(moved as u64),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    pub(super) fn tell(&self) {
        if let Some(news) = self.news.upgrade() {
            news.notify_waiters();
        }
    }
}
