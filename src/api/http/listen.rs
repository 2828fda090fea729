//! The socket and the address: connections are accepted, bounded, and given to the router.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::call::Front;
use super::desk::Desk;
use super::slow::Patient;
use super::{SOCKET, endpoint};
use crate::api::dbus::Api;
use crate::config::HttpOptions;
use crate::paths::Places;
use crate::tokens::Tokens;

/// How long the head of a request may take, and its body.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How many connections there may be.
const CONNECTIONS: usize = 1024;
/// The longest head of a request.
const HEAD: usize = 32 << 10;

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) way: Way,
    known: Arc<AtomicBool>,
}

/// Where they came in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// The socket, as this user.
    Socket(u32),
    /// The address, from this one.
    Address(IpAddr),
}

impl Peer {
    /// It has shown that it may ask: its connection is closed for nobody else.
    pub(super) fn shows_itself(&self) {
        self.known.store(true, Ordering::Relaxed);
    }
}

/// What is needed to serve.
#[derive(Debug)]
pub(crate) struct Http {
    api: Arc<Api>,
    places: Places,
    settings: watch::Receiver<HttpOptions>,
    desk: Desk,
}

impl Http {
    /// Must be made within a `LocalSet`; the settings may change at any time.
    pub(crate) fn new(api: Arc<Api>, places: Places, settings: watch::Receiver<HttpOptions>) -> Self {
        Self { api, places, settings, desk: Desk::open() }
    }
}

/// Serves for ever, as the settings are at each time.
pub(crate) async fn serve(Http { api, places, mut settings, desk }: Http) {
    let path = places.runtime.join(SOCKET);
    let socket = match bind(&path) {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!("no HTTP on {}: {error}", path.display());
            None
        }
    };
    let front = Arc::new(Front {
        run: api.recent.run().to_owned(),
        api,
        settings: settings.clone(),
        tokens: Mutex::new(Tokens::at(&places)),
        places,
        rates: Mutex::default(),
        streams: super::stream::Streams::default(),
        desk,
        born: tokio::time::Instant::now(),
    });
    let server = Arc::new(Server { front, router: OnceLock::new(), crowd: Mutex::default() });
    let mut connections = JoinSet::new();
    // Somebody may come at any time.
    let stays = |open: &Option<Address>| open.as_ref().map(|_| Stays::new(&server.front.api));
    let now = settings.borrow_and_update().clone();
    let mut open = Address::of(&now).await;
    let mut _stays = stays(&open);
    loop {
        tokio::select! {
            accepted = accept_local(socket.as_ref()) => match accepted {
                Ok((stream, uid)) => server.take(&mut connections, stream, Way::Socket(uid)),
                Err(error) => pause(&error).await,
            },
            accepted = accept(open.as_ref()) => match accepted {
                Ok((stream, from)) => server.take_remote(&mut connections, stream, from, open.as_ref()),
                Err(error) => pause(&error).await,
            },
            changed = settings.changed() => match changed {
                Ok(()) => {
                    // It may be the same one: that must be free first.
                    drop(open.take());
                    let now = settings.borrow_and_update().clone();
                    open = Address::of(&now).await;
                    _stays = stays(&open);
                }
                Err(_) => return,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!("HTTP: {error}");
    tokio::time::sleep(Duration::from_millis(200)).await;
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixListener::bind(path)?;
    // The system's runtime folder is open to all.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// The next one of the socket that is the owner or root.
async fn accept_local(socket: Option<&UnixListener>) -> io::Result<(UnixStream, u32)> {
    let Some(socket) = socket else { return std::future::pending().await };
    let own = rustix::process::geteuid().as_raw();
    loop {
        let (stream, _) = socket.accept().await?;
        let uid = stream.peer_cred()?.uid();
        if uid == own || uid == 0 {
            return Ok((stream, uid));
        }
        tracing::warn!("uid {uid} was turned away from the HTTP socket");
    }
}

/// The address that is listened on.
struct Address {
    listener: TcpListener,
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::TlsAcceptor>,
}

impl Address {
    async fn of(settings: &HttpOptions) -> Option<Self> {
        let address = settings.listen?;
        match Self::open(address, settings).await {
            Ok(open) => {
                let scheme = if settings.tls.is_some() { "https" } else { "http" };
                tracing::info!("HTTP on {scheme}://{address}");
                Some(open)
            }
            Err(error) => {
                tracing::error!("no HTTP on {address}: {error}");
                None
            }
        }
    }

    #[cfg(feature = "tls")]
    async fn open(address: SocketAddr, settings: &HttpOptions) -> io::Result<Self> {
        let tls = settings.tls.as_ref().map(super::tls::acceptor).transpose()?;
        Ok(Self { listener: TcpListener::bind(address).await?, tls })
    }

    #[cfg(not(feature = "tls"))]
    async fn open(address: SocketAddr, settings: &HttpOptions) -> io::Result<Self> {
        if settings.tls.is_some() {
            return Err(io::Error::other("this provost was built without TLS"));
        }
        Ok(Self { listener: TcpListener::bind(address).await? })
    }
}

async fn accept(open: Option<&Address>) -> io::Result<(TcpStream, IpAddr)> {
    let Some(open) = open else { return std::future::pending().await };
    let (stream, from) = open.listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, from.ip().to_canonical()))
}

/// The router, made for the first who asks, and the connections by their age.
struct Server {
    front: Arc<Front>,
    router: OnceLock<Router>,
    crowd: Mutex<Crowd>,
}

#[derive(Default)]
struct Crowd {
    number: u64,
    all: BTreeMap<u64, (Peer, AbortHandle)>,
}

impl Server {
    #[cfg(feature = "tls")]
    fn take_remote(self: &Arc<Self>, to: &mut JoinSet<()>, stream: TcpStream, from: IpAddr, open: Option<&Address>) {
        let Some(tls) = open.and_then(|open| open.tls.clone()) else {
            return self.take(to, stream, Way::Address(from));
        };
        let server = Arc::clone(self);
        self.enter(to, Way::Address(from), |peer| async move {
            match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                Ok(Ok(stream)) => server.talk(stream, peer).await,
                _ => tracing::debug!("{from}: no TLS"),
            }
        });
    }

    #[cfg(not(feature = "tls"))]
    fn take_remote(self: &Arc<Self>, to: &mut JoinSet<()>, stream: TcpStream, from: IpAddr, _: Option<&Address>) {
        self.take(to, stream, Way::Address(from));
    }

    fn take<S>(self: &Arc<Self>, to: &mut JoinSet<()>, stream: S, way: Way)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let server = Arc::clone(self);
        self.enter(to, way, |peer| async move { server.talk(stream, peer).await });
    }

    fn enter<F>(self: &Arc<Self>, to: &mut JoinSet<()>, way: Way, work: impl FnOnce(Peer) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let peer = Peer { way, known: Arc::default() };
        let mut crowd = self.crowd();
        if crowd.all.len() >= CONNECTIONS {
            let stranger = crowd.all.iter().find(|(_, (peer, _))| !peer.known.load(Ordering::Relaxed));
            // All of them are known: the new one is one too many.
            let Some(number) = stranger.map(|(number, _)| *number) else { return };
            if let Some((_, task)) = crowd.all.remove(&number) {
                task.abort();
            }
        }
        crowd.number += 1;
        let number = crowd.number;
        let leaves = Leaves(Arc::clone(self), number, Stays::new(&self.front.api));
        let talk = work(peer.clone());
        let task = to.spawn(async move {
            let _leaves = leaves;
            talk.await;
        });
        crowd.all.insert(number, (peer, task));
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: S, peer: Peer) {
        let router = self.router.get_or_init(|| endpoint::router(Arc::clone(&self.front))).clone();
        let router = TowerToHyperService::new(router);
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.call(request)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD).max_headers(64);
        if let Err(error) = http.serve_connection(TokioIo::new(Patient::new(stream)), service).await {
            tracing::debug!("an HTTP client: {error}");
        }
    }

    fn crowd(&self) -> std::sync::MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a connection from the crowd when it ends, however that is.
struct Leaves(Arc<Server>, u64, #[expect(dead_code, reason = "held")] Stays);

/// A daemon that ends when nothing is to do stays as long as this is held.
struct Stays(Arc<Api>);

impl Stays {
    fn new(api: &Arc<Api>) -> Self {
        api.clients.send_modify(|clients| *clients += 1);
        Self(Arc::clone(api))
    }
}

impl Drop for Stays {
    fn drop(&mut self) {
        self.0.clients.send_modify(|clients| *clients -= 1);
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.crowd().all.remove(&self.1);
    }
}
