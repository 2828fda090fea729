//! When a service is started again, and how long that waits.

use serde::{Deserialize, Serialize};

use super::Span;

/// Which ends are followed by a new start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Every end that was not asked for.
    #[default]
    Always,
    /// An exit code other than 0, a signal, an unknown exit, a start that never got ready.
    OnFailure,
    /// None.
    Never,
}

/// `restart = {…}`: the delays are base·2^(n−1), at most max; n counts consecutive failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restart {
    /// Which ends are followed by a new start.
    pub policy: RestartPolicy,
    /// The first delay.
    pub base: Span,
    /// The longest delay.
    pub max: Span,
    /// How many consecutive failures end in `failed`; −1 for no limit.
    pub tries: i32,
    /// A run of this length, or longer, sets the count of failures back to 0.
    pub reset_after: Span,
    /// More failures in a row than this are an event to warn of.
    pub warn_after: u32,
    /// A delay is made longer by a random part of it, at most this share (0 to 1).
    pub jitter: f64,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::Always,
            base: Span::secs(1),
            max: Span::secs(30),
            tries: 10,
            reset_after: Span::secs(10),
            warn_after: 5,
            jitter: 0.0,
        }
    }
}
