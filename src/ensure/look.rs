//! Looks at the target: does it answer, does it run, does it exist; and waits for the answer.

use std::time::Duration;

use tokio::time::Instant;

use super::{Run, launch};
use crate::client::what;
use crate::error::Error;
use crate::model::{Action, Availability, AvailabilityState, Facts, OwnerFacts, Target};
use crate::observe::Want;
use crate::probe::{self, Subject};
use crate::sys::pidfd::PidFd;
use crate::sys::spawn::Child;
use crate::wait::runs;

/// What was seen at one look.
pub(super) enum Seen {
    /// It answers, or runs and has nothing to ask.
    Good(Availability),
    /// It runs and does not answer (yet).
    Running(Box<(Facts, usize)>, Availability),
    /// It exists and does not run.
    Idle(Box<(Facts, usize)>),
    /// Nothing like that exists.
    Nothing(Error),
}

impl Run<'_> {
    /// `ask`: also ask the manager what the caller may do.
    pub(super) async fn look(&self, ask: bool) -> Result<Seen, Error> {
        self.look_at(self.follow.as_ref().unwrap_or(self.target), ask).await
    }

    async fn look_at(&self, target: &Target, ask: bool) -> Result<Seen, Error> {
        let actions = if ask { vec![Action::Start, Action::Restart] } else { Vec::new() };
        let want = Want { actions, sudo: self.options.sudo && ask, suggest: ask, ..Want::default() };
        let facts = match self.client.facts(target, &want).await {
            Ok(facts) => facts,
            Err(error @ Error::NotFound { .. }) => return self.look_at_nothing(error).await,
            Err(error) => return Err(error),
        };
        let Some(index) = facts.owners.iter().position(runs) else {
            if facts.owners.len() > 1 {
                let choices = facts.owners.iter().map(|o| (o.exact.clone(), what(o))).collect();
                return Err(Error::Ambiguous { target: crate::text::clip(&facts.target), choices });
            }
            // Behind a socket of its own manager, the port itself is what answers.
            if matches!(target, Target::Port(_)) && !self.options.dry_run {
                let found = self.probe(&facts.owners[0]).await?;
                if found.state == AvailabilityState::Available {
                    return Ok(Seen::Good(found));
                }
            }
            return Ok(Seen::Idle(Box::new((facts, 0))));
        };
        let owner = &facts.owners[index];
        if let Some(port) = self.is_without_its_port(target, owner) {
            let why = format!("it does not listen on port {port}");
            let found = Availability { state: AvailabilityState::Unavailable, ..Availability::unknown(why) };
            return Ok(Seen::Running(Box::new((facts, index)), found));
        }
        let found = self.probe(owner).await?;
        let serves = matches!(found.state, AvailabilityState::Available | AvailabilityState::Unknown);
        // Its config says what is waited for, unless the caller does.
        let waits = owner.service.as_ref().filter(|service| !service.report.ready && self.options.probe.is_none());
        if let Some(service) = waits.filter(|_| serves) {
            let found = unavailable(&format!("{} is not ready yet", service.report.id));
            return Ok(Seen::Running(Box::new((facts, index)), found));
        }
        Ok(if serves { Seen::Good(found) } else { Seen::Running(Box::new((facts, index)), found) })
    }

    /// What was started for a port, and listens elsewhere or not yet.
    fn is_without_its_port(&self, target: &Target, owner: &OwnerFacts) -> Option<u16> {
        let Target::Port(port) = *self.target else { return None };
        let listens = || owner.listening.as_ref().is_none_or(|all| all.iter().any(|address| address.port() == port));
        (target != self.target && self.options.probe.is_none() && !listens()).then_some(port)
    }

    async fn probe(&self, owner: &OwnerFacts) -> Result<Availability, Error> {
        let options = self.probe_options();
        self.client.observer().probe_owner(owner, self.target, &options).await
    }

    fn probe_options(&self) -> probe::Options {
        // What loads may be asked when the timeout is over; it is not asked for longer than that.
        let least = self.options.timeout.clamp(Duration::from_millis(100), Duration::from_secs(1));
        let timeout = self.left().clamp(least, Duration::from_secs(5));
        probe::Options { timeout, spec: self.options.probe.clone(), models: false }
    }

    /// No process of that name can be seen; a known server may answer all the same, from a
    /// container or another host's forwarding.
    async fn look_at_nothing(&self, error: Error) -> Result<Seen, Error> {
        let word = match self.target {
            Target::Word(word) => Some(word.as_str()),
            _ => None,
        };
        if word.is_none() && self.options.probe.is_none() {
            return Ok(Seen::Nothing(error));
        }
        let subject = Subject { word, ..Subject::default() };
        let known = self.client.observer().known()?;
        let found = probe::probe(&subject, known, &self.probe_options()).await;
        Ok(match found.state {
            AvailabilityState::Available => Seen::Good(found),
            _ => Seen::Nothing(error),
        })
    }

    /// Looks until it is available, or the time for its state is over, or the child that was
    /// started for it has ended and left nothing.
    pub(super) async fn wait(&self, mut child: Option<&mut Child>) -> Result<Availability, Error> {
        let started = Instant::now();
        let fd = child.as_ref().and_then(|child| PidFd::open(child.id()).ok());
        let mut pause = Duration::from_millis(50);
        loop {
            let status = child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            let seen = match status {
                None => self.look(false).await?,
                // What has put itself into the background goes on under the target's own name.
                Some(_) => self.look_at(self.target, false).await?,
            };
            let found = match (seen, status) {
                // A unit that was only just started may have no socket yet.
                (Seen::Good(found), _) if found.state == AvailabilityState::Unknown && may_serve(started) => found,
                (Seen::Good(found), _) => return Ok(found),
                (Seen::Running(_, found), None) => found,
                (Seen::Running(_, found), Some(status)) if status.is_success() => found,
                (_, Some(status)) => return Ok(unavailable(&format!("it {}", launch::ended(status)))),
                (Seen::Idle(_) | Seen::Nothing(_), None) => unavailable("it does not run"),
            };
            let loads = found.state == AvailabilityState::Starting;
            let limit = if loads { self.options.load_timeout } else { self.options.timeout };
            let left = limit.saturating_sub(self.since.elapsed());
            if left.is_zero() {
                return Ok(found);
            }
            let ended = async {
                match &fd {
                    Some(fd) if status.is_none() && fd.ended().await.is_ok() => {}
                    _ => std::future::pending().await,
                }
            };
            let _ = tokio::time::timeout(pause.min(left), ended).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}

/// For a moment after its start, something without an address may still get one.
fn may_serve(started: Instant) -> bool {
    started.elapsed() < Duration::from_millis(500)
}

fn unavailable(why: &str) -> Availability {
    Availability { state: AvailabilityState::Unavailable, ..Availability::unknown(why) }
}
