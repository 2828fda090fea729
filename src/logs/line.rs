//! One line of output.

use std::time::SystemTime;

/// One line of a service, or a word about lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// When it was read, to the microsecond.
    pub(crate) at: SystemTime,
    /// Where it was written.
    pub(crate) stream: Stream,
    /// Its bytes without the line's end; programs may write what is no text.
    pub(crate) text: Vec<u8>,
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    /// To standard output.
    Out,
    /// To standard error.
    Err,
    /// Nowhere: something that must be said about lines ("Suppressed 12 messages"), or that the
    /// manager said of the service.
    Note,
}
