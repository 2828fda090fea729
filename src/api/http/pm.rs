//! `/api/pm`: the API of sidecar managers, with the keys, types and words that their clients know.

use std::time::{Duration, SystemTime};

use axum::http::{Method, StatusCode};
use serde::Serialize;

use super::call::{Answered, Call, json};
use super::describe::of;
use super::endpoint::{Endpoint, Gives};
use super::problem::Problem;
use super::settle::Settling;
use crate::model::ServiceId;
use crate::model::service::{ServiceReport, ServiceState};
use crate::services::Goal;
use crate::supervise::Command;
use crate::tokens::Scope;

/// How long a stop may take: as long as the usual signals, and a little more.
const STOP: Duration = Duration::from_secs(45);

pub(super) static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::GET,
        path: "/api/pm/list",
        scope: Some(Scope::Read),
        system: false,
        about: "All services, as sidecar managers list processes.",
        params: &[],
        body: None,
        gives: Gives::Json(200, of::<Vec<Process>>()),
        fails: &[],
        handler: |call| Box::pin(list(call)),
    },
    Endpoint {
        method: Method::POST,
        path: "/api/pm/{id}/restart",
        scope: Some(Scope::Manage),
        system: false,
        about: "Restarts a service; answers when that has begun.",
        params: &[],
        body: None,
        gives: Gives::Json(200, of::<Said>()),
        fails: &[404, 409],
        handler: |call| Box::pin(restart(call)),
    },
    Endpoint {
        method: Method::POST,
        path: "/api/pm/{id}/stop",
        scope: Some(Scope::Manage),
        system: false,
        about: "Stops a service; answers when it has ended.",
        params: &[],
        body: None,
        gives: Gives::Json(200, of::<Said>()),
        fails: &[404, 409, 504],
        handler: |call| Box::pin(stop(call)),
    },
];

/// One service.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Process {
    id: ServiceId,
    /// Its main process; 0 without one.
    pid: u32,
    status: Status,
    /// RFC 3339; empty if it never started.
    start_time: String,
    /// For how long it runs, as 2h30m15s.
    uptime: String,
    restart_count: u64,
    /// Empty if nothing went wrong.
    last_error: String,
}

/// The four states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Status {
    Running,
    Stopped,
    Failed,
    Starting,
}

/// What was done.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Said {
    message: &'static str,
    id: ServiceId,
}

async fn list(call: Call) -> Answered {
    let now = crate::clock::now();
    let all = call.reports(Default::default(), false).await?;
    json(&all.iter().map(|report| Process::of(report, now)).collect::<Vec<_>>())
}

async fn restart(call: Call) -> Answered {
    let (id, which) = (call.report(false).await?.id, call.one()?.1);
    call.front.api.handle.ask(|answer| Command::Restart { which, answer }).await?;
    json(&Said { message: "Process restart initiated", id })
}

async fn stop(call: Call) -> Answered {
    let (id, which) = (call.report(false).await?.id, call.one()?.1);
    let settling = Settling::begin(&call);
    call.front.api.handle.ask(|answer| Command::Stop { which, force: false, answer }).await?;
    let service = settling.settle(&call, Goal::Down, STOP).await?;
    if service.state.is_alive() {
        return Err(Problem::new(StatusCode::CONFLICT, crate::act::why_not_down(&service)));
    }
    json(&Said { message: "Process stopped", id })
}

impl Process {
    fn of(report: &ServiceReport, now: SystemTime) -> Self {
        let started = report.started_at.as_deref().and_then(|at| humantime::parse_rfc3339_weak(at).ok());
        let lives = report.state.is_alive();
        let age = started.filter(|_| lives).and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
        Self {
            id: report.id.clone(),
            pid: report.pid.unwrap_or(0),
            status: match report.state {
                ServiceState::Running | ServiceState::Stopping => Status::Running,
                ServiceState::Starting | ServiceState::Restarting => Status::Starting,
                ServiceState::Stopped | ServiceState::Done => Status::Stopped,
                ServiceState::Failed => Status::Failed,
            },
            start_time: report.started_at.clone().unwrap_or_default(),
            uptime: uptime(age),
            restart_count: report.restarts,
            last_error: report.last_error.clone().unwrap_or_default(),
        }
    }
}

/// As Go writes a duration of whole seconds.
fn uptime(age: Duration) -> String {
    let all = age.as_secs();
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::ServiceSpec;
    use serde_json::json;

    #[test]
    fn the_document_is_the_one_that_clients_know() {
        let now = humantime::parse_rfc3339("2026-01-30T12:30:15Z").unwrap();
        let spec = ServiceSpec::new("ai-agent".parse().unwrap(), vec!["x".to_owned()], "/".into());
        let mut report = ServiceReport {
            state: ServiceState::Running,
            pid: Some(4021),
            started_at: Some("2026-01-30T10:00:00Z".to_owned()),
            restarts: 3,
            ..crate::services::of_spec(&spec)
        };
        let expected = json!({
            "id": "ai-agent", "pid": 4021, "status": "running", "startTime": "2026-01-30T10:00:00Z",
            "uptime": "2h30m15s", "restartCount": 3, "lastError": "",
        });
        assert_eq!(serde_json::to_value(Process::of(&report, now)).unwrap(), expected);
        let states = [
            (ServiceState::Restarting, "starting"),
            (ServiceState::Stopping, "running"),
            (ServiceState::Starting, "starting"),
            (ServiceState::Stopped, "stopped"),
            (ServiceState::Failed, "failed"),
        ];
        for (state, word) in states {
            report.state = state;
            let shown = serde_json::to_value(Process::of(&report, now)).unwrap();
            assert_eq!(shown["status"], word);
            assert_eq!(shown["uptime"] == "0s", !state.is_alive());
        }
    }

    #[test]
    fn spans_are_written_as_go_does() {
        let words = |secs| uptime(Duration::from_secs(secs));
        assert_eq!(
            [words(0), words(59), words(60), words(3600), words(360_005)],
            ["0s", "59s", "1m0s", "1h0m0s", "100h0m5s"]
        );
    }
}
