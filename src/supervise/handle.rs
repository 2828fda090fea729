//! How everybody else speaks to the supervisor: commands with an answer, and the stream of events.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::config::edit::{ETag, EditError};
use crate::config::{HttpOptions, OnStop};
use crate::model::service::{Event, ServiceReport, ServiceSpec};
use crate::model::{Identity, ServiceId, Signal, Whom};
use crate::supervise::changes::Occasion;

/// Which services: ids, ids of `instances`, and globs. Of a project only, if one is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Selection {
    /// Empty: all.
    pub(crate) ids: Vec<ServiceId>,
    /// Only those of this config file.
    pub(crate) project: Option<PathBuf>,
}

/// What can be asked of the supervisor. All of it returns at once: what takes time is told by
/// events, and ends in a state that [`Command::Report`] shows.
#[derive(Debug)]
pub(crate) enum Command {
    /// Reads a config file and makes its services known; what is started by that depends on the
    /// occasion. Those of the same file that are no longer in it are stopped and removed.
    Load { config: PathBuf, environment: BTreeMap<String, String>, occasion: Occasion, answer: Answer<Vec<ServiceId>> },
    /// Makes services known that are in no file; one of the same id that does not run is replaced.
    Define { specs: Vec<ServiceSpec>, environment: BTreeMap<String, String>, answer: Answer<Vec<ServiceId>> },
    /// Starts services, and before them those that they come after. `environment` replaces what
    /// was sent along earlier, unless it is empty.
    Start { which: Selection, environment: BTreeMap<String, String>, answer: Answer<Vec<(ServiceId, bool)>> },
    /// Stops services, and before them those that come after them. The flag of each: whether
    /// there was anything to do.
    Stop { which: Selection, force: bool, answer: Answer<Vec<(ServiceId, bool)>> },
    /// Stops what runs and starts it.
    Restart { which: Selection, answer: Answer<Vec<(ServiceId, bool)>> },
    /// Has services read their configuration again.
    Reload { which: Selection, answer: Answer<Vec<(ServiceId, bool)>> },
    /// Sends a signal.
    Kill { which: Selection, signal: Signal, whom: Whom, answer: Answer<Vec<(ServiceId, bool)>> },
    /// Whether services start with their project or the daemon; holds until the config says otherwise.
    Enable { which: Selection, enabled: bool, answer: Answer<Vec<(ServiceId, bool)>> },
    /// Stops services and forgets them.
    Remove { which: Selection, answer: Answer<Vec<(ServiceId, bool)>> },
    /// What a start, stop or restart of these would touch now, with what comes before and after them.
    Reach { which: Selection, what: Touch, answer: Answer<Vec<(ServiceId, Touch)>> },
    /// A command that must touch these services only.
    Bounded { allowed: Vec<ServiceId>, command: Box<Command> },
    /// Says what services are doing; `resources` measures what they use.
    Report { which: Selection, resources: bool, answer: Answer<Vec<ServiceReport>> },
    /// A service says that it lives.
    Heartbeat { id: ServiceId, answer: Answer<()> },
    /// Looks for orphans.
    Orphans { query: OrphanQuery, answer: Answer<Vec<Orphan>> },
    /// Ends orphans.
    CleanOrphans { query: OrphanQuery, force: bool, answer: Answer<OrphansCleaned> },
    /// Reads all config files again and applies what changed.
    ReloadConfig { answer: Answer<Vec<ServiceId>> },
    /// Follows the config of the instance in this folder, there or not, from now on.
    Follow { folder: PathBuf, answer: Answer<()> },
    /// What a service's own configuration says.
    ReadConfig { id: ServiceId, answer: Answer<OwnConfig> },
    /// Merges (RFC 7396) into a service's own configuration, if it is still what was expected and
    /// its check finds no fault with the result.
    PatchConfig {
        id: ServiceId,
        patch: serde_json::Value,
        expected: Option<ETag>,
        answer: Answer<Result<ETag, EditError>>,
    },
    /// Ends the supervisor. Services are stopped in order, or left as they are.
    Finish { stop: Stop, answer: Answer<()> },
}

/// A service's own configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OwnConfig {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The mark of its content.
    pub(crate) etag: ETag,
    /// What it says.
    pub(crate) value: serde_json::Value,
}

/// What config files come to besides services: what the supervisor's task, the daemon and those who
/// show it share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    /// What is wrong with them, by their paths.
    troubles: Arc<Mutex<BTreeMap<PathBuf, String>>>,
    of_daemon: Arc<watch::Sender<BTreeMap<PathBuf, OfDaemon>>>,
    /// The port of HTTP; 0: there is none.
    http_port: Arc<AtomicU16>,
    /// The orphans of the last search.
    orphans: Arc<Mutex<Vec<Identity>>>,
    /// For how many seconds an end may take.
    ends_within: Arc<AtomicU64>,
}

/// What a config file that was taken over says of the daemon itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfDaemon {
    /// Another one each time it is taken over: the files that it names may have changed.
    pub(crate) number: u64,
    /// What happens to the services when the daemon ends.
    pub(crate) on_stop: Option<OnStop>,
    /// How it answers HTTP.
    pub(crate) http: HttpOptions,
}

impl Shared {
    /// Something is wrong with a config file; `system`: everybody may read this, so only the places
    /// are told, and what stands there is for the log. What was told.
    pub(crate) fn note_trouble(&self, path: &Path, why: &str, system: bool) -> String {
        let told = if system { places_of(path, why) } else { why.to_owned() };
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), told.clone());
        told
    }

    /// The config files with which something is wrong.
    pub(crate) fn troubled(&self) -> Vec<PathBuf> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// A config file was taken over, and is as it should be.
    pub(crate) fn is_taken_over(&self, path: &Path, on_stop: Option<OnStop>, http: HttpOptions) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        self.of_daemon.send_modify(|all| {
            let number = all.get(path).map_or(0, |old| old.number + 1);
            all.insert(path.to_owned(), OfDaemon { number, on_stop, http });
        });
    }

    /// A config file is nobody's any more.
    pub(crate) fn is_dropped(&self, path: &Path) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        self.of_daemon.send_modify(|all| drop(all.remove(path)));
    }

    /// What config files that were taken over say of the daemon.
    pub(crate) fn of_daemon(&self) -> watch::Receiver<BTreeMap<PathBuf, OfDaemon>> {
        self.of_daemon.subscribe()
    }

    /// The port on which HTTP is answered, where it is: services may ask for it.
    pub(crate) fn http_port(&self) -> Option<u16> {
        Some(self.http_port.load(Ordering::Relaxed)).filter(|port| *port != 0)
    }

    /// These are the orphans now.
    pub(crate) fn note_orphans(&self, found: Vec<Identity>) {
        *self.orphans.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// The orphans of the last search. Some may have ended since then.
    pub(crate) fn orphans(&self) -> Vec<Identity> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long the end that was asked for may take, by what its services say of their stop.
    pub(crate) fn ends_within(&self) -> Duration {
        Duration::from_secs(self.ends_within.load(Ordering::Relaxed))
    }

    /// Says how long that is.
    pub(crate) fn will_end_within(&self, limit: Duration) {
        self.ends_within.store(limit.as_secs(), Ordering::Relaxed);
    }

    /// Says which that is from now on.
    pub(crate) fn answers_http_on(&self, port: Option<u16>) {
        self.http_port.store(port.unwrap_or(0), Ordering::Relaxed);
    }
}

/// What is done to a service, and to others on its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    Start,
    Stop,
    Restart,
}

impl Touch {
    /// The word of it.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    /// The meaning of a word.
    pub(crate) fn of(verb: &str) -> Option<Self> {
        [Self::Start, Self::Stop, Self::Restart].into_iter().find(|touch| touch.verb() == verb)
    }
}

/// What happens to the services when the supervisor ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// They keep running; the next daemon takes them over.
    None,
    /// Those of the direct backend are stopped, those of systemd keep running.
    Direct,
    /// All are stopped, in reverse order.
    All,
    /// All are killed at once.
    Force,
}

impl Stop {
    /// The word of it on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "keep",
            Self::Direct => "direct",
            Self::All => "all",
            Self::Force => "force",
        }
    }

    /// The meaning of a word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::None, Self::Direct, Self::All, Self::Force].into_iter().find(|stop| stop.as_str() == word)
    }
}

/// Where the answer to a command goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

/// Why the supervisor did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No service has such an id.
    #[error("there is no service {id}")]
    NoSuchService {
        /// The id, or the glob.
        id: String,
        /// Ids that are near it.
        nearest: Vec<String>,
    },
    /// A config is wrong; a line for each error.
    #[error("{0}")]
    Config(String),
    /// It cannot be done as things are: an id is taken, a service runs, it has no way to reload.
    #[error("{0}")]
    Failed(String),
    /// The supervisor is ending.
    #[error("the daemon is ending")]
    Ending,
}

/// Which orphans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrphanQuery {
    /// Names of processes to look for besides what carries the mark.
    #[serde(default)]
    pub(crate) names: Vec<String>,
}

/// A process without a supervisor, or one that looks like it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orphan {
    /// The process.
    pub(crate) identity: Identity,
    /// Its command line.
    pub(crate) command_line: Vec<String>,
    /// Its unit, where it has one of its own.
    #[serde(default)]
    pub(crate) unit: Option<String>,
    /// Of which service the mark speaks.
    #[serde(default)]
    pub(crate) service: Option<ServiceId>,
    /// Whether it is one.
    pub(crate) orphan: bool,
    /// Whether it carries the mark of this instance; only those are cleaned without being named.
    pub(crate) marked: bool,
    /// Why it is one, or why not.
    pub(crate) reason: String,
}

/// What became of orphans; the words are those of the API of process registries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct OrphansCleaned {
    /// Whether none is left.
    pub(crate) success: bool,
    /// The orphans that there were.
    pub(crate) orphaned_pids: Vec<u32>,
    /// How many were ended.
    pub(crate) killed_count: u32,
    /// The same in words.
    pub(crate) message: String,
}

/// The lines of what is wrong with a file, but only where it is.
pub(crate) fn places_of(path: &Path, why: &str) -> String {
    let path = path.display().to_string();
    let place = |line: &str| {
        let rest = line.strip_prefix(path.as_str()).unwrap_or_default();
        let numbers: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == ':').collect();
        format!("{path}:{}", numbers.trim_matches(':')).trim_end_matches(':').to_owned()
    };
    why.lines().map(|line| format!("{} (see the log)", place(line))).collect::<Vec<_>>().join("\n")
}

/// The way to a supervisor; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<Event>,
    shared: Shared,
}

impl Handle {
    /// With what the supervisor's task holds the other ends of.
    pub(crate) fn new(commands: mpsc::Sender<Command>, events: broadcast::Sender<Event>) -> Self {
        Self { commands, events, shared: Shared::default() }
    }

    /// Asks, and waits for the answer: `handle.ask(|answer| Command::Report { …, answer })`.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, Refusal> {
        let (answer, reply) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| Refusal::Ending)?;
        reply.await.map_err(|_| Refusal::Ending)?
    }

    /// What is wrong with config files, one line for each place; services go by what they last were.
    pub(crate) fn config_errors(&self) -> Vec<String> {
        let troubles = self.shared.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.values().flat_map(|text| text.lines()).map(str::to_owned).collect()
    }

    /// What is shared besides.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// All events from now on. Who reads too slowly is told how many were missed.
    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
