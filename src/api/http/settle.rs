//! Waiting until a service is where it was sent, by the rule of the command line.

use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, timeout_at};

use super::call::Call;
use super::problem::Problem;
use crate::model::ServiceId;
use crate::model::service::{Event, ServiceReport};
use crate::services::{Goal, Seen};

/// What happens from now on: before a command is given, so that nothing is missed.
pub(super) struct Settling {
    events: Receiver<Event>,
    seen: Seen,
}

impl Settling {
    pub(super) fn begin(call: &Call) -> Self {
        Self { events: call.front.api.handle.events(), seen: Seen::begin() }
    }

    /// Waits for the service of the path, until it is there or never will be.
    pub(super) async fn settle(mut self, call: &Call, goal: Goal, limit: Duration) -> Result<ServiceReport, Problem> {
        let id = call.id()?;
        let end = Instant::now() + limit;
        loop {
            let report = call.report(false).await?;
            self.seen.look_at(&report);
            let judged = self.seen.judge(&report, goal);
            let next = match judged {
                Some(true) => self.seen.settled(&[&report], goal),
                Some(false) => None,
                None => Some(end),
            };
            let Some(next) = next else { return Ok(report) };
            let heard = timeout_at(next.min(end), self.hear(&id)).await;
            if heard.is_err() && Instant::now() >= end {
                let limit = humantime::format_duration(limit);
                let late = || Problem::late(format!("{id} is {} after {limit}; what was begun goes on", report.state));
                return judged.map(|_| report.clone()).ok_or_else(late);
            }
        }
    }

    /// Waits for anything to happen to it.
    async fn hear(&mut self, id: &ServiceId) {
        loop {
            match self.events.recv().await {
                Ok(event) => {
                    self.seen.note(&event);
                    if event.id == *id {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => return self.seen.missed(),
                // The daemon ends, and with it the question.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
