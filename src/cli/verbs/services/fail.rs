//! A service that did not become ready: why, and what it said last.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::super::super::render::{BAD, DIM};
use super::super::Context;
use crate::act::ActError;
use crate::error::Error;
use crate::model::service::{ServiceReport, ServiceState};
use crate::services::{self, Query, Source};

/// So many of its last lines are shown.
const LINES: usize = 10;

/// Tells it, with its last log lines since it was asked for; exit 7 if a time was over, else 1.
pub(super) async fn not_ready(
    ctx: &Context<'_>,
    report: &ServiceReport,
    limit: Option<Duration>,
    since: SystemTime,
) -> Result<ExitCode, Error> {
    let id = &report.id;
    let why = report.reason.as_ref().or(report.last_error.as_ref());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let (error, code) = match limit {
        Some(limit) => {
            let limit = humantime::format_duration(limit);
            let why = format!("{id} is not ready after {limit}, it is {}{why}", report.state);
            (ActError::TimedOut(why), 7)
        }
        None => (ActError::Failed(format!("{id} {}{why}", became(report))), 1),
    };
    let query =
        Query { lines: Some(LINES), ..services::written_since(begun(report).map_or(since, |at| at.min(since))) };
    let source = match ctx.source(report, ctx.is_guest()) {
        // No password is asked for this.
        Source::System(id, _) => Source::System(id, false),
        own => own,
    };
    let lines = services::read_output(ctx.client.observer(), &source, &query).await;
    let lines: Vec<String> = match lines {
        Ok(lines) => lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect(),
        Err(error) => {
            tracing::info!("the log of {id}: {error}");
            Vec::new()
        }
    };
    if ctx.say.json {
        ctx.say.json(&json!({
            "error": {"message": error.to_string(), "code": code, "choices": null, "nearest": []},
            "service": report,
            "log": lines,
        }));
        return Ok(ExitCode::from(code));
    }
    let mut text = format!("{BAD}provost:{BAD:#} {}\n", crate::text::escape(&error.to_string()));
    if !lines.is_empty() {
        text.push_str(&format!("its last lines ({DIM}provost logs {id}{DIM:#}):\n"));
    }
    for line in &lines {
        text.push_str(&format!("  {}\n", crate::text::clip_to(line, 300)));
    }
    text.push_str(&format!("{DIM}  others keep running: provost status; provost down stops them{DIM:#}"));
    ctx.say.note_always(&text);
    Ok(ExitCode::from(code))
}

/// When what runs of it began: it may have been before anybody asked for it.
fn begun(report: &ServiceReport) -> Option<SystemTime> {
    let started = report.pid.and(report.started_at.as_ref())?;
    humantime::parse_rfc3339_weak(started).ok()
}

/// What became of it.
fn became(report: &ServiceReport) -> String {
    match report.state {
        ServiceState::Failed => "has failed".to_owned(),
        ServiceState::Restarting => report.retried(),
        state => format!("is {state}, not ready"),
    }
}
