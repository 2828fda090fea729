//! Where the output of services goes in each backend.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::direct::Output;
use crate::backend::systemd::Systemd;
use crate::backend::{Adoption, Backend, Launch, Marked, Placed, StartError, Use};
use crate::logs::capture::{self, Capture};
use crate::logs::journal;
use crate::model::service::BackendKind;
use crate::model::{Manager, ServiceId, Signal, Whom};
use crate::registry::Record;
use crate::supervise::run::LogMatch;

/// Children write into files.
pub(super) struct Captured(pub(super) Rc<Capture>);

impl Output for Captured {
    fn open(&self, id: &ServiceId) -> io::Result<(OwnedFd, OwnedFd)> {
        open(&self.0, id)
    }

    fn resume(&self, id: &ServiceId) -> io::Result<()> {
        self.0.resume(id)
    }

    fn drain(&self, id: &ServiceId) -> io::Result<()> {
        self.0.drain(id)
    }

    fn close(&self, id: &ServiceId) -> io::Result<()> {
        self.0.close(id)
    }
}

/// The two ends for a start; the error names the file system that is full or read-only, and what
/// is kept there.
pub(super) fn open(capture: &Capture, id: &ServiceId) -> io::Result<(OwnedFd, OwnedFd)> {
    capture.open(id).map(|streams| (streams.out, streams.err)).map_err(|error| {
        let place = capture.place().join(id.as_str());
        let named = match error.to_string() {
            text if text.contains('/') => error,
            text => io::Error::new(error.kind(), format!("{text} ({})", place.display())),
        };
        crate::disk::explained(named, &place)
    })
}

/// Units write into the journal; into files where that is asked for, or where the journal would
/// be closed to who started them.
pub(super) struct Logged {
    units: Systemd,
    capture: Rc<Capture>,
    to_files: bool,
}

impl Logged {
    pub(super) fn new(units: Systemd, capture: Rc<Capture>, manager: Manager) -> Self {
        let closed = journal::access(manager).err();
        if let Some(why) = &closed {
            tracing::info!("output goes to files: {why}");
        }
        Self { units, capture, to_files: closed.is_some() }
    }
}

impl Backend for Logged {
    fn kind(&self) -> BackendKind {
        self.units.kind()
    }

    async fn start(
        &self,
        launch: &Launch,
        run: u64,
        record: &dyn Fn(&Placed) -> io::Result<()>,
    ) -> Result<Placed, StartError> {
        if self.to_files && !launch.log_file {
            let launch = Launch { log_file: true, ..launch.clone() };
            return self.units.start(&launch, run, record).await;
        }
        self.units.start(launch, run, record).await
    }

    async fn signal(&self, id: &ServiceId, signal: Signal, whom: Whom) -> io::Result<()> {
        self.units.signal(id, signal, whom).await
    }

    async fn stop(&self, id: &ServiceId, signal: Signal) -> io::Result<()> {
        self.units.stop(id, signal).await
    }

    async fn clear(&self, id: &ServiceId) -> Result<(), String> {
        self.units.clear(id).await
    }

    async fn adopt(&self, record: &Record, run: u64) -> io::Result<Adoption> {
        let adoption = self.units.adopt(record, run).await;
        let runs = matches!(adoption, Ok(Adoption::Running(_)));
        // Of one that has ended there may be something in the pipes, which a keeper has held.
        let ended = matches!(adoption, Ok(Adoption::Ended(_)));
        if (runs && (self.to_files || record.spec.log.file) || ended && self.capture.has_pipes(&record.id))
            && let Err(error) = self.capture.resume(&record.id)
        {
            tracing::warn!("{}: its output is not captured: {error}", record.id);
        }
        adoption
    }

    async fn release(&self, id: &ServiceId) {
        self.units.release(id).await;
        if let Err(error) = self.capture.close(id) {
            tracing::warn!("{id}: {error}");
        }
    }

    fn processes(&self, id: &ServiceId) -> Vec<u32> {
        self.units.processes(id)
    }

    fn cgroup(&self, id: &ServiceId) -> Option<PathBuf> {
        self.units.cgroup(id)
    }

    async fn beat(&self, id: &ServiceId) -> Option<Instant> {
        self.units.beat(id).await
    }

    async fn marked(&self) -> io::Result<Vec<Marked>> {
        self.units.marked().await
    }

    fn runs_commands(&self) -> bool {
        self.units.runs_commands()
    }

    async fn run_command(&self, launch: &Launch, what: Use, limit: Duration) -> Result<(), String> {
        self.units.run_command(launch, what, limit).await
    }
}

/// Waits for a line of a service: in its files, or in the journal where it has none.
pub(super) fn log_match(capture: Rc<Capture>) -> LogMatch {
    Rc::new(move |record, pattern| {
        let capture = Rc::clone(&capture);
        Box::pin(async move {
            match capture.lines(&record.id) {
                Ok(lines) => capture::matching(lines, &pattern).await,
                Err(_) => crate::logs::journal::matching(&record, &pattern).await,
            }
        })
    })
}
