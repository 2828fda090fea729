//! Asking a known server: its health, then its models.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::choose::{Ask, Candidate};
use super::http::{self, Answer};
use super::known::Server;
use super::outcome::{accepted, found, with_line};
use super::spec::ProbeSpec;
use super::url::{HttpUrl, To};
use super::{fault::Fault, models, tcp, unix};
use crate::model::{Availability, AvailabilityState};

/// How long a server that opens its port late may have none and count as starting: as long as
/// `ensure` lets one load.
const LOADING: Duration = Duration::from_secs(600);

/// Makes one check.
pub(super) async fn run(candidate: &Candidate<'_>, limit: Duration, with_models: bool) -> Availability {
    let deadline = Instant::now() + limit;
    match candidate {
        Candidate::Tcp(endpoint) => super::outcome::of_spec(&ProbeSpec::Tcp(endpoint.clone()), limit, None).await,
        Candidate::Silent { server, port, started } => {
            let mut silent = Availability::unknown(format!("it runs, and does not listen on port {port}"));
            silent.state = AvailabilityState::Unavailable;
            silent.server = Some(server.name.clone());
            late(silent, server, *started)
        }
        Candidate::Withheld { server, why } => {
            Availability { server: Some(server.name.clone()), ..Availability::unknown(*why) }
        }
        Candidate::Ask(ask) => {
            let mut answer = ask.health(deadline, limit).await;
            if with_models && answer.state == AvailabilityState::Available && !ask.tls {
                (answer.models, answer.loaded) = ask.models(deadline, limit).await;
            }
            answer
        }
    }
}

/// A young process of a server that opens its port late, and has not yet, is starting.
fn late(mut silent: Availability, server: &Server, started: Option<SystemTime>) -> Availability {
    #[allow(clippy::disallowed_methods, reason = "the age of a process, which is measured in wall-clock time")]
    let age = started.and_then(|started| SystemTime::now().duration_since(started).ok());
    if server.opens_late && age.is_none_or(|age| age < LOADING) {
        silent.state = AvailabilityState::Starting;
        silent.detail = format!("{}; {} opens its port when it has loaded", silent.detail, server.name);
    }
    silent
}

impl Ask<'_> {
    async fn health(&self, deadline: Instant, limit: Duration) -> Availability {
        let started = Instant::now();
        let mut missing = None;
        for path in &self.server.health {
            if self.tls {
                break;
            }
            let Ok(url) = HttpUrl::new(self.to.clone(), &format!("{}{path}", self.prefix)) else { continue };
            let answer = http::get(&url, deadline, limit, |status| status >= 400).await;
            match answer {
                Ok(answer) if answer.status == 404 => missing = Some(format!("{path}: 404")),
                answer => return self.verdict(&url, started, answer),
            }
        }
        // No path to ask, or none that it knows: that it accepts connections is all that is known.
        let (spec, accepted) = match &self.to {
            To::Tcp(endpoint) => {
                (ProbeSpec::Tcp(endpoint.clone()), accepted(tcp::connect(endpoint, deadline, limit).await))
            }
            To::Unix(path) => (ProbeSpec::Unix(path.clone()), accepted(unix::connect(path, deadline, limit).await)),
        };
        let (state, mut detail) = accepted;
        if let Some(missing) = missing {
            detail = format!("{detail} (GET {missing})");
        } else if self.tls {
            detail = format!("{detail}; it speaks TLS, so nothing was asked");
        }
        let mut answer = found(state, spec.to_string(), started.elapsed(), detail);
        answer.server = Some(self.server.name.clone());
        answer.url = self.address();
        answer
    }

    fn verdict(&self, url: &HttpUrl, started: Instant, answer: Result<Answer, Fault>) -> Availability {
        let at = answer.as_ref().map_or_else(|_| Instant::now(), |answer| answer.at);
        let refused = matches!(answer, Err(Fault::Refused));
        let (state, detail) = match &answer {
            Err(fault) => (AvailabilityState::Unavailable, fault.to_string()),
            Ok(answer) if answer.status < 400 => (AvailabilityState::Available, answer.status.to_string()),
            Ok(answer) if matches!(answer.status, 401 | 403) => {
                (AvailabilityState::Available, format!("{}: it answers, and asks for a key", answer.status))
            }
            Ok(answer) if is_starting(self.server, answer) => (AvailabilityState::Starting, with_line(answer)),
            Ok(answer) => (AvailabilityState::Unavailable, with_line(answer)),
        };
        let mut answer = found(state, format!("http GET {url}"), at - started, detail);
        answer.server = Some(self.server.name.clone());
        answer.url = self.address();
        match self.runs {
            Some(started) if refused => late(answer, self.server, started),
            _ => answer,
        }
    }

    /// Every listing that answers: the loaded models before the others, each once.
    async fn models(&self, deadline: Instant, limit: Duration) -> (Vec<String>, Vec<String>) {
        let (mut loaded, mut others) = (Vec::new(), Vec::new());
        for listing in &self.server.models {
            let Ok(url) = HttpUrl::new(self.to.clone(), &format!("{}{}", self.prefix, listing.path)) else { continue };
            let Ok(answer) = http::get(&url, deadline, limit, |status| status == 200).await else { continue };
            for (name, is_loaded) in models::read(listing, &answer.body) {
                let list = if is_loaded { &mut loaded } else { &mut others };
                if !list.contains(&name) {
                    list.push(name);
                }
            }
        }
        others.retain(|name| !loaded.contains(name));
        (loaded.iter().cloned().chain(others).collect(), loaded)
    }

    /// As people would use it; `None` for what does not speak HTTP.
    fn address(&self) -> Option<String> {
        if self.server.health.is_empty() {
            return None;
        }
        match &self.to {
            To::Tcp(endpoint) => Some(format!("http{}://{endpoint}{}", if self.tls { "s" } else { "" }, self.prefix)),
            To::Unix(path) => Some(format!("http://unix:{}", path.display())),
        }
    }
}

fn is_starting(server: &Server, answer: &Answer) -> bool {
    server.starting.iter().any(|starting| starting.means(answer.status, &answer.body))
}
