//! Whether a service that runs does its work: what is looked at, and how often.

use serde::{Deserialize, Serialize};

use super::{Check, Percent, Size, Span};

/// `health = {…}`. Everything that is there must be well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthSpec {
    /// A GET answers with 200–399; may hold variables.
    pub http: Option<String>,
    /// A TCP connection to HOST:PORT is accepted; may hold variables.
    pub tcp: Option<String>,
    /// A connection to this Unix socket is accepted; may hold variables.
    pub unix: Option<String>,
    /// A command without a shell exits with 0; may hold variables.
    pub exec: Option<Vec<String>>,
    /// How often each of these is asked.
    pub interval: Span,
    /// How long an answer may take.
    pub timeout: Span,
    /// How many failures in a row of one of them make the service unhealthy.
    pub failures: u32,
    /// For so long from the start failures do not count, until it was well once.
    pub start_period: Span,
    /// For so long from the start "it is loading" is a good answer.
    pub load_timeout: Span,
    /// It says by itself that it lives.
    pub heartbeat: Option<Heartbeat>,
    /// Memory of all its processes together.
    pub memory: Option<Most<Size>>,
    /// Processor use of all its processes together.
    pub cpu: Option<Most<Percent>>,
}

/// A sign of life at least this often: WATCHDOG=1 by sd_notify(3), or a new modification time of a
/// file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The file; relative to the folder of the service; may hold variables.
    #[serde(default)]
    pub file: Option<String>,
    /// The longest time between two of them.
    #[serde(default = "bearable")]
    pub timeout: Span,
}

/// A bound that must not be exceeded all the time for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Most<T> {
    /// The most that is well.
    pub max: T,
    /// For how long more than that is no harm.
    #[serde(rename = "for", default = "bearable")]
    pub span: Span,
}

fn bearable() -> Span {
    Span::secs(30)
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            http: None,
            tcp: None,
            unix: None,
            exec: None,
            interval: Span::secs(10),
            timeout: Span::secs(5),
            failures: 3,
            start_period: Span::secs(30),
            load_timeout: Span::secs(600),
            heartbeat: None,
            memory: None,
            cpu: None,
        }
    }
}

impl HealthSpec {
    /// What is asked.
    pub fn checks(&self) -> Vec<Check> {
        let http = self.http.clone().map(Check::Http);
        let tcp = self.tcp.clone().map(Check::Tcp);
        let unix = self.unix.clone().map(Check::Unix);
        let exec = self.exec.clone().map(Check::Exec);
        http.into_iter().chain(tcp).chain(unix).chain(exec).collect()
    }

    /// Whether it looks at nothing.
    pub fn is_empty(&self) -> bool {
        let asks = self.http.is_some() || self.tcp.is_some() || self.unix.is_some() || self.exec.is_some();
        !asks && self.heartbeat.is_none() && self.memory.is_none() && self.cpu.is_none()
    }
}
