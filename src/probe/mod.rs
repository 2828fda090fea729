//! Availability: whether a service answers, by HTTP, TCP, a Unix socket or a command.
//!
//! The network is asked here and nothing is decided: what is asked comes from the user
//! ([`ProbeSpec`]) or from a table of known servers ([`Known`]) and from what was observed of the
//! owner ([`Subject`]). Every check has a total timeout, reads at most 256 KiB, sends nothing but a
//! GET, follows no redirects, and answers with one line that is fit for a terminal.

mod address;
mod ask;
mod choose;
mod exec;
mod fault;
mod http;
mod kept;
mod known;
mod models;
mod outcome;
mod recognise;
mod settings;
mod spec;
mod status;
mod tcp;
mod unix;
mod until;
mod url;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

pub use address::Endpoint;
pub use choose::Subject;
pub(crate) use exec::{Surroundings, run_with, try_out};
pub(crate) use kept::Kept;
pub use known::{Known, KnownError, Match, Models, Server, Starting};
pub(crate) use outcome::first_line;
pub use settings::Environ;
pub use spec::{HttpSpec, ProbeSpec};
pub use status::StatusSet;
pub(crate) use unix::DENIED;
pub use until::until_available;
pub use url::{HttpUrl, To};

use crate::model::{Availability, AvailabilityState};

/// How to ask.
#[derive(Debug, Clone)]
pub struct Options {
    /// The time for everything together.
    pub timeout: Duration,
    /// What the user wants asked, in place of what is chosen from the subject.
    pub spec: Option<ProbeSpec>,
    /// Whether a known server is asked for its models.
    pub models: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), spec: None, models: true }
    }
}

/// Finds out whether the subject answers. It never fails: what cannot be asked is
/// [`AvailabilityState::Unknown`], with the reason.
///
/// It needs a tokio runtime with its drivers enabled. It can be cancelled by dropping it.
pub async fn probe(subject: &Subject<'_>, known: &Known, options: &Options) -> Availability {
    if let Some(spec) = &options.spec {
        return outcome::of_spec(spec, options.timeout, None).await;
    }
    let deadline = Instant::now() + options.timeout;
    let candidates = choose::choose(subject, known);
    let mut first = None;
    for (i, candidate) in candidates.iter().enumerate() {
        // What hangs must not use up the time of those after it.
        let left = u32::try_from(candidates.len() - i).unwrap_or(1);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        let answer = ask::run(candidate, share, options.models).await;
        if matches!(answer.state, AvailabilityState::Available | AvailabilityState::Starting) {
            return answer;
        }
        first.get_or_insert(answer);
    }
    first.unwrap_or_else(|| Availability::unknown(nothing_to_ask(subject)))
}

/// Asks one thing, and nothing else; a command in these surroundings.
pub(crate) async fn ask(spec: &ProbeSpec, limit: Duration, within: Option<exec::Surroundings<'_>>) -> Availability {
    outcome::of_spec(spec, limit, within).await
}

fn nothing_to_ask(subject: &Subject<'_>) -> &'static str {
    match (subject.processes.is_empty(), subject.listening) {
        (true, _) => "no process runs, and no known server has this name",
        (false, Some(_)) => "it listens on no TCP port",
        (false, None) => "it is no known server, and where it listens cannot be read",
    }
}
