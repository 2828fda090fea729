//! GPUs and who holds them: the JSON of `gpus`. Fields are added, never renamed.

use serde::Serialize;

use super::{Means, Verdict};

/// The GPUs of a host.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GpuReport {
    /// Each of them, by its number.
    pub gpus: Vec<Gpu>,
    /// Why there are none: what is missing, in one line.
    pub missing: Option<String>,
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Gpu {
    /// Its number, as `gpus = ["0"]` has it.
    pub id: String,
    /// `GPU-…`, the same after every boot.
    pub uuid: Option<String>,
    /// What it is called by its maker.
    pub name: Option<String>,
    /// Its memory in bytes; null where it cannot be read.
    pub memory_total: Option<u64>,
    /// How much of it is in use.
    pub memory_used: Option<u64>,
    /// How much of it is free.
    pub memory_free: Option<u64>,
    /// Who holds it, the one with the most memory first.
    pub holders: Vec<GpuHolder>,
    /// What could not be read, and why.
    pub notes: Vec<String>,
}

/// A process that holds a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GpuHolder {
    /// Its number.
    pub pid: u32,
    /// The memory that it has there, in bytes; null where the driver does not say.
    pub memory: Option<u64>,
    /// Its name; null where it cannot be seen (in another container, or gone already).
    pub command: Option<String>,
    /// The user as whom it runs.
    pub user: Option<String>,
    /// The kind of its owner, as in `inspect`.
    pub kind: Option<&'static str>,
    /// The exact target of its owner: `unit:ollama.service`.
    pub owner: Option<String>,
    /// The service of provost that it is of.
    pub service: Option<String>,
    /// How its owner would be stopped by you.
    pub means: Option<Means>,
    /// Whether that will work.
    pub verdict: Option<Verdict>,
    /// By what right, or why not.
    pub reason: Option<String>,
}
