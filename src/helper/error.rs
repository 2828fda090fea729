//! Why the helper does not do something.

use crate::act::ActError;
use crate::systemd::CallError;

/// Why a call was not carried out. Each is an error of its own over D-Bus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HelperError {
    /// polkit said no, or did not answer.
    #[error("{0}")]
    NotAuthorized(String),
    /// It would need a password, and nobody may be asked or could be asked for one.
    #[error("{0}")]
    NeedsPassword(String),
    /// It is never done, whoever asks.
    #[error("{0}")]
    NotPermitted(String),
    /// The process has ended.
    #[error("{0}")]
    NoSuchProcess(String),
    /// The process is not any more what was approved.
    #[error("{0}")]
    Changed(String),
    /// One user wants too much at the same time.
    #[error("{0}")]
    LimitsExceeded(String),
    /// The arguments are none.
    #[error("{0}")]
    InvalidArgs(String),
    /// The user's manager knows no such unit.
    #[error("{0}")]
    NoSuchUnit(String),
    /// It was tried for too long.
    #[error("{0}")]
    TimedOut(String),
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}

impl HelperError {
    /// The last part of the name over D-Bus, and whether it is one of the bus's own.
    pub(crate) fn name(&self) -> (&'static str, bool) {
        match self {
            Self::NotAuthorized(_) => ("NotAuthorized", false),
            Self::NeedsPassword(_) => ("InteractiveAuthorizationRequired", true),
            Self::NotPermitted(_) => ("NotPermitted", false),
            Self::NoSuchProcess(_) => ("NoSuchProcess", false),
            Self::Changed(_) => ("Changed", false),
            Self::LimitsExceeded(_) => ("LimitsExceeded", false),
            Self::InvalidArgs(_) => ("InvalidArgs", false),
            Self::NoSuchUnit(_) => ("NoSuchUnit", false),
            Self::TimedOut(_) => ("TimedOut", false),
            Self::Failed(_) => ("Failed", false),
        }
    }

    /// polkit's or the bus's answer that is none: never a permission.
    pub(super) fn unanswered(error: &CallError) -> Self {
        if error.short_name() == "LimitsExceeded" {
            return Self::LimitsExceeded(error.to_string());
        }
        Self::NotAuthorized(format!("polkit, which would have to allow it, does not answer: {error}"))
    }
}

impl From<HelperError> for ActError {
    fn from(error: HelperError) -> Self {
        let text = error.to_string();
        match error {
            HelperError::NotAuthorized(_) | HelperError::NeedsPassword(_) | HelperError::NotPermitted(_) => {
                Self::NotPermitted(text)
            }
            HelperError::NoSuchProcess(_) => Self::Gone(text),
            _ => Self::Failed(text),
        }
    }
}
