//! The connection to a daemon, made anew when it is cut: a daemon that executes its program anew
//! closes all connections, and is there again a moment later.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::connect;
use super::events::{LOOK, NEXT};
use crate::api::dbus::{ManagerProxy, from_call, is_ending};
use crate::error::Error;
use crate::systemd::CallError;

/// How often a call is repeated.
pub(super) const TRIES: usize = 3;
/// How long a daemon that said that it ends may take to be gone.
const GONE: Duration = Duration::from_secs(10);

/// What calls are made with.
pub(super) type Proxy = ManagerProxy<'static>;

/// Where calls go.
#[derive(Debug, Clone)]
pub(super) struct Line {
    proxy: Arc<Mutex<Proxy>>,
    /// `None`: it is reached over a bus.
    socket: Option<PathBuf>,
    /// The daemon that follows was waited for once, and did not come.
    left: Arc<AtomicBool>,
}

impl Line {
    pub(super) async fn over(connection: zbus::Connection, socket: Option<PathBuf>) -> Result<Self, Error> {
        Ok(Self { proxy: Arc::new(Mutex::new(proxy(&connection).await?)), socket, left: Arc::default() })
    }

    fn is_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// Whether a bus is between.
    pub(super) fn is_bus(&self) -> bool {
        self.socket.is_none()
    }

    /// For calls that are made once.
    pub(super) fn proxy(&self) -> Proxy {
        self.proxy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a call that may be carried out twice: if the connection is cut meanwhile, and there is
    /// a daemon again, it is made again.
    pub(super) async fn repeat<T>(&self, call: impl AsyncFn(Proxy) -> zbus::Result<T>) -> zbus::Result<T> {
        let mut left = TRIES;
        loop {
            let proxy = self.proxy();
            match soon(call(proxy.clone())).await {
                Ok(answer) => return Ok(answer),
                Err(error) if !self.is_again(&proxy, &error, &mut left).await => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Whether a call that ended so is to be made again; `left` counts down.
    pub(super) async fn is_again(&self, proxy: &Proxy, error: &zbus::Error, left: &mut usize) -> bool {
        if *left == 0 || !is_cut(error) {
            return false;
        }
        *left -= 1;
        // Over a bus whoever follows is called, or started.
        self.socket.is_none() || self.again(proxy).await
    }

    /// Connects to the daemon that follows; whether there is one.
    async fn again(&self, before: &Proxy) -> bool {
        self.next_daemon(before, NEXT, LOOK).await.is_some()
    }

    /// Connects to the daemon that follows this one, which need not be there yet: one that ended
    /// properly took its socket away, one that died is started anew by whoever started it. On a bus, any
    /// may come.
    pub(super) async fn next_daemon(&self, before: &Proxy, limit: Duration, look: Duration) -> Option<Proxy> {
        let Some(socket) = &self.socket else {
            let bus = before.inner().connection().clone();
            let bus = tokio::time::timeout(limit, super::bus::next_daemon(bus)).await.ok()??;
            return self.begin(&bus).await;
        };
        tokio::time::timeout(GONE, before.inner().connection().closed()).await.ok()?;
        let begin = tokio::time::Instant::now();
        let connection = loop {
            match connect::connect_socket(socket).await.ok()? {
                Some(connection) => break connection,
                None if socket.exists() && begin.elapsed() < limit && !self.is_left() => {
                    tokio::time::sleep(look).await;
                }
                None => {
                    self.left.store(true, Ordering::Relaxed);
                    return None;
                }
            }
        };
        self.left.store(false, Ordering::Relaxed);
        self.begin(&connection).await
    }

    /// Calls go there from now on.
    async fn begin(&self, connection: &zbus::Connection) -> Option<Proxy> {
        let proxy = proxy(connection).await.ok()?;
        *self.proxy.lock().unwrap_or_else(PoisonError::into_inner) = proxy.clone();
        Some(proxy)
    }
}

/// Whether the daemon went before it answered, or would not because it was going.
fn is_cut(error: &zbus::Error) -> bool {
    is_ending(error)
        || match CallError::from(error.clone()) {
            CallError::Lost(_) => true,
            // What a bus says of one that has left it.
            CallError::Remote { name, message } => name.ends_with(".NoReply") && message.contains("disconnected"),
            CallError::Timeout => false,
        }
}

/// An answer that nobody has to type a password for.
pub(super) async fn soon<T>(call: impl Future<Output = zbus::Result<T>>) -> zbus::Result<T> {
    let late = |_| zbus::Error::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    tokio::time::timeout(connect::TIMEOUT, call).await.map_err(late)?
}

async fn proxy(connection: &zbus::Connection) -> Result<Proxy, Error> {
    let proxy = ManagerProxy::builder(connection).cache_properties(zbus::proxy::CacheProperties::No).build().await;
    proxy.map_err(|e| from_call("the daemon", e))
}
