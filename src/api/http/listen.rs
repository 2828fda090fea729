//! The socket and the address: connections are accepted, bounded, and given to the router.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::address::{self, Address};
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
    tokens: Tokens,
    settings: watch::Receiver<Settings>,
    desk: Desk,
}

/// How HTTP is to be answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// The file that says so.
    pub(crate) path: Option<PathBuf>,
    /// What it says.
    pub(crate) http: HttpOptions,
}

impl Http {
    /// Must be made within a `LocalSet`; the settings may change at any time.
    /// `who`: where `provost token` puts the tokens; services in memory have other places.
    pub(crate) fn new(api: Arc<Api>, places: Places, who: &Places, settings: watch::Receiver<Settings>) -> Self {
        Self { api, places, tokens: Tokens::at(who), settings, desk: Desk::open() }
    }
}

/// Serves for ever, as the settings are at each time and can be followed.
pub(crate) async fn serve(Http { api, places, tokens, mut settings, desk }: Http) {
    let path = places.runtime.join(SOCKET);
    let socket = match bind(&path) {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!("no HTTP on {}: {error}", path.display());
            None
        }
    };
    let (holds, in_force) = watch::channel(HttpOptions::default());
    let front = Arc::new(Front {
        run: api.recent.run().to_owned(),
        api,
        settings: in_force,
        tokens: Mutex::new(tokens),
        places,
        rates: Mutex::default(),
        streams: super::stream::Streams::default(),
        desk,
        born: tokio::time::Instant::now(),
    });
    let server =
        Arc::new(Server { front, router: OnceLock::new(), crowd: Mutex::default(), doors: watch::Sender::new(()) });
    let mut connections = JoinSet::new();
    let mut door = Door { server: Arc::clone(&server), open: None, stays: None, holds };
    let now = settings.borrow_and_update().clone();
    door.follow(now).await;
    loop {
        tokio::select! {
            accepted = accept_local(socket.as_ref()) => match accepted {
                Ok((stream, uid)) => server.take(&mut connections, stream, Way::Socket(uid)),
                Err(error) => pause(&error).await,
            },
            accepted = address::accept(door.open.as_ref()) => match accepted {
                Ok((stream, from)) => server.take_remote(&mut connections, stream, from, door.open.as_ref()),
                Err(error) => pause(&error).await,
            },
            changed = settings.changed() => match changed {
                Ok(()) => {
                    let now = settings.borrow_and_update().clone();
                    door.follow(now).await;
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

/// The address, as the settings were when they last could be followed.
struct Door {
    server: Arc<Server>,
    open: Option<Address>,
    /// Somebody may come at any time.
    stays: Option<Stays>,
    /// The settings that are followed.
    holds: watch::Sender<HttpOptions>,
}

impl Door {
    /// Does as these say. Where the address cannot be listened on, all stays as it is, and that is said.
    async fn follow(&mut self, Settings { path, http }: Settings) {
        let before = self.holds.borrow().clone();
        let (was, tls) = (self.open.as_ref().map(|open| open.at), before.tls.clone());
        let now = address::turn(self.open.take(), &before, &http).await;
        let (open, failed) = match now {
            Ok(open) => (open, None),
            Err((open, error)) => (open, Some(error)),
        };
        self.open = open;
        let at = self.open.as_ref().map(|open| open.at);
        match failed {
            Some(error) => {
                let goes_on = at.map_or_else(|| "there is none now".to_owned(), |at| format!("it goes on at {at}"));
                let wish = http.listen.map(|at| at.to_string()).unwrap_or_default();
                let why = format!("no HTTP on {wish}: {error}; {goes_on}");
                tracing::error!("{why}");
                if let Some(path) = path {
                    let why = format!("{}: http.listen: {why}", path.display());
                    self.server.front.api.handle.shared().note_trouble(&path, &why, self.server.front.is_system());
                }
            }
            None => {
                if at.is_some() && at != was || at.is_some() && http.tls != tls {
                    let scheme = if http.tls.is_some() { "https" } else { "http" };
                    tracing::info!("HTTP on {scheme}://{}", at.map(|at| at.to_string()).unwrap_or_default());
                }
                if at != was || http.tls != tls {
                    // Who came in by the old one has its answer, and is to come again.
                    self.server.doors.send_replace(());
                }
                self.holds.send_replace(http);
            }
        }
        self.server.front.api.handle.shared().answers_http_on(at.map(|at| at.port()));
        self.stays = at.map(|_| self.stays.take().unwrap_or_else(|| Stays::new(&self.server.front.api)));
    }
}

/// The router, made for the first who asks, and the connections by their age.
struct Server {
    front: Arc<Front>,
    router: OnceLock<Router>,
    crowd: Mutex<Crowd>,
    /// Tells those who came in by the address that it is another.
    doors: watch::Sender<()>,
}

#[derive(Default)]
struct Crowd {
    number: u64,
    all: BTreeMap<u64, (Peer, AbortHandle)>,
}

impl Server {
    #[cfg(feature = "tls")]
    fn take_remote(self: &Arc<Self>, to: &mut JoinSet<()>, stream: TcpStream, from: IpAddr, open: Option<&Address>) {
        let Some(tls) = open.and_then(Address::tls) else {
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
        let task = to.spawn(crate::tasks::one(async move {
            let _leaves = leaves;
            talk.await;
        }));
        crowd.all.insert(number, (peer, task));
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: S, peer: Peer) {
        let router = self.router.get_or_init(|| endpoint::router(Arc::clone(&self.front))).clone();
        let router = TowerToHyperService::new(router);
        let (mut doors, remote) = (self.doors.subscribe(), matches!(peer.way, Way::Address(_)));
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.call(request)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD).max_headers(64);
        let mut talk = std::pin::pin!(http.serve_connection(TokioIo::new(Patient::new(stream)), service));
        let done = tokio::select! {
            done = &mut talk => done,
            Ok(()) = doors.changed(), if remote => {
                talk.as_mut().graceful_shutdown();
                // A stream has no end.
                tokio::time::timeout(PATIENCE, talk).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = done {
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
