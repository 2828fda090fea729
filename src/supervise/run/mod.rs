//! The task that owns all services: commands, what backends report and what its own small tasks
//! find come in, and the next deadline of all machines is its only timer.
//!
//! It decides nothing about a service (that is the machine's), runs nothing itself (the
//! backends') and never waits for anything but the next of those: what takes time is a local task
//! whose result comes back as an event, so that a hundred starts are under way at once.
//!
//! * `commands`, `select`, `define`, `project`: what others ask for
//! * `effects`, `prepare`, `environment`, `launch`: what a machine wants done
//! * `health`: who is looked after while it runs
//! * `reach`: what a command would touch besides what it names
//! * `beside`: how the commands that a service needs are run
//! * `reload`, `own_config`: what a service reads
//! * `live`: what follows when files change
//! * `hooks`: the commands of events
//! * `turns`: how many starts are under way at once
//! * `orphans`: what runs and is in no record
//! * `recover`: what becomes of the records when a daemon starts
//! * `finish`: how it ends
//! * `tell`, `report`, `save`, `sync`: what is said, and what is kept

mod backends;
mod beside;
mod commands;
mod define;
mod effects;
mod environment;
mod finish;
mod health;
mod hooks;
mod launch;
mod live;
mod orphans;
mod own_config;
mod port;
mod prepare;
mod program;
mod project;
mod reach;
mod recover;
mod reload;
mod report;
mod save;
mod select;
mod service;
mod sync;
mod tell;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) use backends::Backends;
pub(crate) use environment::clean as clean_environment;
pub(crate) use project::{pid_dir, put_pid_file};
use service::Service;

use super::machine::Event;
use super::order::Order;
use super::{Command, Handle};
use crate::backend::{Happened, Placed, Room, StartError, What};
use crate::model::ServiceId;
use crate::model::service::{BackendKind, Desired};
use crate::paths::Places;
use crate::registry::{Loaded, Record, Removed, Store};

/// How many events wait for who reads them slowly.
const EVENTS: usize = 1024;
/// How many commands wait for the task.
const COMMANDS: usize = 256;

/// Waits for a line of a service's output, from its present start on, that matches a regular
/// expression. The error is why its output cannot be followed.
pub(crate) type LogMatch = Rc<dyn Fn(Record, String) -> Pin<Box<dyn Future<Output = Result<(), String>>>>>;

/// What a supervisor is made of.
pub(crate) struct Options {
    /// Its folders.
    pub(crate) places: Places,
    /// The random id of the instance: the mark of its services.
    pub(crate) instance_id: String,
    /// Where its records are. Whoever makes a supervisor holds the lock of it.
    pub(crate) store: Store,
    /// Ways to run services.
    pub(crate) backends: Backends,
    /// Where they report.
    pub(crate) happened: mpsc::UnboundedReceiver<Happened>,
    /// The backend of services that choose none; `None`: see [`Backends::usual`].
    pub(crate) backend: Option<BackendKind>,
    /// The environment that services get: [`clean_environment`].
    pub(crate) environment: BTreeMap<String, String>,
    /// For `ready = { log = … }`.
    pub(crate) log_match: Option<LogMatch>,
    /// The port on which HTTP will be answered.
    pub(crate) http_port: Option<u16>,
    /// The number of the last event before its first.
    pub(crate) seq: u64,
}

/// Owns all services; [`Supervisor::run`] drives them.
pub(crate) struct Supervisor {
    places: Places,
    instance_id: String,
    boot_id: String,
    pid_namespace: Option<u64>,
    store: Store,
    backends: Backends,
    backend: Option<BackendKind>,
    environment: BTreeMap<String, String>,
    log_match: Option<LogMatch>,

    services: HashMap<ServiceId, Box<Service>>,
    order: Order,
    projects: BTreeMap<PathBuf, project::Project>,
    removed: Removed,
    /// Whose mark something carried when this daemon started: their first start looks whether it still runs.
    left: BTreeSet<ServiceId>,
    /// One is being taken over: what it is by that is not said once more.
    adopting: bool,
    /// The ports that services name or were given.
    ports: BTreeMap<u16, ServiceId>,
    /// Which the backend is forgetting: the next start waits for that, and so does that of one that was
    /// removed and made anew.
    releasing: HashMap<ServiceId, JoinHandle<()>>,
    timers: BTreeSet<(Duration, ServiceId)>,
    /// Events of machines that are handled before anything new is received.
    queue: VecDeque<(ServiceId, Event)>,
    /// Services whose dependencies, or whose held stops, are to be looked at again.
    look: BTreeSet<ServiceId>,
    /// Whose start is under way, and who could start and waits for its turn.
    turns: turns::Turns,
    /// Commands of checks that may run at the same time.
    checking: Rc<tokio::sync::Semaphore>,
    /// Searches for orphans are made one after another.
    searches: Rc<tokio::sync::Semaphore>,
    /// Services whose record is to be written.
    unsaved: BTreeSet<ServiceId>,
    /// Services that are forgotten, and whose record could not be removed yet.
    unremoved: BTreeSet<ServiceId>,
    /// Both are tried again in a while.
    saves_later: bool,
    /// Since when something is not written that may wait.
    put_off: Option<Instant>,
    /// It is looked at in a moment.
    looks: bool,
    /// Services whose record the disk is to have.
    unsynced: BTreeSet<ServiceId>,
    syncing: sync::Syncing,
    watcher: super::watch::Watcher,
    hooks: hooks::Hooks,
    shared: super::handle::Shared,
    /// The folder of the config of the instance, where that is followed.
    own_config: Option<PathBuf>,
    finishing: Option<finish::Finishing>,

    epoch: Instant,
    seq: u64,
    seed: u64,
    events: broadcast::Sender<crate::model::service::Event>,
    commands: mpsc::Receiver<Command>,
    happened: mpsc::UnboundedReceiver<Happened>,
    done: mpsc::UnboundedReceiver<Done>,
    tell: mpsc::UnboundedSender<Done>,
}

/// What a local task found.
enum Done {
    /// Something for a machine.
    Event(ServiceId, Event),
    /// A port that was taken is free.
    PortFree(ServiceId, u64),
    /// There is room for one more that says when it is ready.
    Room { id: ServiceId, run: u64, room: Room },
    /// A start is through.
    Started { id: ServiceId, run: u64, result: Result<Placed, StartError> },
    /// The backend has forgotten it.
    Released(ServiceId),
    /// What was found of a run that is looked after.
    Health { id: ServiceId, run: u64, verdict: crate::health::Verdict },
    /// What a search for orphans has seen.
    Looked(Box<orphans::Looked>),
    /// What could not be written is to be tried again.
    SaveAgain,
    /// What may wait has waited long enough.
    Look,
    /// What this one comes after has run for long enough, or not.
    LookAt(ServiceId),
    /// The same of what the disk is to have.
    Sync,
    /// The disk has it, but for these.
    Synced(Vec<(ServiceId, std::io::Error)>),
    /// What this run reads was found good, and is read by a start anew.
    Restart { id: ServiceId, run: u64 },
    /// Something to tell of a service.
    Say(ServiceId, crate::model::service::EventKind, String),
}

impl Supervisor {
    /// Makes one; nothing happens before [`Self::run`].
    pub(crate) fn new(options: Options) -> (Self, Handle) {
        let (events, _) = broadcast::channel(EVENTS);
        let (sender, commands) = mpsc::channel(COMMANDS);
        let (tell, done) = mpsc::unbounded_channel();
        let handle = Handle::new(sender, events.clone());
        handle.shared().answers_http_on(options.http_port);
        let Options { places, instance_id, store, backends, happened, backend, environment, log_match, seq, .. } =
            options;
        let supervisor = Self {
            boot_id: crate::observe::boot_id(),
            pid_namespace: pid_namespace(),
            seed: seed(&instance_id),
            places,
            instance_id,
            store,
            backends,
            backend,
            environment,
            log_match,
            services: HashMap::new(),
            order: Order::default(),
            projects: BTreeMap::new(),
            removed: Removed::default(),
            left: BTreeSet::new(),
            adopting: false,
            ports: BTreeMap::new(),
            releasing: HashMap::new(),
            timers: BTreeSet::new(),
            queue: VecDeque::new(),
            look: BTreeSet::new(),
            turns: turns::Turns::default(),
            checking: Rc::new(tokio::sync::Semaphore::new(health::COMMANDS)),
            searches: Rc::new(tokio::sync::Semaphore::new(1)),
            unsaved: BTreeSet::new(),
            unremoved: BTreeSet::new(),
            saves_later: false,
            put_off: None,
            looks: false,
            unsynced: BTreeSet::new(),
            syncing: sync::Syncing::default(),
            watcher: super::watch::Watcher::new(),
            hooks: hooks::Hooks::default(),
            shared: handle.shared().clone(),
            own_config: None,
            finishing: None,
            epoch: Instant::now(),
            seq,
            events,
            commands,
            happened,
            done,
            tell,
        };
        (supervisor, handle)
    }

    /// The backend that services get unless they choose.
    pub(crate) fn usual_backend(&self) -> Option<BackendKind> {
        self.backend.or_else(|| self.backends.usual())
    }

    /// Takes over what an earlier daemon left, then drives all services until
    /// [`Command::Finish`], or until nobody can ask for anything any more and nothing runs. Must run
    /// within a `tokio::task::LocalSet`.
    pub(crate) async fn run(mut self, left: Loaded) {
        let torn = !left.damaged.is_empty();
        self.recover(left).await;
        self.watch_recovered();
        self.settle().await;
        if torn {
            // Configs that other records name may describe those whose records cannot be read.
            if let Err(refusal) = self.reload_config() {
                tracing::warn!("{refusal}");
            }
            self.settle().await;
        }
        let mut asked = true;
        loop {
            if self.is_finished() || !asked && self.services.values().all(|service| !service.machine.is_alive()) {
                break;
            }
            let deadline = self.timers.first().map(|(at, _)| self.epoch + *at);
            let due = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let quiet = self.watcher.due();
            let quiet = async {
                match quiet {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(done) = self.done.recv() => self.on_done(done),
                Some(happened) = self.happened.recv() => self.on_happened(happened),
                () = due => self.on_time(),
                command = self.commands.recv(), if asked => match command {
                    Some(command) => self.on_command(command),
                    None => asked = false,
                },
                heard = self.watcher.heard() => self.watcher.notice(heard, Instant::now()),
                () = quiet => self.files_changed(),
            }
            self.settle().await;
        }
        self.end().await;
    }

    /// Time since the epoch of the machines.
    fn now(&self) -> Duration {
        Instant::now() - self.epoch
    }

    fn on_time(&mut self) {
        let now = self.now();
        while let Some((at, id)) = self.timers.first().filter(|(at, _)| *at <= now).cloned() {
            self.timers.remove(&(at, id.clone()));
            if let Some(service) = self.services.get_mut(&id) {
                service.deadline = None;
            }
            self.handle(id, Event::Tick);
        }
    }

    fn on_happened(&mut self, happened: Happened) {
        let Happened { id, run, what } = happened;
        let event = match what {
            What::Exited(exit) => Event::Exited { run, exit },
            What::Ready => Event::Ready { run },
            What::StoppedByOthers => Event::StoppedByOthers { run },
            What::StartedByOthers(placed) => {
                self.started_by_others(&id, run, &placed);
                Event::StartedByOthers { run }
            }
            What::Main(identity) => return self.main_is(&id, run, identity),
            What::Status(status) => {
                if let Some(service) = self.services.get_mut(&id).filter(|service| service.machine.run() == run) {
                    service.status = Some(status);
                }
                return;
            }
            What::Alive => {
                let service = self.services.get(&id).filter(|service| service.machine.run() == run);
                if let Some(watch) = service.and_then(|service| service.watch.as_ref()) {
                    watch.beats();
                }
                return;
            }
        };
        self.queue.push_back((id, event));
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Event(id, event) => self.queue.push_back((id, event)),
            Done::PortFree(id, run) => {
                if self.services.get(&id).is_some_and(|service| service.machine.run() == run) {
                    self.prepare(&id, run, None);
                }
            }
            Done::Room { id, run, room } => self.has_room(&id, run, room),
            Done::Started { id, run, result } => self.started(&id, run, result),
            Done::Released(id) => self.released(&id),
            Done::Health { id, run, verdict } => self.found_health(&id, run, verdict),
            Done::Looked(looked) => self.found(*looked),
            Done::SaveAgain => self.save_again(),
            Done::Look => self.looks = false,
            Done::LookAt(id) => drop(self.look.insert(id)),
            Done::Sync => self.sync_soon(),
            Done::Synced(failed) => self.synced(failed),
            Done::Restart { id, run } => self.restart_to_read(&id, run),
            Done::Say(id, kind, message) => self.say(&id, kind, message),
        }
    }

    /// Handles all events that are there, and what they set off; then writes down what changed.
    async fn settle(&mut self) {
        self.settle_round();
        while self.turns.has_next_round() {
            // What was begun goes out first.
            tokio::task::yield_now().await;
            self.settle_round();
        }
    }

    fn settle_round(&mut self) {
        self.turns.round();
        loop {
            while let Some((id, event)) = self.queue.pop_front() {
                self.handle(id, event);
            }
            // Only now, when all of a command was told to all machines, is it known who waits for whom.
            self.look.extend(self.turns.next());
            if !self.look_again() && !self.turns.is_open() {
                break;
            }
        }
        self.save();
    }

    fn said(&self, id: &ServiceId, error: StartError) -> StartError {
        match error {
            StartError::Permanent(why) => StartError::Permanent(self.unexpanded(id, why)),
            StartError::Transient(why) => StartError::Transient(self.unexpanded(id, why)),
            StartError::Unwritable(why) => StartError::Unwritable(self.unexpanded(id, why)),
        }
    }

    /// Tells a machine, and does what it wants.
    fn handle(&mut self, id: ServiceId, event: Event) {
        let now = self.now();
        let event = match event {
            Event::NotReady { run, why } => Event::NotReady { run, why: self.unexpanded(&id, why) },
            Event::Unhealthy { run, why } => Event::Unhealthy { run, why: self.unexpanded(&id, why) },
            Event::NotPrepared { run, error } => Event::NotPrepared { run, error: self.said(&id, error) },
            Event::NotStarted { run, error } => Event::NotStarted { run, error: self.said(&id, error) },
            other => other,
        };
        let Some(service) = self.services.get_mut(&id) else { return };
        let was_alive = service.machine.is_alive();
        let was_over = service.machine.is_over();
        let effects = service.machine.on_event(now, event);
        service.run.set(service.machine.run());
        if service.machine.counts().desired == Desired::Down {
            service.stops.notify_waiters();
        }
        if !was_over && service.machine.is_over() {
            service.say_who_holds_its_port();
        }
        let deadline = service.machine.next_deadline();
        if deadline != service.deadline {
            if let Some(old) = service.deadline {
                self.timers.remove(&(old, id.clone()));
            }
            self.timers.extend(deadline.map(|at| (at, id.clone())));
            service.deadline = deadline;
        }
        if !service.machine.is_ready() {
            service.watch = None;
        }
        if !service.machine.is_being_executed() {
            self.turns.over(&id);
        }
        let now_dead = was_alive && !service.machine.is_alive();
        self.note(&id);
        for effect in effects {
            self.carry_out(&id, effect);
        }
        if now_dead {
            self.has_ended(&id);
        }
        self.note_watches(&id);
    }
}

/// The inode of the pid namespace in which pids mean something.
fn pid_namespace() -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self/ns/pid").ok().map(|found| found.ino())
}

/// Different for each instance, so that two of them do not start everything at the same moments.
fn seed(instance_id: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (instance_id, std::process::id()).hash(&mut hasher);
    hasher.finish()
}
