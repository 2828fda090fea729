//! Looks at the target: does it answer, does it run, does it exist; and waits for the answer.

use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use crate::client::what;
use crate::error::Error;
use crate::model::{Action, Availability, AvailabilityState, Facts, OwnerFacts, Target};
use crate::observe::Want;
use crate::probe::{self, Subject};
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
        let actions = if ask { vec![Action::Start, Action::Restart] } else { Vec::new() };
        let want = Want { actions, probe: false, sudo: self.options.sudo && ask };
        let facts = match self.client.facts(self.target, &want).await {
            Ok(facts) => facts,
            Err(error @ Error::NotFound { .. }) => return self.look_at_nothing(error).await,
            Err(error) => return Err(error),
        };
        let Some(index) = facts.owners.iter().position(runs) else {
            if facts.owners.len() > 1 {
                let choices = facts.owners.iter().map(|o| (o.exact.clone(), what(o))).collect();
                return Err(Error::Ambiguous { target: crate::text::clip(&facts.target), choices });
            }
            return Ok(Seen::Idle(Box::new((facts, 0))));
        };
        let found = self.probe(&facts.owners[index]).await?;
        Ok(match found.state {
            AvailabilityState::Available => Seen::Good(found),
            AvailabilityState::Unknown => Seen::Good(found),
            _ => Seen::Running(Box::new((facts, index)), found),
        })
    }

    async fn probe(&self, owner: &OwnerFacts) -> Result<Availability, Error> {
        let options = self.probe_options();
        self.client.observer().probe_owner(owner, self.target, &options).await
    }

    fn probe_options(&self) -> probe::Options {
        let timeout = self.options.timeout.clamp(Duration::from_millis(100), Duration::from_secs(5));
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

    /// Looks until it is available, or the time for its state is over.
    pub(super) async fn wait(&self, timeout: Duration) -> Result<Availability, Error> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(50);
        let mut gone = 0;
        loop {
            let found = match self.look(false).await? {
                // A unit that was only just started may have no socket yet.
                Seen::Good(found) if found.state == AvailabilityState::Unknown && self.may_serve(started) => found,
                Seen::Good(found) => return Ok(found),
                Seen::Running(_, found) => found,
                Seen::Idle(_) | Seen::Nothing(_) => {
                    gone += 1;
                    Availability { state: AvailabilityState::Unavailable, ..Availability::unknown("it does not run") }
                }
            };
            let limit = if found.state == AvailabilityState::Starting { self.options.load_timeout } else { timeout };
            if started.elapsed() >= limit {
                return Ok(found);
            }
            // What we started ourselves and what then ended will not come back.
            if gone > 3 && !self.options.command.is_empty() {
                return Ok(found);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// For a moment after its start, something without an address may still get one.
    fn may_serve(&self, started: Instant) -> bool {
        started.elapsed() < Duration::from_millis(500)
    }
}
