//! One record. Fields are added, never renamed: old files must load for ever.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::Identity;

/// A process that provost started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of this format.
    pub version: u32,
    /// The service id.
    pub id: String,
    /// The boot in which the identity means something.
    pub boot_id: String,
    /// The process.
    pub identity: Identity,
    /// The user as whom it was started.
    pub uid: u32,
    /// The program and its arguments.
    pub command_line: Vec<String>,
    /// The folder it was started in.
    pub cwd: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
    /// When, in RFC 3339.
    pub started_at: String,
}

impl Record {
    /// The version that is written now.
    pub const VERSION: u32 = 1;
}
