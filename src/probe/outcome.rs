//! What one check found, and how it is put into an [`Availability`].

use std::time::Duration;

use tokio::time::Instant;

use super::exec::{self, Surroundings};
use super::fault::Fault;
use super::http::{self, Answer};
use super::spec::{HttpSpec, ProbeSpec};
use super::{tcp, unix};
use crate::model::{Availability, AvailabilityState};
use crate::text::clip_to;

/// Longest line of evidence, in characters.
const LINE_MAX: usize = 160;

/// Asks what the user said, and nothing else. A command runs in provost's own surroundings,
/// unless others are given.
pub(super) async fn of_spec(spec: &ProbeSpec, limit: Duration, within: Option<Surroundings<'_>>) -> Availability {
    let started = Instant::now();
    let deadline = started + limit;
    let mut at = None;
    let (state, detail) = match spec {
        ProbeSpec::Http(http) => {
            let answer = http::get(&http.url, deadline, limit, |status| {
                http.body_contains.is_some() || !http.expect.contains(status)
            })
            .await;
            at = answer.as_ref().ok().map(|answer| answer.at);
            of_answer(http, answer)
        }
        ProbeSpec::Tcp(endpoint) => accepted(tcp::connect(endpoint, deadline, limit).await),
        ProbeSpec::Unix(path) => accepted(unix::connect(path, deadline, limit).await),
        ProbeSpec::Exec(argv) => match exec::run(argv, within, deadline, limit).await {
            Ok((true, line)) => (AvailabilityState::Available, line),
            Ok((false, line)) => (AvailabilityState::Unavailable, line),
            Err(fault) => (AvailabilityState::Unavailable, fault.to_string()),
        },
    };
    let mut found = found(state, spec.to_string(), at.unwrap_or_else(Instant::now) - started, detail);
    if let ProbeSpec::Http(http) = spec {
        found.url = Some(http.url.base());
    }
    found
}

fn of_answer(spec: &HttpSpec, answer: Result<Answer, Fault>) -> (AvailabilityState, String) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return (AvailabilityState::Unavailable, fault.to_string()),
    };
    if !spec.expect.contains(answer.status) {
        return (AvailabilityState::Unavailable, with_line(&answer));
    }
    match &spec.body_contains {
        Some(text) if !contains(&answer.body, text.as_bytes()) => {
            let detail = format!("{}, and the body does not contain '{}'", answer.status, clip_to(text, 60));
            (AvailabilityState::Unavailable, detail)
        }
        _ => (AvailabilityState::Available, answer.status.to_string()),
    }
}

/// The status and the first line of the body, where there is one.
pub(super) fn with_line(answer: &Answer) -> String {
    match first_line(&answer.body) {
        Some(line) => format!("{}: {line}", answer.status),
        None => answer.status.to_string(),
    }
}

pub(super) fn accepted<S>(connection: Result<S, Fault>) -> (AvailabilityState, String) {
    match connection {
        Ok(_) => (AvailabilityState::Available, "accepts connections".to_owned()),
        Err(fault) => (AvailabilityState::Unavailable, fault.to_string()),
    }
}

/// Puts the parts together.
pub(super) fn found(state: AvailabilityState, by: String, latency: Duration, detail: String) -> Availability {
    let latency_ms = (latency.as_secs_f64() * 1e5).round() / 1e2;
    Availability { state, by: Some(by), latency_ms: Some(latency_ms), ..Availability::unknown(detail) }
}

/// The first line that is not empty, fit for a terminal.
pub(crate) fn first_line(bytes: &[u8]) -> Option<String> {
    let line = bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty())?;
    Some(clip_to(&String::from_utf8_lossy(&line[..line.len().min(4096)]), LINE_MAX))
}

/// Whether `needle` occurs in `body`.
pub(super) fn contains(body: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || body.windows(needle.len()).any(|window| window == needle)
}
