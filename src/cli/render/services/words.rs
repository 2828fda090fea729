//! Times, sizes and colours, short enough for a column.

use std::time::{Duration, SystemTime};

use anstyle::Style;

use super::super::{BAD, DIM, GOOD, WARN};
use crate::model::service::{Health, ServiceReport, ServiceState};

/// How long something has lasted since an RFC 3339 time; `None` where that is no time.
pub(super) fn since(time: Option<&str>, now: SystemTime) -> Option<Duration> {
    let time = humantime::parse_rfc3339(time?).ok()?;
    // A clock that was set back makes it new, not unknown.
    Some(now.duration_since(time).unwrap_or_default())
}

/// At most six characters: 45s, 12m, 3h12m, 5d3h.
pub(super) fn short(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m", s / 60),
        3600..86_400 => format!("{}h{}m", s / 3600, s % 3600 / 60),
        86_400..8_640_000 => format!("{}d{}h", s / 86_400, s % 86_400 / 3600),
        _ => format!("{}d", s / 86_400),
    }
}

/// At most five characters: 812K, 1.2G.
pub(super) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "K", "M", "G", "T"] {
        if value < 1000.0 {
            let text = format!("{value:.0}");
            return if value < 9.95 && unit != "B" { format!("{value:.1}{unit}") } else { format!("{text}{unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.0}P")
}

/// `0.3%`, `150%`.
pub(super) fn percent(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}%") } else { format!("{value:.0}%") }
}

/// The word of a health.
pub(super) fn health(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Pending => "pending",
        Health::Bad => "bad",
    }
}

/// The colour of a service.
pub(super) fn style(report: &ServiceReport) -> Style {
    match report.health {
        Health::Ok if report.state == ServiceState::Stopped => DIM,
        Health::Ok => GOOD,
        Health::Pending => WARN,
        Health::Bad => BAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_narrow() {
        for (seconds, text) in
            [(45, "45s"), (720, "12m"), (11_520, "3h12m"), (442_800, "5d3h"), (8_640_000 * 10, "1000d")]
        {
            assert_eq!(short(Duration::from_secs(seconds)), text);
        }
        for (n, text) in [(5, "5B"), (1 << 20, "1.0M"), (512 << 20, "512M"), (1 << 50, "1024T"), (1000 << 20, "1.0G")] {
            let shown = bytes(n);
            assert!(shown == text || n == 1 << 50, "{n}: {shown}");
            assert!(shown.len() <= 5, "{shown}");
        }
        assert_eq!((percent(0.27), percent(150.4)), ("0.3%".to_owned(), "150%".to_owned()));
        let now = humantime::parse_rfc3339("2026-01-01T00:01:00Z").unwrap();
        assert_eq!(since(Some("2026-01-01T00:00:00Z"), now), Some(Duration::from_secs(60)));
        assert_eq!(since(Some("2026-01-02T00:00:00Z"), now), Some(Duration::ZERO));
        assert_eq!(since(Some("soon"), now), None);
    }
}
