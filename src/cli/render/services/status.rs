//! The lines of `status`: a line for each service, then whether all is well.

use super::super::{BAD, GOOD, WARN, columns, wrap};
use super::words;
use crate::model::service::{Desired, Health, ServiceReport, ServiceState};
use crate::text::escape;

/// A line each, and `Health: ok` or the culprits; `named`: these were asked for.
pub(in crate::cli) fn status(reports: &[ServiceReport], named: bool) -> String {
    let mut out = String::new();
    for report in reports {
        out.push_str(&status_line(report));
        out.push('\n');
    }
    out.push_str(&health(reports, named));
    out
}

/// `embedding: running (PID 1234)`.
pub(in crate::cli) fn status_line(report: &ServiceReport) -> String {
    let style = words::style(report);
    let mut text = format!("{}: {style}{}{style:#}", report.id, report.state);
    if let Some(pid) = report.pid.filter(|_| report.state.is_alive()) {
        text.push_str(&format!(" (PID {pid})"));
    }
    // Mostly the reason says it.
    let said = report.reason.as_ref().is_some_and(|reason| reason.starts_with("not ready yet"));
    if report.state == ServiceState::Running && !report.ready && report.health != Health::Ok && !said {
        text.push_str(", not ready yet");
    }
    if let Some(port) = report.port.filter(|_| report.state.is_alive()) {
        text.push_str(&format!(", port {port}"));
    }
    if let Some(reason) = &report.reason {
        text.push_str(&format!(": {}", escape(reason)));
    }
    text
}

/// So many culprits are named on a terminal: each has a line of its own above.
const NAMED: usize = 8;

/// `Health: ok`, or who is to blame.
pub(in crate::cli) fn health(reports: &[ServiceReport], named: bool) -> String {
    health_within(reports, named, columns())
}

fn health_within(reports: &[ServiceReport], named: bool, room: Option<usize>) -> String {
    let of = |health: Health| reports.iter().filter(|report| report.health == health).collect::<Vec<_>>();
    let one = |report: &&ServiceReport| match report.state {
        // It is well, and waits for its turn.
        ServiceState::Running if report.desired == Desired::Down => format!("{} is to stop", report.id),
        ServiceState::Running if report.ready && report.health == Health::Pending => {
            format!("{} is not healthy", report.id)
        }
        ServiceState::Running if report.ready => format!("{} is unhealthy", report.id),
        ServiceState::Running => format!("{} is not ready", report.id),
        ServiceState::Failed => format!("{} has failed", report.id),
        state => format!("{} is {state}", report.id),
    };
    let (culprits, style, before) = match (of(Health::Bad), of(Health::Pending)) {
        (bad, _) if !bad.is_empty() => (bad, BAD, ""),
        (_, pending) if !pending.is_empty() => (pending, WARN, "not yet: "),
        _ if is_good(reports, named) => return format!("Health: {GOOD}ok{GOOD:#}\n"),
        // Nobody wants it otherwise, and it does not run.
        _ if named => (reports.iter().filter(|report| !runs(report)).collect(), WARN, ""),
        _ => return format!("Health: {WARN}nothing runs{WARN:#}\n"),
    };
    let named = if room.is_some() { NAMED } else { usize::MAX };
    let mut text = before.to_owned() + &culprits.iter().take(named).map(one).collect::<Vec<_>>().join(", ");
    if culprits.len() > named {
        text.push_str(&format!(", and {} more", culprits.len() - named));
    }
    let label = "Health: ";
    let lines = wrap(&text, room.map_or(usize::MAX, |room| room.saturating_sub(label.len())));
    format!("{label}{style}{}{style:#}\n", lines.join(&format!("\n{:1$}", "", label.len())))
}

/// Whether all is well: what was named must run, and of all services at least one.
pub(in crate::cli) fn is_good(reports: &[ServiceReport], named: bool) -> bool {
    let well = reports.iter().all(|report| report.health == Health::Ok);
    well && if named { reports.iter().all(runs) } else { reports.iter().any(runs) }
}

fn runs(report: &ServiceReport) -> bool {
    matches!(report.state, ServiceState::Running | ServiceState::Done)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A report of little.
    pub(in super::super) fn report(id: &str, state: &str, health: &str) -> ServiceReport {
        let fields = serde_json::json!({
            "id": id, "state": state, "ready": health == "ok", "desired": "up", "enabled": true, "health": health,
            "restarts": 0, "failures": 0,
        });
        serde_json::from_value(fields).unwrap()
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn as_people_know_it() {
        let mut all = [report("embedding", "running", "ok"), report("agent", "running", "ok")];
        (all[0].pid, all[1].pid) = (Some(1234), Some(1235));
        let text = plain(&status(&all, false));
        assert_eq!(text, "embedding: running (PID 1234)\nagent: running (PID 1235)\nHealth: ok\n");
        assert!(is_good(&all, false) && is_good(&all, true));
    }

    #[test]
    fn culprits_are_named() {
        let mut gateway = report("gateway", "failed", "bad");
        gateway.reason = Some("exit code 1".to_owned());
        let all = [report("agent", "starting", "pending"), gateway, report("db", "stopped", "ok")];
        let text = plain(&status(&all, false));
        assert!(text.contains("gateway: failed: exit code 1\n"), "{text}");
        assert!(text.ends_with("Health: gateway has failed\n"), "{text}");
        assert!(plain(&health(&all[..1], false)).contains("not yet: agent is starting"));
        let begun = ServiceReport { ready: true, ..report("llm", "running", "pending") };
        assert_eq!(plain(&health(std::slice::from_ref(&begun), false)), "Health: not yet: llm is not healthy\n");
        let waits = ServiceReport { desired: Desired::Down, ..begun };
        assert_eq!(plain(&health(&[waits], false)), "Health: not yet: llm is to stop\n");
        assert!(!is_good(&all, false) && !is_good(&all[2..], false) && !is_good(&all[2..], true));
        assert!(!is_good(&[], false));
    }

    #[test]
    fn not_ready_yet_is_said_once() {
        let mut agent = report("agent", "running", "pending");
        agent.reason = Some("not ready yet: waits for port 80".to_owned());
        assert_eq!(plain(&status_line(&agent)), "agent: running: not ready yet: waits for port 80");
        agent.reason = Some("it says: loading".to_owned());
        assert_eq!(plain(&status_line(&agent)), "agent: running, not ready yet: it says: loading");
    }

    #[test]
    fn what_was_stopped_is_not_called_ok() {
        let all = [report("agent", "running", "ok"), report("db", "stopped", "ok")];
        assert_eq!(plain(&health(&all, false)), "Health: ok\n");
        assert_eq!(plain(&health(&all, true)), "Health: db is stopped\n");
        assert_eq!(plain(&health(&all[1..], false)), "Health: nothing runs\n");
    }

    #[test]
    fn many_culprits_fit_on_a_terminal() {
        let all: Vec<ServiceReport> = (0..300).map(|i| report(&format!("worker-{i}"), "failed", "bad")).collect();
        let text = plain(&health_within(&all, false, Some(80)));
        assert!(text.lines().all(|line| line.len() <= 80) && text.lines().count() < 5, "{text}");
        assert!(text.starts_with("Health: worker-0 has failed, worker-1 ") && text.contains("\n        "), "{text}");
        assert!(text.ends_with("worker-7 has failed, and 292 more\n"), "{text}");
        assert!(plain(&health_within(&all[..8], false, Some(80))).ends_with("worker-7 has failed\n"));
        // For programs all of them are on one line.
        let text = plain(&health_within(&all, false, None));
        assert!(text.lines().count() == 1 && text.ends_with("worker-299 has failed\n"), "{text}");
    }
}
