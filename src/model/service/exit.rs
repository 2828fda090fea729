//! How a process ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the main process of a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it; the number, which may be one that has no name.
    Signal(i32),
    /// It was no child of ours and the kernel does not tell (before 6.15). Counts as a failure.
    Unknown,
}

impl Exit {
    /// Whether it ended as a program that did its work.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// `exit code 1`, `SIGKILL`, `an unknown exit`.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match crate::model::Signal::from_number(*number) {
                Some(signal) => write!(f, "{signal}"),
                None => write!(f, "signal {number}"),
            },
            Self::Unknown => f.write_str("an unknown exit"),
        }
    }
}
