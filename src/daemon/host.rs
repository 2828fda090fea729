//! One daemon, from its lock to its end.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::notify::Notify;
use super::told::{self, Leave};
use super::{Options, memory, nofile, on_stop, orphans, supervisor};
use crate::api::dbus::{
    Api, ControlSocket, Handover, Recent, Request, Restarts, is_activatable, serve_on, serve_system, session_address,
    start_next,
};
use crate::api::http::{self, Http};
use crate::config::{LoadOptions, OnStop};
use crate::error::Error;
use crate::model::Instance;
use crate::model::service::BackendChoice;
use crate::paths::Places;
use crate::registry::Lock;
use crate::supervise::changes::Occasion;
use crate::supervise::{Command, Handle, OfDaemon, Refusal, Selection, Stop};

/// How long what is under way when the daemon ends may take.
const ANSWERS: Duration = Duration::from_secs(20);
/// How soon the end of a bus is read.
const NOTICED: Duration = Duration::from_millis(100);
/// How often the manager is told that an end goes on, and how much longer it is to wait from then on.
const GOES_ON: Duration = Duration::from_secs(5);
const EXTENDED: Duration = Duration::from_secs(30);

/// A daemon that runs.
pub(crate) struct Daemon {
    options: Options,
    handle: Handle,
    supervisor: tokio::task::JoinHandle<()>,
    requests: mpsc::UnboundedReceiver<Request>,
    notify: Rc<Notify>,
    signals: Signals,
    /// Those that serve; they end with this.
    servers: JoinSet<()>,
    /// Ends when nothing is left to do, if the daemon is to end then.
    told: tokio::task::JoinHandle<()>,
    /// Has the system bus left, and whether it is served.
    leaving: watch::Sender<bool>,
    on_the_bus: watch::Receiver<bool>,
    on_stop: Option<OnStop>,
    /// How HTTP is served, as the config says.
    http: watch::Sender<http::Settings>,
    /// Which number of the own config that is.
    followed: Option<u64>,
    /// The control socket, for the next program.
    listening: OwnedFd,
    /// The name on the bus, for the next program.
    handover: Arc<Handover>,
    /// What was told last, for the next program.
    recent: Recent,
    /// Given up last, and not at all where the program is executed anew.
    lock: Option<Lock>,
}

/// How a daemon ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// As it was asked to.
    Done,
    /// Its program is to be executed anew; its services run on.
    Reexecute(Legacy),
}

/// What the next program in this process is left.
#[derive(Debug)]
pub(crate) struct Legacy {
    /// The control socket: whoever connects meanwhile waits.
    pub(crate) listening: OwnedFd,
    /// The connection that has the name on the bus.
    pub(crate) bus: Option<OwnedFd>,
    /// The place of this daemon, which nobody else is to take meanwhile.
    pub(crate) lock: Option<Lock>,
    /// What was told last: who follows goes on where they were.
    pub(crate) events: Option<OwnedFd>,
}

struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    async fn next(&mut self) -> Reason {
        tokio::select! {
            _ = self.term.recv() => Reason::Signal("SIGTERM"),
            _ = self.int.recv() => Reason::Signal("SIGINT"),
            _ = self.hup.recv() => Reason::Reload,
        }
    }
}

enum Reason {
    Signal(&'static str),
    Reload,
    Request(Request),
    Idle,
    SupervisorEnded,
}

impl Daemon {
    /// Takes the lock, takes over what earlier daemons have left, serves, and starts what is
    /// enabled. Must run within a `LocalSet`.
    ///
    /// # Errors
    /// Another daemon runs, or a folder or socket cannot be used. A config that is wrong is said
    /// and ends nothing: what runs is to be supervised in any case.
    pub(crate) async fn start(mut options: Options) -> Result<Self, Error> {
        let signals = Signals::new().map_err(|source| Error::Io { what: "signals".to_owned(), source })?;
        if options.places.instance == Instance::System {
            let places = &options.places;
            let mut folders = [&places.state, &places.logs, &places.runtime].into_iter();
            if let Some(why) = folders.find_map(|folder| crate::config::distrusted_folder(folder)) {
                return Err(Error::Act(crate::act::ActError::Failed(why)));
            }
        }
        let anew = options.lock.file.is_some();
        let lock = Lock::take_over(&options.places, std::mem::take(&mut options.lock));
        let lock = lock.map_err(|error| Error::Act(crate::act::ActError::Failed(error.to_string())))?;
        let of_instance = options.places.clone();
        if options.backend == BackendChoice::Sim {
            options.places = own_of_sim(options.places, anew)?;
        }
        nofile::raise();
        crate::sys::memory::keep_one_pool();
        let notify = Rc::new(Notify::new(options.notify.as_deref()));
        let mut on_stop = None;
        if let Some(project) = own_project(&options).filter(|_| !options.foreground) {
            (options.http, on_stop) = (project.http, project.daemon.on_stop);
        }
        let http_port = options.http.listen.map(|address| address.port());
        let recent = Recent::after(options.events.take());
        let running = supervisor::start(&options.places, options.backend, http_port, recent.seq()).await?;

        let (ask, requests) = mpsc::unbounded_channel();
        let (counted, clients) = watch::channel(0);
        let (called, calls) = watch::channel(0);
        let (named, on_the_bus) = watch::channel(false);
        let (leaving, leave) = watch::channel(false);
        let handover = Arc::new(Handover::new(options.bus.take()));
        let mut servers = JoinSet::new();
        servers.spawn(crate::tasks::one(recent.clone().keep(running.heard)));
        let api = Arc::new(Api {
            handle: running.handle.clone(),
            instance_id: running.instance_id,
            backend: running.backend,
            requests: ask,
            clients: counted,
            calls: called,
            named,
            restarts: Restarts::default(),
            recent: recent.clone(),
            foreground: options.foreground,
        });
        let path = options.places.socket();
        let failed = |source| Error::Io { what: path.display().to_string(), source };
        let socket = match options.control.take() {
            Some(inherited) => ControlSocket::inherited(inherited),
            None => ControlSocket::bind(&path),
        };
        let socket = socket.map_err(failed)?;
        let listening = socket.duplicate().map_err(failed)?;
        let served = Arc::clone(&api);
        let door = servers.spawn(crate::tasks::one(async move { socket.serve(served).await }));
        if options.places.instance == Instance::System {
            servers.spawn(crate::tasks::one(serve_system(Arc::clone(&api), leave, Arc::clone(&handover))));
        } else if let Some(address) = session_address(options.places.uid) {
            servers.spawn(crate::tasks::one(serve_on(address, Arc::clone(&api))));
        }
        let (http, settings) = watch::channel(http::Settings { path: None, http: std::mem::take(&mut options.http) });
        let answers = Http::new(Arc::clone(&api), options.places.clone(), &of_instance, settings);
        servers.spawn(crate::tasks::one(http::serve(answers)));
        servers.spawn(crate::tasks::one(memory::give_back(running.handle.events(), clients.clone())));
        let events = running.handle.events();
        let leaves = match options.exit_when_idle {
            false => Leave::Never,
            true if options.places.instance == Instance::System && is_activatable().await => {
                Leave::Unused(options.unused)
            }
            true => Leave::AfterLast,
        };
        let wanted = told::Wanted { clients, calls, door };
        let told = told::follow(running.handle.clone(), events, Rc::clone(&notify), leaves, wanted);
        let daemon = Self {
            handle: running.handle,
            supervisor: running.task,
            requests,
            notify,
            signals,
            servers,
            told: crate::tasks::spawn_local(told),
            leaving,
            on_the_bus,
            on_stop,
            http,
            followed: None,
            listening,
            handover,
            recent,
            options,
            lock: Some(lock),
        };
        if !daemon.options.foreground {
            // First, so that what is wrong now and put right then is noticed.
            if daemon.options.config.is_none() {
                let folder = daemon.options.places.config.clone();
                daemon.handle.ask(|answer| Command::Follow { folder, answer }).await?;
            }
            daemon.load().await;
        }
        let pid = std::process::id();
        tracing::info!("provost {} runs as pid {pid}, its socket is {}", env!("CARGO_PKG_VERSION"), path.display());
        daemon.notify.say("READY=1");
        crate::tasks::spawn_local(orphans::say(daemon.handle.clone()));
        Ok(daemon)
    }

    /// Runs until it is asked to end, and has.
    pub(crate) async fn run(mut self) -> Result<Ended, Error> {
        let _beat = self.notify.beat();
        let mut of_daemon = self.handle.shared().of_daemon();
        // What was taken over before this.
        of_daemon.mark_changed();
        loop {
            let reason = tokio::select! {
                Ok(()) = of_daemon.changed() => {
                    self.follow(&of_daemon.borrow_and_update());
                    continue;
                }
                // In the foreground the verb hears them, and says what is to be done.
                reason = self.signals.next(), if !self.options.foreground => reason,
                Some(request) = self.requests.recv() => Reason::Request(request),
                _ = &mut self.told, if !self.told.is_finished() => Reason::Idle,
                _ = &mut self.supervisor => Reason::SupervisorEnded,
            };
            match reason {
                Reason::Reload => self.reload().await,
                Reason::Signal(name) => {
                    tracing::info!("{name}: ending");
                    let stop = on_stop(self.on_stop, self.options.foreground);
                    let bus_gone = self.has_lost_the_bus().await;
                    self.finish(stop).await?;
                    if bus_gone {
                        let why = "the system bus has gone; the services run on, and who started this starts it again";
                        return Err(Error::Act(crate::act::ActError::Failed(why.to_owned())));
                    }
                    return Ok(Ended::Done);
                }
                Reason::Request(Request::Exit(stop)) => {
                    tracing::info!("asked to end (services: {})", stop.as_str());
                    return self.finish(stop).await.map(|()| Ended::Done);
                }
                Reason::Request(Request::Reexecute) => {
                    tracing::info!("executing the program anew; every service runs on");
                    self.notify.say("STATUS=executing the program anew");
                    let listening = self
                        .listening
                        .try_clone()
                        .map_err(|source| Error::Io { what: "the control socket".to_owned(), source })?;
                    let (bus, lock, recent) = (self.handover.take(), self.lock.take(), self.recent.clone());
                    self.end(Stop::None).await?;
                    let events = recent.leave().inspect_err(|error| tracing::warn!("events begin anew: {error}")).ok();
                    return Ok(Ended::Reexecute(Legacy { listening, bus, lock, events }));
                }
                Reason::Idle => {
                    tracing::info!("nothing runs and nothing is asked for: ending");
                    // Nobody is taken in any more.
                    let _ = std::fs::remove_file(self.options.places.socket());
                    self.leave_the_bus().await;
                    return self.finish(Stop::None).await.map(|()| Ended::Done);
                }
                Reason::SupervisorEnded => {
                    return Err(Error::Act(crate::act::ActError::Failed("the supervisor has ended".to_owned())));
                }
            }
        }
    }

    /// Whether a bus that was served has gone. systemd ends a unit of Type=dbus whose name is lost
    /// (`service_bus_name_owner_change`), and starts it again only if that was no clean end.
    async fn has_lost_the_bus(&mut self) -> bool {
        let was_served = *self.on_the_bus.borrow() || self.on_the_bus.has_changed().unwrap_or(true);
        // The end of a bus is there before the signal, and may be read after it.
        let lost = self.on_the_bus.wait_for(|served| !served);
        was_served && tokio::time::timeout(NOTICED, lost).await.is_ok()
    }

    /// Gives the name on the system bus up, and answers what has come until then: what comes
    /// afterwards starts the next daemon. What that is to supervise starts it too.
    async fn leave_the_bus(&mut self) {
        if !*self.on_the_bus.borrow() {
            return;
        }
        // The manager queues a start from now on, and does not take it for done.
        self.notify.say("STOPPING=1");
        self.leaving.send_replace(true);
        let left = self.on_the_bus.wait_for(|served| !served);
        if tokio::time::timeout(ANSWERS, left).await.is_err() {
            tracing::warn!("a call is still under way, and is ended");
        }
        let which = Selection::default();
        let known = self.handle.ask(|answer| Command::Report { which, resources: false, answer }).await;
        if known.is_ok_and(|all| all.iter().any(|report| report.state.is_alive())) {
            tracing::info!("something was started meanwhile: the next daemon takes over");
            start_next().await;
        }
    }

    /// Ends all of it.
    pub(crate) async fn finish(self, stop: Stop) -> Result<(), Error> {
        let path = self.options.places.socket();
        // Not where the program is executed anew: the manager would kill it after a while.
        self.notify.say("STOPPING=1");
        let sim = (self.options.backend == BackendChoice::Sim).then(|| self.options.places.state.clone());
        let ended = self.end(stop).await;
        // Nobody serves it any more, and nobody else does yet: the lock is held.
        let _ = std::fs::remove_file(path.with_file_name(http::SOCKET));
        let _ = std::fs::remove_file(path);
        if let Some(folder) = sim {
            let _ = std::fs::remove_dir_all(folder);
        }
        ended
    }

    /// Ends the supervisor, and with it this. A second signal makes it short.
    async fn end(mut self, stop: Stop) -> Result<(), Error> {
        let (handle, foreground) = (self.handle.clone(), self.options.foreground);
        let finish = |stop| {
            let handle = handle.clone();
            async move { handle.ask(|answer| Command::Finish { stop, answer }).await }
        };
        let (mut orderly, begun) = (std::pin::pin!(finish(stop)), tokio::time::Instant::now());
        let ended = loop {
            tokio::select! {
                ended = &mut orderly => break ended,
                // Only while it goes on as it should: an end that hangs is the manager's to cut short.
                () = tokio::time::sleep(GOES_ON) => if begun.elapsed() < self.handle.shared().ends_within() {
                    self.notify.say(&format!("EXTEND_TIMEOUT_USEC={}", EXTENDED.as_micros()));
                },
                reason = self.signals.next(), if !foreground => if let (Reason::Signal(name), true) = (reason, stop != Stop::None) {
                    tracing::warn!("{name} once more: what is to end is killed");
                    break finish(Stop::Force).await;
                }
            }
        };
        // Events of the end, and answers to whoever asked for it, go out before the sockets close.
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        self.servers.shutdown().await;
        match ended {
            Ok(()) | Err(Refusal::Ending) => Ok(()),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Reads the own config, and starts what is new in it and enabled. What was known before is
    /// the matter of the recovery.
    async fn load(&self) {
        let path = match own_config(&self.options) {
            Ok(Some(path)) => path,
            Ok(None) => return,
            Err(errors) => return tracing::error!("{errors}"),
        };
        let (environment, occasion) = (BTreeMap::new(), Occasion::Found);
        let load = |answer| Command::Load { config: path.clone(), environment, occasion, answer };
        if let Err(refusal) = self.handle.ask(load).await {
            tracing::error!("{refusal}");
            if let Refusal::Config(why) | Refusal::Failed(why) = refusal {
                let system = self.options.places.instance == Instance::System;
                self.handle.shared().note_trouble(&path, &why, system);
            }
        }
    }

    /// Does as the own config says of the daemon, where that was taken over again.
    fn follow(&mut self, all: &BTreeMap<PathBuf, OfDaemon>) {
        let Some((path, own)) = own_config(&self.options).ok().flatten().and_then(|path| all.get_key_value(&path))
        else {
            return;
        };
        if self.followed.replace(own.number) != Some(own.number) {
            self.on_stop = own.on_stop;
            self.http.send_replace(http::Settings { path: Some(path.clone()), http: own.http.clone() });
        }
    }

    async fn reload(&mut self) {
        tracing::info!("SIGHUP: reading the config again");
        match self.handle.ask(|answer| Command::ReloadConfig { answer }).await {
            Ok(ids) => tracing::info!("the config was read again; {} services changed", ids.len()),
            Err(refusal) => tracing::error!("{refusal}"),
        }
        if !self.options.foreground {
            self.load().await;
        }
    }
}

/// The folders of services in memory: what runs for real is not theirs, and nothing of them is left to the next
/// daemon. Whoever asks reaches it where the instance's daemon answers. `anew`: its program was executed again.
fn own_of_sim(places: Places, anew: bool) -> Result<Places, Error> {
    let state = places.runtime.join("sim");
    if !anew && let Err(source) = std::fs::remove_dir_all(&state).or_else(gone) {
        return Err(Error::Io { what: state.display().to_string(), source });
    }
    Ok(Places { logs: state.join("logs"), state, ..places })
}

fn gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// The daemon's own config file, by the path by which it is known.
fn own_config(options: &Options) -> Result<Option<PathBuf>, crate::config::Errors> {
    let places = &options.places;
    let found = match &options.config {
        Some(path) => Some(path.clone()),
        None => crate::config::find("/".as_ref(), Some(&places.config), places.uid, false)?,
    };
    Ok(found.map(|path| crate::config::edit::place_of(&path).unwrap_or(path)))
}

/// What it says; what is wrong with it is said when it is taken over.
fn own_project(options: &Options) -> Option<crate::config::Project> {
    let path = own_config(options).ok()??;
    let system = options.places.instance == Instance::System;
    let home = crate::observe::env("HOME").map(Into::into);
    crate::config::load(&path, &LoadOptions { system, home }).ok()
}
