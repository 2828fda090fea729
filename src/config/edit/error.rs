//! What can go wrong when a config file is changed.

use std::io;
use std::path::PathBuf;

use super::ETag;
use crate::config::Errors;

/// Why a config file was not changed; it is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditError {
    /// The file is not what was expected.
    #[error("{}: somebody else has changed it meanwhile: read it again", path.display())]
    Conflict {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: ETag,
        /// What is there; `None`: no file.
        now: Option<ETag>,
    },
    /// Somebody else is writing it just now.
    #[error("{}: somebody else is changing it just now: try again", .0.display())]
    Busy(PathBuf),
    /// It is wrong, or would be.
    #[error(transparent)]
    Invalid(Errors),
    /// What was asked for cannot be written there.
    #[error("{0}")]
    Refused(String),
    /// It cannot be read or written.
    #[error("{} cannot be changed: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl From<EditError> for crate::error::Error {
    fn from(error: EditError) -> Self {
        use crate::act::ActError;
        match error {
            EditError::Invalid(errors) => Self::Invalid(errors),
            EditError::Refused(why) => Self::Config(why),
            EditError::Io { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                let why = format!("{} cannot be changed: {source}", path.display());
                Self::Act(ActError::NotPermitted(why))
            }
            EditError::Io { path, source } => {
                Self::Io { what: format!("{} cannot be changed", path.display()), source }
            }
            other => Self::Act(ActError::Failed(other.to_string())),
        }
    }
}
