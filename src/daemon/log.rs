//! The daemon's own log, on standard error: one line a decision.

/// Begins it. `-v` has begun a finer one already.
pub(super) fn init() {
    // The journal has the time.
    let journal = crate::observe::env("JOURNAL_STREAM").is_some();
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false);
    // The second to begin is no error.
    let _ = if journal { log.without_time().try_init() } else { log.with_timer(Clock).try_init() };
}

struct Clock;

impl tracing_subscriber::fmt::time::FormatTime for Clock {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(w, "{}", humantime::format_rfc3339_millis(crate::clock::now()))
    }
}
