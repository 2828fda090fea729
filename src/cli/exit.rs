//! Exit codes: one set for all verbs, documented in the README and in `provost --help`.

use std::process::ExitCode;

/// The codes that verbs give besides those of [`crate::Error::exit_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// Done, or already so.
    Done = 0,
    /// Tried, and failed.
    Failed = 1,
    /// Usage, or an ambiguous target.
    Usage = 2,
    /// Not running, not available.
    Not = 3,
    /// The time did not suffice.
    TimedOut = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
