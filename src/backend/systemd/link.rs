//! The connection to the manager: made anew when it breaks, never asked too much at once.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::Scope;
use crate::model::UnitName;
use crate::systemd::{self, CallError, Manager, Owner, Signals, UnitSignals};

/// The bus allows 128 calls without an answer for each connection, and the manager is one thread.
const IN_FLIGHT: usize = 100;
/// How long a call waits for a connection that is being made.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it takes at most until all have noticed that the connection broke.
const NOTICE: Duration = Duration::from_millis(500);
/// What a bus says in the name of who left it before the answer, and is not back.
const AWAY: [&str; 3] = ["NoReply", "ServiceUnknown", "NameHasNoOwner"];
/// How long the first retry waits, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The way to one manager.
#[derive(Debug)]
pub(super) struct Link {
    scope: Scope,
    bus: Option<PathBuf>,
    manager: watch::Sender<Option<Manager>>,
    owner: Owner,
    in_flight: Semaphore,
    /// Why there is no connection.
    why: RefCell<String>,
}

impl Link {
    /// `runtime_dir`: where the bus of the user is, as the environment has it.
    pub(super) fn new(scope: Scope, runtime_dir: Option<&str>) -> Self {
        let bus = match scope {
            Scope::User(uid) => Some(systemd::user_bus_path(uid, runtime_dir)),
            Scope::System => None,
        };
        let (manager, _) = watch::channel(None);
        let (owner, in_flight) = (Owner::default(), Semaphore::new(IN_FLIGHT));
        Self { scope, bus, manager, owner, in_flight, why: RefCell::default() }
    }

    /// The folder of what the manager keeps while it runs.
    pub(super) fn runtime_dir(&self) -> &Path {
        self.bus.as_deref().and_then(Path::parent).unwrap_or(Path::new("/run"))
    }

    /// Connects once, and listens.
    pub(super) async fn connect(&self) -> Result<Signals, CallError> {
        let connection = match (self.scope, &self.bus) {
            (Scope::User(uid), Some(path)) => systemd::connect_user(path, uid, uid).await?,
            _ => systemd::connect_system().await?,
        };
        let manager = Manager::new(connection).await?;
        let signals = Signals::listen(&manager, self.owner.clone()).await?;
        self.manager.send_replace(Some(manager));
        Ok(signals)
    }

    /// The connection broke: connects again, however long that takes.
    pub(super) async fn reconnect(&self) -> Signals {
        self.manager.send_replace(None);
        let (mut wait, longest) = RETRY;
        loop {
            tokio::time::sleep(wait).await;
            match self.connect().await {
                Ok(signals) => return signals,
                Err(error) => *self.why.borrow_mut() = error.to_string(),
            }
            wait = (wait * 2).min(longest);
        }
    }

    async fn manager(&self) -> Result<Manager, CallError> {
        let mut watcher = self.manager.subscribe();
        let connected = tokio::time::timeout(PATIENCE, watcher.wait_for(Option::is_some)).await;
        let found = connected.ok().and_then(Result::ok).and_then(|found| found.clone());
        found.ok_or_else(|| CallError::Lost(format!("the bus is away: {}", self.why.borrow())))
    }

    /// Listens to the changes of a unit.
    pub(super) async fn listen(&self, unit: &UnitName) -> Result<UnitSignals, CallError> {
        UnitSignals::listen(&self.manager().await?, unit, self.owner.clone()).await
    }

    /// Something that takes this many calls at once.
    pub(super) async fn call<T>(
        &self,
        calls: u32,
        ask: impl AsyncFn(Manager) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let manager = self.manager().await?;
        let _permit = self.in_flight.acquire_many(calls).await;
        ask(manager).await
    }

    /// One call that may be repeated: once more if the connection broke while it was asked, and as
    /// long as the manager is away from its bus because it executes itself anew.
    pub(super) async fn ask<T>(&self, ask: impl AsyncFn(Manager) -> Result<T, CallError>) -> Result<T, CallError> {
        let mut watcher = self.manager.subscribe();
        let (begin, mut broke) = (tokio::time::Instant::now(), false);
        loop {
            // On the heap: what waits for a call waits inside of much else.
            match Box::pin(self.call(1, &ask)).await {
                Err(CallError::Lost(_)) if !broke => {
                    broke = true;
                    // That it broke is noticed here and by the reader of signals, in either order.
                    let _no_other = tokio::time::timeout(NOTICE, watcher.changed()).await;
                }
                Err(error) if AWAY.contains(&error.short_name()) && begin.elapsed() < PATIENCE => {
                    tokio::time::sleep(RETRY.0).await;
                }
                other => return other,
            }
        }
    }
}
