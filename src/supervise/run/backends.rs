//! The backends that a daemon has, behind one object-safe face.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::{Adoption, AwaitRoom, Backend, Launch, Marked, Placed, Room, StartError, Use};
use crate::model::service::BackendKind;
use crate::model::{ServiceId, Signal, Whom};
use crate::registry::Record;

type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
/// What is called with what is known before a program is executed.
pub(super) type Recorder<'a> = &'a dyn Fn(&Placed) -> io::Result<()>;

/// [`Backend`] with boxed futures; the methods are the same.
pub(super) trait AnyBackend {
    fn kind(&self) -> BackendKind;
    fn start<'a>(&'a self, launch: &'a Launch, run: u64, record: Recorder<'a>)
    -> Later<'a, Result<Placed, StartError>>;
    fn room(&self) -> Result<Room, AwaitRoom>;
    fn signal<'a>(&'a self, id: &'a ServiceId, signal: Signal, whom: Whom) -> Later<'a, io::Result<()>>;
    fn stop<'a>(&'a self, id: &'a ServiceId, signal: Signal) -> Later<'a, io::Result<()>>;
    fn clear<'a>(&'a self, id: &'a ServiceId) -> Later<'a, Result<(), String>>;
    fn adopt<'a>(&'a self, record: &'a Record, run: u64) -> Later<'a, io::Result<Adoption>>;
    fn release<'a>(&'a self, id: &'a ServiceId) -> Later<'a, ()>;
    fn processes(&self, id: &ServiceId) -> Vec<u32>;
    fn cgroup(&self, id: &ServiceId) -> Option<PathBuf>;
    fn beat<'a>(&'a self, id: &'a ServiceId) -> Later<'a, Option<Instant>>;
    fn marked(&self) -> Later<'_, io::Result<Vec<Marked>>>;
    fn runs_commands(&self) -> bool;
    fn run_command<'a>(&'a self, launch: &'a Launch, what: Use, limit: Duration) -> Later<'a, Result<(), String>>;
}

struct Erased<B>(B);

impl<B: Backend> AnyBackend for Erased<B> {
    fn kind(&self) -> BackendKind {
        self.0.kind()
    }

    fn start<'a>(
        &'a self,
        launch: &'a Launch,
        run: u64,
        record: Recorder<'a>,
    ) -> Later<'a, Result<Placed, StartError>> {
        Box::pin(self.0.start(launch, run, record))
    }

    fn room(&self) -> Result<Room, AwaitRoom> {
        self.0.room()
    }

    fn signal<'a>(&'a self, id: &'a ServiceId, signal: Signal, whom: Whom) -> Later<'a, io::Result<()>> {
        Box::pin(self.0.signal(id, signal, whom))
    }

    fn stop<'a>(&'a self, id: &'a ServiceId, signal: Signal) -> Later<'a, io::Result<()>> {
        Box::pin(self.0.stop(id, signal))
    }

    fn clear<'a>(&'a self, id: &'a ServiceId) -> Later<'a, Result<(), String>> {
        Box::pin(self.0.clear(id))
    }

    fn adopt<'a>(&'a self, record: &'a Record, run: u64) -> Later<'a, io::Result<Adoption>> {
        Box::pin(self.0.adopt(record, run))
    }

    fn release<'a>(&'a self, id: &'a ServiceId) -> Later<'a, ()> {
        Box::pin(self.0.release(id))
    }

    fn processes(&self, id: &ServiceId) -> Vec<u32> {
        self.0.processes(id)
    }

    fn cgroup(&self, id: &ServiceId) -> Option<PathBuf> {
        self.0.cgroup(id)
    }

    fn beat<'a>(&'a self, id: &'a ServiceId) -> Later<'a, Option<Instant>> {
        Box::pin(self.0.beat(id))
    }

    fn marked(&self) -> Later<'_, io::Result<Vec<Marked>>> {
        Box::pin(self.0.marked())
    }

    fn runs_commands(&self) -> bool {
        self.0.runs_commands()
    }

    fn run_command<'a>(&'a self, launch: &'a Launch, what: Use, limit: Duration) -> Later<'a, Result<(), String>> {
        Box::pin(self.0.run_command(launch, what, limit))
    }
}

/// All of them, and that whose services have all ended with it, because what ran them is no more.
#[derive(Clone, Default)]
pub(crate) struct Backends(Vec<Rc<dyn AnyBackend>>, Option<BackendKind>);

impl Backends {
    /// With one more.
    pub(crate) fn with(mut self, backend: impl Backend + 'static) -> Self {
        self.0.push(Rc::new(Erased(backend)));
        self
    }

    /// Without this one: its manager has ended, and every service that it had.
    pub(crate) fn without(mut self, kind: BackendKind) -> Self {
        self.1 = Some(kind);
        self
    }

    /// Whether nothing that it has started can be left.
    pub(super) fn has_ended(&self, kind: BackendKind) -> bool {
        self.1 == Some(kind) && self.get(kind).is_none()
    }

    pub(super) fn get(&self, kind: BackendKind) -> Option<Rc<dyn AnyBackend>> {
        self.0.iter().find(|backend| backend.kind() == kind).cloned()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Rc<dyn AnyBackend>> + '_ {
        self.0.iter().cloned()
    }

    /// The one that services get unless they choose: systemd where there is one, else the first.
    pub(crate) fn usual(&self) -> Option<BackendKind> {
        let systemd = self.0.iter().find(|backend| backend.kind() == BackendKind::Systemd);
        systemd.or(self.0.first()).map(|backend| backend.kind())
    }
}

impl std::fmt::Debug for Backends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|backend| backend.kind())).finish()
    }
}
