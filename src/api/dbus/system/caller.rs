//! Who calls: as the bus says, never as the message does.

use std::collections::HashMap;

use zbus::OwnedVariant;

const BUS: &str = "org.freedesktop.DBus";

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

/// The user of a connection; `None`: it has gone, or the bus does not say, which is the same.
pub(super) async fn uid_of(bus: &zbus::Connection, name: &str) -> Option<u32> {
    let call = bus.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "GetConnectionCredentials", &name);
    let reply = call.await.map_err(|error| tracing::debug!("{name}: {error}")).ok()?;
    let all: HashMap<String, OwnedVariant> = reply.body().deserialize().ok()?;
    u32::try_from(all.get("UnixUserID")?).ok()
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
