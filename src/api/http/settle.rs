//! Waiting until a service is where it was sent, by the rule of the command line.

use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, timeout_at};

use super::call::Call;
use super::problem::Problem;
use crate::model::ServiceId;
use crate::model::service::{Event, ServiceReport};
use crate::services::{Goal, Seen, blocks};

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
            let earlier =
                if matches!(goal, Goal::Ready | Goal::Again) { earlier(call, &report).await? } else { Vec::new() };
            let blocked = earlier.iter().any(|earlier| blocks(earlier, &[&report]));
            let judged = if blocked { Some(false) } else { self.seen.judge(&report, goal) };
            let next = match judged {
                Some(true) => self.seen.settled(&[&report], goal),
                Some(false) => None,
                None => Some(end),
            };
            let Some(next) = next else { return Ok(report) };
            let heard = timeout_at(next.min(end), self.hear(&id, &earlier)).await;
            if heard.is_err() && Instant::now() >= end {
                let limit = humantime::format_duration(limit);
                let late = || Problem::late(format!("{id} is {} after {limit}; what was begun goes on", report.state));
                return judged.map(|_| report.clone()).ok_or_else(late);
            }
        }
    }

    /// Waits for anything to happen to it, or to those that it comes after.
    async fn hear(&mut self, id: &ServiceId, earlier: &[ServiceReport]) {
        loop {
            match self.events.recv().await {
                Ok(event) => {
                    self.seen.note(&event);
                    if event.id == *id || earlier.iter().any(|earlier| earlier.id == event.id) {
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

/// What it comes after, and these in turn.
async fn earlier(call: &Call, report: &ServiceReport) -> Result<Vec<ServiceReport>, Problem> {
    let mut earlier: Vec<ServiceReport> = Vec::new();
    if report.after.is_empty() {
        return Ok(earlier);
    }
    let mut others = call.reports(Default::default(), false).await?;
    let mut wanted = report.after.clone();
    while let Some(id) = wanted.pop() {
        let found: Vec<_> = others.extract_if(.., |other| crate::services::matches(&id, &other.id)).collect();
        wanted.extend(found.iter().flat_map(|report| report.after.iter().cloned()));
        earlier.extend(found);
    }
    Ok(earlier)
}
