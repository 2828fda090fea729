//! Waiting until a service is where it was sent.

use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;

use super::call::Call;
use super::problem::Problem;
use crate::model::ServiceId;
use crate::model::service::{Event, ServiceReport, ServiceState};

/// Where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// It runs and is ready, or has failed.
    Up,
    /// It does not run.
    Down,
}

impl Goal {
    fn is_reached(self, report: &ServiceReport) -> bool {
        match self {
            Self::Up => {
                report.ready && report.state == ServiceState::Running
                    || matches!(report.state, ServiceState::Failed | ServiceState::Done)
            }
            Self::Down => matches!(report.state, ServiceState::Stopped | ServiceState::Failed),
        }
    }
}

/// Waits for it. The events are those since before it was sent.
pub(super) async fn settle(
    call: &Call,
    mut events: broadcast::Receiver<Event>,
    goal: Goal,
    limit: Duration,
) -> Result<ServiceReport, Problem> {
    let id = call.id()?;
    let end = Instant::now() + limit;
    loop {
        let report = call.report(false).await?;
        if goal.is_reached(&report) {
            return Ok(report);
        }
        let heard = tokio::time::timeout_at(end, of_service(&mut events, &id)).await;
        if heard.is_err() {
            let limit = humantime::format_duration(limit);
            return Err(Problem::late(format!("{id} is {} after {limit}; what was begun goes on", report.state)));
        }
    }
}

/// Waits for anything to happen to it.
async fn of_service(events: &mut broadcast::Receiver<Event>, id: &ServiceId) {
    loop {
        match events.recv().await {
            Ok(event) if event.id != *id => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            // The daemon ends, and with it the question.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
