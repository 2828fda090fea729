//! The colours, by what they mean. `anstream` removes them where they are not wanted.

use anstyle::{AnsiColor, Style};

use crate::model::{AvailabilityState, Verdict};

/// Goes well.
pub(in crate::cli) const GOOD: Style = AnsiColor::Green.on_default();
/// Does not.
pub(in crate::cli) const BAD: Style = AnsiColor::Red.on_default();
/// Between the two.
pub(in crate::cli) const WARN: Style = AnsiColor::Yellow.on_default();
/// Names of things.
pub(in crate::cli) const ACCENT: Style = AnsiColor::Cyan.on_default();
/// Titles.
pub(in crate::cli) const STRONG: Style = Style::new().bold();
/// Less important.
pub(in crate::cli) const DIM: Style = Style::new().dimmed();

/// The colour of a verdict.
pub(in crate::cli) fn verdict(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Allowed => GOOD,
        Verdict::NeedsPassword | Verdict::UnknownUntilAsked => WARN,
        Verdict::Denied => BAD,
    }
}

/// The colour of an availability.
pub(in crate::cli) fn availability(state: AvailabilityState) -> Style {
    match state {
        AvailabilityState::Available => GOOD,
        AvailabilityState::Starting => WARN,
        AvailabilityState::Unavailable => BAD,
        AvailabilityState::Unknown => DIM,
    }
}
