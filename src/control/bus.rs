//! The system's daemon, over the system bus: the bus starts it where that is so arranged, and tells
//! when it has gone.

use std::time::Duration;

use zbus::connection::Builder;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::{MatchRule, MessageStream, fdo, message};

use crate::api::dbus::NAME;
use crate::error::Error;
use crate::systemd::{CallError, next};

/// The longest time for an answer that may have to wait for a password.
const PASSWORD: Duration = Duration::from_secs(6 * 60);
/// How long the bus may take to say hello.
const HELLO: Duration = Duration::from_secs(5);
/// How long a bus that has gone is looked for, and how often.
const AGAIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

/// A connection to the system's daemon, which is started if the bus can; `None` if there is none.
pub(super) async fn connect() -> Result<Option<zbus::Connection>, Error> {
    let none = |e: &dyn std::fmt::Display| Error::Unreachable(format!("the system bus: {e}"));
    let bus = hello().await?;
    if is_there(&bus).await? {
        return Ok(Some(bus));
    }
    let proxy = fdo::DBusProxy::new(&bus).await.map_err(|e| none(&e))?;
    let names = proxy.list_activatable_names().await.map_err(|e| none(&e))?;
    if !names.iter().any(|name| name.as_str() == NAME) {
        return Ok(None);
    }
    let name = NAME.try_into().map_err(|e: zbus::Error| none(&e))?;
    match proxy.start_service_by_name(name, 0).await {
        Ok(_) => Ok(Some(bus)),
        Err(error) => {
            let error = CallError::from(error);
            Err(Error::Unreachable(format!(
                "the system's daemon cannot be started: {error}; 'systemctl status provost'"
            )))
        }
    }
}

async fn hello() -> Result<zbus::Connection, Error> {
    let none = |e: &dyn std::fmt::Display| Error::Unreachable(format!("the system bus: {e}"));
    let hello = Builder::system().method_timeout(PASSWORD).build();
    tokio::time::timeout(HELLO, hello).await.map_err(|e| none(&e))?.map_err(|e| none(&e))
}

/// A connection to the daemon that follows one that has gone: this one, or a new one where the bus has
/// gone, too. It is not started by this: somebody may have stopped it. `None`: there is no bus any more.
pub(super) async fn next_daemon(mut bus: zbus::Connection) -> Option<zbus::Connection> {
    while named(&bus).await.is_err() {
        let begin = tokio::time::Instant::now();
        bus = loop {
            match hello().await {
                Ok(bus) => break bus,
                Err(_) if begin.elapsed() < AGAIN => tokio::time::sleep(LOOK).await,
                Err(_) => return None,
            }
        };
    }
    Some(bus)
}

/// Waits until a daemon has the name.
async fn named(bus: &zbus::Connection) -> zbus::Result<()> {
    let mut changes = changes(bus).await?;
    while !fdo::DBusProxy::new(bus).await?.name_has_owner(NAME.try_into()?).await? {
        next(&mut changes).await.ok_or(zbus::Error::InvalidReply)??;
    }
    Ok(())
}

/// What the bus says of who has the name.
async fn changes(bus: &zbus::Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .member("NameOwnerChanged")
        .arg(0, NAME);
    MessageStream::for_match_rule(rule.build()?, bus, None).await
}

/// Whether it runs.
pub(super) async fn is_there(bus: &zbus::Connection) -> Result<bool, Error> {
    let none = |e: &dyn std::fmt::Display| Error::Unreachable(format!("the system bus: {e}"));
    let name = BusName::try_from(NAME).map_err(|e| none(&e))?;
    let proxy = fdo::DBusProxy::new(bus).await.map_err(|e| none(&e))?;
    proxy.name_has_owner(name).await.map_err(|e| none(&e))
}

/// Who has the name, and when it has it no more. Anybody may send signals on this bus: only those of
/// the owner count.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) name: OwnedUniqueName,
    changes: MessageStream,
}

impl Owner {
    pub(super) async fn of(bus: &zbus::Connection) -> zbus::Result<Self> {
        let changes = changes(bus).await?;
        let name = fdo::DBusProxy::new(bus).await?.get_name_owner(NAME.try_into()?).await?;
        Ok(Self { name, changes })
    }

    /// Waits until it has the name no more. It can be dropped and called again.
    pub(super) async fn gone(&mut self) {
        while let Some(Ok(change)) = next(&mut self.changes).await {
            let of_bus = change.header().sender().is_some_and(|sender| sender == "org.freedesktop.DBus");
            let body = change.body();
            let change: Result<(String, String, String), _> = body.deserialize();
            if of_bus && change.is_ok_and(|(name, old, _)| name == NAME && old == self.name.as_str()) {
                return;
            }
        }
    }
}
