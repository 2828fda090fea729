//! Records of earlier versions, read as what they are now.

use std::path::PathBuf;

use serde::Deserialize;

use super::Record;
use crate::model::service::{ServiceSpec, ServiceState};
use crate::model::{Identity, ServiceId};

/// Version 1: what `ensure` started, before there was a supervisor.
#[derive(Deserialize)]
struct V1 {
    id: ServiceId,
    boot_id: String,
    identity: Identity,
    uid: u32,
    command_line: Vec<String>,
    cwd: PathBuf,
    log: PathBuf,
    started_at: String,
}

impl From<V1> for Record {
    fn from(old: V1) -> Self {
        let spec = ServiceSpec::new(old.id, old.command_line.clone(), old.cwd);
        Self {
            state: ServiceState::Running,
            boot_id: old.boot_id,
            identity: Some(old.identity),
            command_line: old.command_line,
            log: Some(old.log),
            started_at: Some(old.started_at),
            ..Self::new(spec, old.uid)
        }
    }
}

/// Why a text is no record.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// A newer provost wrote it: it is good, and not for this one.
    #[error("it is of version {0}, which a newer provost wrote; this one reads up to {newest}", newest = Record::VERSION)]
    Newer(u64),
    /// Anything else.
    #[error("{0}")]
    Damaged(#[from] serde_json::Error),
}

/// Reads a record of any version up to this one.
pub(super) fn read(text: &[u8]) -> Result<Record, Unreadable> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    match serde_json::from_slice::<Version>(text)?.version {
        1 => Ok(serde_json::from_slice::<V1>(text)?.into()),
        2 => Ok(serde_json::from_slice(text)?),
        newer => Err(Unreadable::Newer(newer)),
    }
}
