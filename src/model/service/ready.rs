//! When a service counts as ready.

use serde::{Deserialize, Serialize};

use super::Span;

/// For so long a program must have run to count as up. That it was executed says little: one that lacks
/// a library, or a word on its command line, ends a moment later.
pub(crate) const SETTLES: std::time::Duration = std::time::Duration::from_millis(250);

/// `ready = {…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// What must be so.
    #[serde(flatten)]
    pub check: Check,
    /// How long it may take from the start; longer counts as a failure.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// How often the network is asked.
    #[serde(default = "interval")]
    pub interval: Span,
}

fn timeout() -> Span {
    Span::secs(60)
}

fn interval() -> Span {
    Span::millis(200)
}

/// What must be so; texts may hold variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// A GET answers with 200–399.
    Http(String),
    /// A TCP connection to HOST:PORT is accepted.
    Tcp(String),
    /// A connection to this Unix stream socket is accepted.
    Unix(String),
    /// A command without a shell exits with 0.
    Exec(Vec<String>),
    /// A line of its output matches this regular expression.
    Log(String),
    /// It says READY=1 by sd_notify(3).
    Notify(bool),
}

impl Ready {
    /// The check with the usual times.
    pub fn new(check: Check) -> Self {
        Self { check, timeout: timeout(), interval: interval() }
    }
}
