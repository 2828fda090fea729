//! What can go wrong for a caller of the library, in one place; the command line maps it to exit codes.

use crate::act::ActError;
use crate::model::{Malformed, Stopper};

/// Why a request could not be answered or carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A word is not of the form it must have.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Nothing on this host is called that.
    #[error("{what}{}", nearest_words(nearest))]
    NotFound {
        /// What there is not, in a sentence.
        what: String,
        /// Names that are near it.
        nearest: Vec<String>,
    },
    /// The word leads to several owners; the exact forms to choose from.
    #[error("{target} is ambiguous: it leads to {} owners", choices.len())]
    Ambiguous {
        /// The target as it was written.
        target: String,
        /// (exact form, what it is) of each.
        choices: Vec<(String, String)>,
    },
    /// A manager or its bus cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The host could not be read.
    #[error("{what}: {source}")]
    Io {
        /// What was read or written.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The user's own list of servers is not as it must be.
    #[error("{0}")]
    Config(String),
    /// A config file is not as it must be: all that is wrong, one a line.
    #[error(transparent)]
    Invalid(#[from] crate::config::Errors),
    /// An action failed or is not allowed.
    #[error(transparent)]
    Act(#[from] ActError),
}

fn nearest_words(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; near it: {}", nearest.join(", ")) }
}

/// What cannot fail does not.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl Error {
    /// The exit code of the command line for this error: the table is in the README.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Malformed(_) | Self::Ambiguous { .. } => 2,
            Self::NotFound { .. } => 5,
            Self::Unreachable(_) => 8,
            Self::Io { .. } => 1,
            Self::Config(_) | Self::Invalid(_) => 6,
            Self::Act(error) => match error {
                ActError::NotPermitted(_) => 4,
                ActError::Failed(_) => 1,
                ActError::TimedOut(_) => 7,
                ActError::Unreachable(_) => 8,
                ActError::Gone(_) => 5,
                ActError::Stopped { stopper, .. } => match stopper {
                    Stopper::NotPermitted => 4,
                    Stopper::Choose => 2,
                    Stopper::Impossible => 1,
                    Stopper::NotFound => 5,
                    Stopper::Unreachable => 8,
                },
            },
        }
    }
}
