//! Makes sure that something is available: does nothing if it is, starts what is there and not
//! running, waits for what is loading, and restarts only when told to.

mod launch;
mod lock;
mod look;
mod steps;
mod supervised;

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::Error;
use crate::model::{Availability, AvailabilityState, Means, Target};
use crate::probe::ProbeSpec;
pub(crate) use launch::{check_program, id_for};
use look::Seen;

/// What is wanted of [`ensure`].
#[derive(Debug, Clone)]
pub struct Options {
    /// How long everything may take until it is available: the wait for another provost, the
    /// start, and the answer. After a restart this time begins once more.
    pub timeout: Duration,
    /// How long everything may take while it says that it is still loading.
    pub load_timeout: Duration,
    /// Restart what runs and does not answer within the time.
    pub restart: bool,
    /// Say what would be done, and change nothing.
    pub dry_run: bool,
    /// sudo may be used where it asks for no password.
    pub sudo: bool,
    /// A password may be asked for.
    pub ask_password: bool,
    /// What to ask in place of what is found.
    pub probe: Option<ProbeSpec>,
    /// What to start if nothing exists.
    pub command: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            load_timeout: Duration::from_secs(600),
            restart: false,
            dry_run: false,
            sudo: false,
            ask_password: true,
            probe: None,
            command: Vec::new(),
        }
    }
}

/// How it ended: the JSON of `ensure`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ensured {
    /// Whether it is available now.
    pub state: AvailabilityState,
    /// Where.
    pub url: Option<String>,
    /// This call started or restarted it.
    pub started: bool,
    /// By what means; `probe` where nothing was done.
    pub means: Means,
    /// How long it took.
    pub waited_ms: u64,
    /// In words.
    pub reason: String,
    /// What would unlock more.
    pub unlock: Option<String>,
    /// The exit code that goes with it.
    #[serde(skip)]
    pub exit_code: u8,
}

/// One call: its clock and what it was asked.
#[derive(Clone)]
struct Run<'a> {
    client: &'a Client,
    target: &'a Target,
    options: &'a Options,
    /// When it was called.
    called: Instant,
    /// When the time began: then too, or at the restart.
    since: Instant,
    /// What is looked at in place of the target: what was started for it.
    follow: Option<Target>,
}

/// Makes sure that the target is available.
pub async fn ensure(client: &Client, target: &Target, options: &Options) -> Result<Ensured, Error> {
    let run = Run { client, target, options, called: Instant::now(), since: Instant::now(), follow: None };
    if let Seen::Good(found) = run.look(true).await? {
        return Ok(run.good(found, false, Means::Probe, "it was available already"));
    }
    if options.dry_run {
        return run.act(run.look(true).await?).await;
    }
    let Some(lock) = run.lock(target).await? else {
        return Ok(run.busy());
    };
    match run.look(true).await? {
        Seen::Good(found) if lock.waited => {
            Ok(run.good(found, false, Means::Probe, "another provost made it available meanwhile"))
        }
        seen => run.act(seen).await,
    }
}

impl Run<'_> {
    fn waited_ms(&self) -> u64 {
        u64::try_from(self.called.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What is left of the time.
    fn left(&self) -> Duration {
        self.options.timeout.saturating_sub(self.since.elapsed())
    }

    /// The lock of a target; `None` if the time did not suffice.
    async fn lock(&self, target: &Target) -> Result<Option<lock::Lock>, Error> {
        let uid = self.client.observer().caller().uid;
        let lock = lock::take(uid, &target.to_string(), self.left()).await;
        lock.map_err(|source| Error::Io { what: "the lock of this target".to_owned(), source })
    }

    fn busy(&self) -> Ensured {
        self.bad(Availability::unknown(""), 7, "another provost still works on it", None)
    }

    fn good(&self, found: Availability, started: bool, means: Means, reason: &str) -> Ensured {
        let reason = match found.state {
            AvailabilityState::Available => reason.to_owned(),
            _ => {
                // What is known and is not asked says why itself.
                let why = found.server.as_ref().map_or("there is no address to ask", |_| found.detail.as_str());
                let before = if means == Means::Probe { String::new() } else { format!("{reason}; ") };
                format!("{before}it runs; {why}")
            }
        };
        Ensured {
            state: found.state,
            url: found.url,
            started,
            means,
            waited_ms: self.waited_ms(),
            reason,
            unlock: None,
            exit_code: 0,
        }
    }

    fn bad(&self, found: Availability, code: u8, reason: impl Into<String>, unlock: Option<String>) -> Ensured {
        Ensured {
            state: found.state,
            url: found.url,
            started: false,
            means: Means::Probe,
            waited_ms: self.waited_ms(),
            reason: reason.into(),
            unlock,
            exit_code: code,
        }
    }
}
