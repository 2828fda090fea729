//! Whether a service answers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The verdict of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AvailabilityState {
    /// It answers as it should.
    Available,
    /// It answers that it is not ready yet (a model loads).
    Starting,
    /// It does not answer, or answers with an error.
    Unavailable,
    /// There is nothing to ask: no address is known.
    Unknown,
}

impl fmt::Display for AvailabilityState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Available => "available",
            Self::Starting => "starting",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        })
    }
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Availability {
    /// The verdict.
    pub state: AvailabilityState,
    /// How it was found, as `http GET http://127.0.0.1:11434/api/version` or `tcp 127.0.0.1:22`.
    pub by: Option<String>,
    /// From the first byte sent to the verdict, in milliseconds.
    pub latency_ms: Option<f64>,
    /// One line of evidence: the status, the error, the first line of the answer.
    pub detail: String,
    /// The base address that people would use, as `http://127.0.0.1:11434`.
    #[serde(default)]
    pub url: Option<String>,
    /// The name of the known server, as `ollama`.
    #[serde(default)]
    pub server: Option<String>,
    /// The models that it has loaded or can load, the loaded ones first; empty where it has none
    /// or was not asked.
    #[serde(default)]
    pub models: Vec<String>,
    /// Those of `models` that are loaded now, where the server says so.
    #[serde(default)]
    pub loaded: Vec<String>,
}

impl Availability {
    /// Nothing could be asked, for this reason.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self {
            state: AvailabilityState::Unknown,
            by: None,
            latency_ms: None,
            detail: why.into(),
            url: None,
            server: None,
            models: Vec::new(),
            loaded: Vec::new(),
        }
    }
}
