//! One event on a line.

use super::super::{ACCENT, BAD, DIM, GOOD, WARN};
use crate::model::service::{Event, EventKind, ServiceState};
use crate::text::escape;

/// `12:00:01 agent: running (pid 7)`; with the time where it is wanted.
pub(in crate::cli) fn event(event: &Event, time: bool) -> String {
    let style = match &event.kind {
        EventKind::State { to: ServiceState::Running, .. } | EventKind::Ready | EventKind::Healthy => GOOD,
        EventKind::State { to: ServiceState::Failed, .. } => BAD,
        EventKind::State { to: ServiceState::Restarting, .. } | EventKind::Unhealthy | EventKind::Warning => WARN,
        EventKind::Exited { exit } if !exit.is_success() => WARN,
        _ => anstyle::Style::new(),
    };
    // The day and the fraction are in the JSON.
    let clock = event.at.split('T').nth(1).and_then(|rest| rest.get(..8)).unwrap_or_default();
    let clock = if time { format!("{DIM}{clock}{DIM:#} ") } else { String::new() };
    format!("{clock}{ACCENT}{}{ACCENT:#}: {style}{}{style:#}\n", event.id, escape(&event.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let one = Event {
            seq: 1,
            at: "2026-01-01T12:00:01.123456Z".to_owned(),
            id: "llm".parse().unwrap(),
            kind: EventKind::Ready,
            message: "ready\nnow".to_owned(),
        };
        let plain = |time| anstream::adapter::strip_str(&event(&one, time)).to_string();
        assert_eq!(plain(true), "12:00:01 llm: ready\\nnow\n");
        assert_eq!(plain(false), "llm: ready\\nnow\n");
    }
}
