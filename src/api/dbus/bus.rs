//! The session bus: the same objects, under the name of provost.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use zbus::connection::Builder;
use zbus::fdo::{RequestNameFlags, RequestNameReply};
use zbus::names::WellKnownName;

use super::NAME;
use super::serve::{Api, Peers, serve};

/// The first wait for a bus that has gone, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Where the session bus is: as the environment says, else the user's bus. `None`: there is none.
pub(crate) fn session_address(uid: u32) -> Option<String> {
    let usual = || {
        let dir = crate::observe::env("XDG_RUNTIME_DIR");
        let path = crate::systemd::user_bus_path(uid, dir.as_deref());
        path.exists().then(|| format!("unix:path={}", path.display()))
    };
    let named = crate::observe::env("DBUS_SESSION_BUS_ADDRESS");
    // One that is not there (a login that has ended) is none.
    let there = |address: &String| match address.strip_prefix("unix:path=") {
        Some(path) => Path::new(path.split(',').next().unwrap_or(path)).exists(),
        None => true,
    };
    named.filter(there).or_else(usual)
}

/// Serves on the bus for ever. A bus that goes away is waited for.
pub(crate) async fn serve_on(address: String, api: Arc<Api>) {
    let mut wait = AGAIN.0;
    loop {
        match once(&address, &api, &mut wait).await {
            Ok(false) => return,
            Ok(true) => tracing::info!("the session bus has gone; it is looked for again"),
            Err(error) => tracing::debug!("the session bus: {error}"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN.1);
    }
}

/// Serves until the bus goes away; false if the name belongs to somebody else.
async fn once(address: &str, api: &Arc<Api>, wait: &mut Duration) -> zbus::Result<bool> {
    let messages = Builder::address(address).build_message_stream().await?;
    let connection = zbus::Connection::from(&messages);
    let name = WellKnownName::try_from(NAME)?;
    // The stream has the calls; whoever knows the name may call from now on.
    let serving = serve(messages, Arc::clone(api), Peers::Bus);
    let named = async {
        let reply = connection.request_name_with_flags(name, RequestNameFlags::DO_NOT_QUEUE).await;
        match reply {
            Ok(RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner) => {
                tracing::info!("serving {NAME} on the session bus");
                Ok(true)
            }
            Ok(_) | Err(zbus::Error::NameTaken) => Ok(false),
            Err(error) => Err(error),
        }
    };
    let mut serving = std::pin::pin!(serving);
    let named = tokio::select! {
        named = named => named?,
        served = &mut serving => return served.map(|()| true),
    };
    if !named {
        tracing::warn!("{NAME} on the session bus belongs to another program: only the control socket is served");
        return Ok(false);
    }
    *wait = AGAIN.0;
    // That it ends with an error is how a bus goes away.
    if let Err(error) = serving.await {
        tracing::debug!("the session bus: {error}");
    }
    Ok(true)
}
