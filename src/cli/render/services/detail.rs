//! One service in detail: `status ID`.

use std::time::SystemTime;

use anstyle::Style;

use super::super::inspect::age;
use super::super::{Block, DIM, STRONG, WARN};
use super::words;
use crate::model::service::{Containment, Measured, ServiceReport, ServiceState};
use crate::text::{clip_to, escape, shell_quote};

/// All that is known of it.
pub(in crate::cli) fn detail(report: &ServiceReport, now: SystemTime) -> String {
    let plain = Style::new();
    let name = report.name.as_deref().filter(|name| *name != report.id.as_str());
    let name = name.map(|name| format!(" ({})", escape(name))).unwrap_or_default();
    let mut block = Block::new(2, 12);
    block.line("state", words::style(report), &state(report, now));
    if let Some(reason) = &report.reason {
        block.line("why", words::style(report), &escape(reason));
    }
    if let Some(error) = report.last_error.as_ref().filter(|error| report.reason.as_ref() != Some(error)) {
        block.line("last error", DIM, &escape(error));
    }
    block.line("runs as", plain, &place(report));
    let places = [report.port.map(|port| format!("port {port}")), report.socket.as_deref().map(escape)];
    let places: Vec<String> = places.into_iter().flatten().collect();
    if !places.is_empty() {
        block.line("serves", plain, &places.join(", "));
    }
    let command: Vec<String> = report.command_line.iter().map(|word| shell_quote(word)).collect();
    block.cut("command", plain, &clip_to(&command.join(" "), 400));
    block.line("folder", plain, &escape(&report.cwd.to_string_lossy()));
    if let Some(project) = &report.project {
        block.line("config", plain, &escape(&project.to_string_lossy()));
    }
    if !report.after.is_empty() {
        let ids: Vec<&str> = report.after.iter().map(|id| id.as_str()).collect();
        block.line("after", plain, &ids.join(", "));
    }
    block.line("restarts", plain, &restarts(report));
    if let Some(used) = used(report) {
        block.line("uses", plain, &used);
    }
    for (key, value) in &report.meta {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        block.cut("meta", DIM, &format!("{} = {}", clip_to(key, 40), clip_to(&value, 200)));
    }
    for warning in &report.warnings {
        block.line("note", WARN, &escape(warning));
    }
    format!("{STRONG}{}{STRONG:#}{name}\n{}", report.id, block.finish())
}

fn state(report: &ServiceReport, now: SystemTime) -> String {
    let mut text = report.state.to_string();
    let alive = report.state.is_alive();
    if let Some(pid) = report.pid.filter(|_| alive) {
        text.push_str(&format!(" (PID {pid})"));
    }
    if report.state == ServiceState::Running {
        text.push_str(if report.ready { ", ready" } else { ", not ready yet" });
    }
    let (time, word) = match report.state {
        ServiceState::Starting => (&None, ""),
        state if state.is_up() => (&report.started_at, "up"),
        _ => (&report.stopped_at, "since"),
    };
    if let Some(lasted) = words::since(time.as_deref(), now) {
        text.push_str(&format!(", {word} {}", age(lasted)));
    }
    if let Some(next) = &report.next_start_at {
        let left = humantime::parse_rfc3339(next).ok().and_then(|next| next.duration_since(now).ok());
        text.push_str(&format!(", starts again in {}", age(left.unwrap_or_default())));
    }
    if let Some(exit) = report.last_exit.filter(|_| !alive) {
        text.push_str(&format!(", last ended with {exit}"));
    }
    if !report.enabled {
        text.push_str(", disabled");
    }
    text
}

fn place(report: &ServiceReport) -> String {
    let backend = report.backend.map_or("not started yet", |backend| backend.as_str());
    let unit = report.unit.as_ref().map(|unit| format!(", {}", escape(unit))).unwrap_or_default();
    let held = match report.containment {
        Some(Containment::Cgroup) => ", held together by a control group",
        Some(Containment::Mark) => ", held together by mark and ancestry",
        None => "",
    };
    format!("{backend}{unit}{held}")
}

fn restarts(report: &ServiceReport) -> String {
    match report.failures {
        0 => report.restarts.to_string(),
        1 => format!("{}, the last run failed", report.restarts),
        n => format!("{}, {n} failures in a row", report.restarts),
    }
}

fn used(report: &ServiceReport) -> Option<String> {
    let parts = [
        report.cpu_percent.map(|cpu| format!("{} of a processor", words::percent(cpu))),
        report.memory_bytes.map(|memory| format!("{} of memory", words::bytes(memory))),
        report.processes.map(|n| if n == 1 { "1 process".to_owned() } else { format!("{n} processes") }),
        match report.measured {
            Some(Measured::Cgroup) => Some("measured by cgroup".to_owned()),
            Some(Measured::Processes) => Some("the sum of its processes".to_owned()),
            None => None,
        },
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::status::tests::report;
    use super::*;

    #[test]
    fn everything_known_is_said_once() {
        let now = humantime::parse_rfc3339("2026-01-01T00:00:08Z").unwrap();
        let mut report = report("llm", "restarting", "bad");
        report.reason = Some("exit code 1".to_owned());
        report.last_error = report.reason.clone();
        report.stopped_at = Some("2026-01-01T00:00:00Z".to_owned());
        report.next_start_at = Some("2026-01-01T00:00:16Z".to_owned());
        report.failures = 4;
        report.meta.insert("model_id".to_owned(), "llama-7b\u{1b}".into());
        report.command_line = vec!["llama-server".to_owned(), "a b".to_owned()];
        let text = anstream::adapter::strip_str(&detail(&report, now)).to_string();
        assert!(text.contains("restarting, since 8 s, starts again in 8 s"), "{text}");
        assert_eq!(text.matches("exit code 1").count(), 1, "{text}");
        assert!(text.contains("llama-server 'a b'") && text.contains("model_id = llama-7b\\u{1b}"), "{text}");
        assert!(text.contains("0, 4 failures in a row"), "{text}");
        // The times are those of the run before.
        report.state = ServiceState::Starting;
        report.started_at = Some("2026-01-01T00:00:00Z".to_owned());
        report.next_start_at = None;
        let text = anstream::adapter::strip_str(&detail(&report, now)).to_string();
        assert!(text.contains("state       starting\n"), "{text}");
    }
}
