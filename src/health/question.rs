//! What a service is asked.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::verdict::Answer;
use crate::model::AvailabilityState;
use crate::model::service::{Check, HealthSpec};
use crate::probe::{Kept, ProbeSpec};
use crate::supervise::readiness::{self, Commands};

/// One question.
pub(super) struct Question {
    /// As messages name it: its text may hold a secret.
    shown: Check,
    how: How,
}

enum How {
    Http(Kept),
    Other(ProbeSpec),
    /// It is not of its form.
    Never(String),
}

impl Question {
    /// All questions of a service.
    pub(super) fn all(spec: &HealthSpec, shown: &HealthSpec) -> Vec<Self> {
        let one = |(check, shown): (Check, Check)| match readiness::spec(&check) {
            Ok(ProbeSpec::Http(http)) => Self { shown, how: How::Http(Kept::new(http.url)) },
            Ok(other) => Self { shown, how: How::Other(other) },
            Err(error) => Self { shown, how: How::Never(error.to_string()) },
        };
        spec.checks().into_iter().zip(shown.checks()).map(one).collect()
    }

    pub(super) async fn ask(&mut self, limit: Duration, commands: &Commands, turns: &Semaphore) -> Answer {
        let (state, detail) = match &mut self.how {
            How::Http(kept) => kept.ask(limit).await,
            How::Other(spec) => {
                // The wait for its turn is no failure of the service.
                let turn = match spec {
                    ProbeSpec::Exec(_) => turns.acquire().await.ok(),
                    ProbeSpec::Unix(_) if matches!(commands, Commands::Bounded(_)) => turns.acquire().await.ok(),
                    _ => None,
                };
                let asked = readiness::ask(spec, limit, commands).await;
                drop(turn);
                match asked {
                    Ok(()) => (AvailabilityState::Available, String::new()),
                    Err(why) => (AvailabilityState::Unavailable, why),
                }
            }
            How::Never(why) => (AvailabilityState::Unavailable, why.clone()),
        };
        match state {
            AvailabilityState::Available => Answer::Good,
            AvailabilityState::Starting => Answer::Loading,
            _ => Answer::Bad(readiness::said(&detail, &self.shown)),
        }
    }
}
