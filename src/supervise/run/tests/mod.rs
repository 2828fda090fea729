//! The driver with the sim backend, mostly in time that is simulated too.

mod changes;
mod config;
mod health;
mod hooks;
mod life;
mod meanwhile;
mod order;
mod own_config;
mod ports;
mod random;
mod recovery;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::task::{JoinHandle, LocalSet};

use super::*;
use crate::backend::Reports;
use crate::backend::sim::{Sim, VARIABLE, World};
use crate::model::service::{Check, EventKind, Ready, ServiceReport, ServiceSpec, ServiceState};
use crate::supervise::changes::Occasion;
use crate::supervise::{Refusal, Selection, Stop};

const SECOND: Duration = Duration::from_secs(1);

/// A daemon that can be killed and started again.
struct Rig {
    world: World,
    places: Places,
    handle: Handle,
    events: broadcast::Receiver<crate::model::service::Event>,
    reports: Reports,
    /// Of what local tasks find.
    found: mpsc::UnboundedSender<Done>,
    task: JoinHandle<()>,
}

impl Rig {
    fn new(dir: &Path) -> Self {
        Self::in_world(World::default(), dir)
    }

    fn in_world(world: World, dir: &Path) -> Self {
        Self::at(world, Places::below(dir))
    }

    fn at(world: World, places: Places) -> Self {
        let (reports, happened) = mpsc::unbounded_channel();
        let options = Options {
            places: places.clone(),
            instance_id: "0123456789abcdef".to_owned(),
            store: Store::at(&places),
            // The manager of units that an earlier daemon had is no more.
            backends: Backends::default().with(Sim::new(world.clone(), reports.clone())).without(BackendKind::Systemd),
            happened,
            backend: None,
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            log_match: None,
            http_port: None,
            seq: 0,
        };
        let left = options.store.load_all(crate::clock::now()).unwrap();
        let (supervisor, handle) = Supervisor::new(options);
        let (events, found) = (handle.events(), supervisor.tell.clone());
        // Of its own, so that all of its small tasks die with it.
        let task = crate::tasks::spawn_local(async move { LocalSet::new().run_until(supervisor.run(left)).await });
        Self { world, places, handle, events, reports, found, task }
    }

    /// As after SIGKILL, and a new start.
    async fn again(self, dir: &Path) -> Self {
        self.task.abort();
        let _ = self.task.await;
        Self::in_world(self.world, dir)
    }

    async fn define(&self, specs: impl IntoIterator<Item = ServiceSpec>) -> Result<Vec<ServiceId>, Refusal> {
        let specs = specs.into_iter().collect();
        self.handle.ask(|answer| Command::Define { specs, environment: BTreeMap::new(), answer }).await
    }

    async fn load(&self, config: &Path) -> Result<Vec<ServiceId>, Refusal> {
        let config = config.to_owned();
        self.handle
            .ask(|answer| Command::Load { config, environment: BTreeMap::new(), occasion: Occasion::Asked, answer })
            .await
    }

    async fn start(&self, ids: &str) -> Result<Vec<(ServiceId, bool)>, Refusal> {
        let environment = BTreeMap::new();
        self.handle.ask(|answer| Command::Start { which: which(ids), environment, answer }).await
    }

    async fn stop(&self, ids: &str) -> Result<Vec<(ServiceId, bool)>, Refusal> {
        self.handle.ask(|answer| Command::Stop { which: which(ids), force: false, answer }).await
    }

    async fn restart(&self, ids: &str) -> Result<Vec<(ServiceId, bool)>, Refusal> {
        self.handle.ask(|answer| Command::Restart { which: which(ids), answer }).await
    }

    async fn remove(&self, ids: &str) -> Result<Vec<(ServiceId, bool)>, Refusal> {
        self.handle.ask(|answer| Command::Remove { which: which(ids), answer }).await
    }

    async fn finish(&self, stop: Stop) {
        self.handle.ask(|answer| Command::Finish { stop, answer }).await.unwrap();
    }

    async fn report(&self, word: &str) -> ServiceReport {
        let mut all =
            self.handle.ask(|answer| Command::Report { which: which(word), resources: false, answer }).await.unwrap();
        assert_eq!(all.len(), 1, "{word}");
        all.remove(0)
    }

    /// A report in which this is so.
    async fn until(&self, word: &str, is_so: impl Fn(&ServiceReport) -> bool) -> ServiceReport {
        for _ in 0..600 {
            let report = self.report(word).await;
            if is_so(&report) {
                return report;
            }
            tokio::time::sleep(SECOND / 10).await;
        }
        panic!("it never is so: {:?}", self.report(word).await);
    }

    async fn state(&self, word: &str) -> ServiceState {
        self.report(word).await.state
    }

    /// Waits for an event; fails if none comes within an hour of its time.
    async fn event(&mut self, word: &str, what: impl Fn(&EventKind) -> bool) -> crate::model::service::Event {
        let seen = std::cell::RefCell::new(Vec::new());
        let wait = async {
            loop {
                let event = match self.events.recv().await {
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    event => event.expect("the supervisor lives"),
                };
                if event.id == id(word) && what(&event.kind) {
                    return event;
                }
                seen.borrow_mut().push(format!("{}: {}", event.id, event.message));
            }
        };
        let found = tokio::time::timeout(3600 * SECOND, wait).await;
        found.unwrap_or_else(|_| panic!("of {word} it did not come, but {:#?}", seen.borrow()))
    }

    async fn becomes(&mut self, word: &str, state: ServiceState) {
        self.event(word, |kind| matches!(kind, EventKind::State { to, .. } if *to == state)).await;
    }

    async fn ready(&mut self, word: &str) {
        self.event(word, |kind| *kind == EventKind::Ready).await;
    }

    /// Waits until these are ready, or are so already.
    async fn up(&self, words: &str) {
        for word in words.split_whitespace() {
            let wait = async {
                while !self.report(word).await.ready {
                    self.soon().await;
                }
            };
            tokio::time::timeout(3600 * SECOND, wait).await.unwrap_or_else(|_| panic!("{word} is not ready"));
        }
    }

    /// Lets everything happen that is not far away.
    async fn soon(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

trait IsUp {
    fn desired_up(&self) -> bool;
}

impl IsUp for ServiceReport {
    fn desired_up(&self) -> bool {
        self.desired == crate::model::service::Desired::Up
    }
}

fn id(word: &str) -> ServiceId {
    word.parse().unwrap()
}

fn which(ids: &str) -> Selection {
    Selection { ids: ids.split_whitespace().map(id).collect(), project: None }
}

/// A service of the sim.
fn spec(word: &str, script: &str) -> ServiceSpec {
    let mut spec = ServiceSpec::new(id(word), vec!["sh".to_owned()], "/".into());
    spec.env.insert(VARIABLE.to_owned(), script.to_owned());
    spec
}

fn after(mut spec: ServiceSpec, words: &[&str]) -> ServiceSpec {
    spec.after = words.iter().map(|word| id(word)).collect();
    spec
}

/// One that says when it is ready.
fn notify(mut spec: ServiceSpec) -> ServiceSpec {
    spec.ready = Some(Ready::new(Check::Notify(true)));
    spec
}

/// Runs a test in simulated time, within a folder.
fn simulated(test: impl AsyncFnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test(dir.path()));
}

/// The same in real time: for what asks the host.
fn real(test: impl AsyncFnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test(dir.path()));
}
