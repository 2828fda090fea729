//! Who calls: as the bus says, never as the message does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use zbus::OwnedVariant;
use zbus::connection::Builder;

const BUS: &str = "org.freedesktop.DBus";
/// How many are asked about at the same time.
const AT_ONCE: usize = 64;
/// How long the bus may take to say who somebody is.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of the system bus. Its unique name is never given to another one while the bus lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Its unique name: what polkit is asked about.
    pub(crate) name: String,
    /// The user that it was when it connected.
    pub(crate) uid: u32,
}

impl Caller {
    /// Whether it needs to be asked for nothing.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// What says who somebody is: the bus, over a connection of its own, so that its answers do not wait
/// behind the calls of others.
#[derive(Debug, Clone)]
pub(super) struct Who {
    bus: zbus::Connection,
    /// A connection may wait for 128 replies.
    turns: Arc<Semaphore>,
}

impl Who {
    pub(super) async fn connect() -> zbus::Result<Self> {
        let bus = Builder::system().method_timeout(PATIENCE).build().await?;
        Ok(Self { bus, turns: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Waits until the connection has ended.
    pub(super) async fn closed(&self) {
        self.bus.closed().await;
    }

    /// The user of a connection; `None`: it has gone, or the bus does not say, which is the same.
    pub(super) async fn uid_of(&self, name: &str) -> Option<u32> {
        let _turn = self.turns.acquire().await.ok()?;
        let ask = "GetConnectionCredentials";
        let call = self.bus.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), ask, &name);
        let reply = call.await.map_err(|error| tracing::debug!("{name}: {error}")).ok()?;
        let all: HashMap<String, OwnedVariant> = reply.body().deserialize().ok()?;
        u32::try_from(all.get("UnixUserID")?).ok()
    }
}

/// Has the bus tell whose connections end.
pub(super) async fn watch(bus: &zbus::Connection) -> zbus::Result<()> {
    let rule = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''";
    bus.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "AddMatch", &rule).await.map(drop)
}

/// The connection that has ended, if this is how the bus tells it.
pub(super) fn gone(signal: &zbus::Message) -> Option<String> {
    let header = signal.header();
    let of_bus = header.sender().is_some_and(|sender| sender == BUS)
        && header.interface().is_some_and(|interface| interface == BUS)
        && header.member().is_some_and(|member| member == "NameOwnerChanged");
    let (name, _, new): (String, String, String) = of_bus.then(|| signal.body().deserialize().ok()).flatten()?;
    (name.starts_with(':') && new.is_empty()).then_some(name)
}
