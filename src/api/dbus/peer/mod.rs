//! The control socket: D-Bus peer to peer, for the owner of the daemon and root.
//!
//! Each connection is one task with bounds of its own, so that no peer, whatever it sends and
//! whatever it leaves unread, holds up the daemon or fills its memory.

mod auth;
mod transport;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use zbus::connection::Builder;

use super::serve::{Api, Peers};
use transport::Bounded;
pub(super) use transport::Ticket;
#[cfg(test)]
pub(super) use transport::length as message_length;

/// How many connections there may be.
const CONNECTIONS: usize = 256;
/// How long a greeting may take.
const GREETING: Duration = Duration::from_secs(5);

/// The socket.
#[derive(Debug)]
pub(crate) struct ControlSocket(UnixListener);

impl ControlSocket {
    /// Makes it. A file that an earlier daemon has left is replaced: who holds the lock of the
    /// instance may.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self(UnixListener::bind(path)?))
    }

    /// Takes the one of the program that executed this one.
    pub(crate) fn inherited(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self(UnixListener::from_std(listener)?))
    }

    /// A descriptor of the same socket, for a program that this one executes.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }

    /// Serves for ever; dropped, it ends all connections.
    pub(crate) async fn serve(&self, api: Arc<Api>) {
        let own = rustix::process::geteuid().as_raw();
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let budget = Arc::new(Semaphore::new(transport::BUDGET));
        let guid = zbus::Guid::generate().to_string();
        let mut number = 0u64;
        // They end with this.
        let mut peers = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.0.accept() => accepted,
                Some(_) = peers.join_next(), if !peers.is_empty() => continue,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // No descriptors are left, most likely: trying again at once would spin.
                    tracing::warn!("the control socket: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let uid = match stream.peer_cred() {
                Ok(peer) => peer.uid(),
                Err(error) => {
                    tracing::warn!("the control socket: {error}");
                    continue;
                }
            };
            if uid != own && uid != 0 {
                tracing::warn!("uid {uid} was turned away from the control socket");
                continue;
            }
            let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
                tracing::debug!("a connection was turned away: there are {CONNECTIONS} of them");
                continue;
            };
            number += 1;
            let name = format!(":1.{number}");
            let (api, budget, guid) = (Arc::clone(&api), Arc::clone(&budget), guid.clone());
            let counted = Counted::new(Arc::clone(&api));
            peers.spawn(crate::tasks::one(async move {
                if let Err(error) = peer(stream, uid, &guid, name, budget, api).await {
                    tracing::debug!("a client of the control socket: {error}");
                }
                drop((permit, counted));
            }));
        }
    }
}

/// A client, while it is connected.
struct Counted(Arc<Api>);

impl Counted {
    fn new(api: Arc<Api>) -> Self {
        api.clients.send_modify(|clients| *clients += 1);
        Self(api)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.clients.send_modify(|clients| *clients -= 1);
    }
}

async fn peer(
    mut stream: UnixStream,
    uid: u32,
    guid: &str,
    name: String,
    budget: Arc<Semaphore>,
    api: Arc<Api>,
) -> zbus::Result<()> {
    let greeting = tokio::time::timeout(GREETING, auth::greet(&mut stream, uid, guid));
    let received = greeting.await.map_err(io::Error::from)??;
    let (tickets, taken) = mpsc::unbounded_channel();
    let socket = Bounded { stream, received, budget, tickets };
    let one = std::num::NonZeroUsize::MIN;
    let builder = Builder::authenticated_socket(socket, guid).p2p().max_queued(one).validate_bodies();
    super::serve::serve(builder.build_message_stream().await?, api, Peers::One { name, tickets: taken }).await
}
