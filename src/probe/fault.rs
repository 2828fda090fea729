//! Why a probe found nothing: one clear line each.

use std::io;
use std::time::Duration;

use crate::text::{clip, clip_to};

/// What went wrong between the first byte sent and an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Nothing listens there.
    #[error("connection refused: nothing listens there")]
    Refused,
    /// The other side broke the connection.
    #[error("connection reset by the server")]
    Reset,
    /// The other side hung up.
    #[error("the server closed the connection without an answer")]
    Closed,
    /// The time was over.
    #[error("{doing} within {}", shown(*after))]
    TimedOut {
        /// What had not happened, as "no connection".
        doing: &'static str,
        /// The time that was given.
        after: Duration,
    },
    /// What came back is not HTTP.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// The name has no address.
    #[error("host '{}' cannot be resolved: {why}", clip(host))]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's words.
        why: String,
    },
    /// Everything else, in the system's words.
    #[error("{doing}: {why}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The system's words.
        why: String,
    },
}

/// In milliseconds at the finest: the time that is left of 5 s is shown as 5 s.
fn shown(time: Duration) -> humantime::FormattedDuration {
    let millis = (time.as_secs_f64() * 1e3).round();
    humantime::format_duration(Duration::from_secs_f64(millis / 1e3))
}

impl Fault {
    /// The line for this error of the system.
    pub(super) fn of_io(doing: &'static str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
                Self::Reset
            }
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io { doing, why: clip_to(&error.to_string(), 120) },
        }
    }

    /// The line for this error of the HTTP library.
    pub(super) fn of_http(error: &hyper::Error) -> Self {
        if error.is_parse() {
            return Self::NotHttp;
        }
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            if let Some(io) = inner.downcast_ref::<io::Error>() {
                return Self::of_io("reading the answer", io);
            }
            source = inner.source();
        }
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            return Self::Closed;
        }
        Self::Io { doing: "speaking HTTP", why: clip_to(&error.to_string(), 120) }
    }
}
