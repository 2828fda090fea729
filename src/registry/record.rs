//! One record. Fields are added with a default, never renamed: old files must load for ever.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::service::{BackendKind, Containment, Desired, Exit, ServiceSpec, ServiceState};
use crate::model::{Identity, ServiceId};

/// What is known of a service between two runs of the daemon, and between two boots.
///
/// Times are RFC 3339, in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version of this format.
    pub version: u32,
    /// The service id.
    pub id: ServiceId,
    /// The id of the provost instance that it belongs to; `None` of what `ensure` started without
    /// supervision.
    #[serde(default)]
    pub instance: Option<String>,
    /// How it is described.
    pub spec: ServiceSpec,
    /// What its config says of `enabled`, where `enable` or `disable` said otherwise since: that
    /// holds until the config changes.
    #[serde(default)]
    pub enabled_in_config: Option<bool>,
    /// It was made anew from what runs, because its file was damaged: whoever describes it is right.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebuilt: bool,
    /// It is described otherwise than when it was last started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// The variables that the caller of `up`, `run` or `ensure` sent along.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What it was last asked to be.
    #[serde(default)]
    pub desired: Desired,
    /// What it was doing when this was written.
    #[serde(default)]
    pub state: ServiceState,
    /// How it is run; stays until it is stopped.
    #[serde(default)]
    pub backend: Option<BackendKind>,
    /// The user as whom provost started it.
    pub uid: u32,
    /// The boot in which what follows means something.
    #[serde(default)]
    pub boot_id: String,
    /// The inode of the pid namespace in which the pid means something.
    #[serde(default)]
    pub pid_namespace: Option<u64>,
    /// Its main process.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// Its unit.
    #[serde(default)]
    pub unit: Option<String>,
    /// The invocation of the unit.
    #[serde(default)]
    pub invocation: Option<String>,
    /// How its processes are held together.
    #[serde(default)]
    pub containment: Option<Containment>,
    /// The program and its arguments as they were last executed.
    #[serde(default)]
    pub command_line: Vec<String>,
    /// The folder it was started in.
    #[serde(default)]
    pub cwd: PathBuf,
    /// The port that it was given.
    #[serde(default)]
    pub port: Option<u16>,
    /// The path of its socket, variables replaced.
    #[serde(default)]
    pub socket: Option<String>,
    /// Where its output goes, if to files.
    #[serde(default)]
    pub log: Option<PathBuf>,
    /// Whether it had become ready.
    #[serde(default)]
    pub ready: bool,
    /// How often it was started again, ever.
    #[serde(default)]
    pub restarts: u64,
    /// How often in a row it failed.
    #[serde(default)]
    pub failures: u32,
    /// When it became known.
    #[serde(default)]
    pub created_at: Option<String>,
    /// When it last started.
    #[serde(default)]
    pub started_at: Option<String>,
    /// When it last ended.
    #[serde(default)]
    pub stopped_at: Option<String>,
    /// When it was last started again.
    #[serde(default)]
    pub last_restart_at: Option<String>,
    /// When this was written.
    #[serde(default)]
    pub updated_at: Option<String>,
    /// How its main process last ended.
    #[serde(default)]
    pub last_exit: Option<Exit>,
    /// What last went wrong.
    #[serde(default)]
    pub last_error: Option<String>,
    /// What was to be said of its last start: limits that are not enforced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Record {
    /// The version that is written now.
    pub const VERSION: u32 = 2;

    /// A record of a service that has never been started.
    pub fn new(spec: ServiceSpec, uid: u32) -> Self {
        Self {
            version: Self::VERSION,
            id: spec.id.clone(),
            instance: None,
            enabled_in_config: None,
            rebuilt: false,
            stale: false,
            environment: BTreeMap::new(),
            desired: Desired::Down,
            state: ServiceState::Stopped,
            backend: None,
            uid,
            boot_id: String::new(),
            pid_namespace: None,
            identity: None,
            unit: None,
            invocation: None,
            containment: None,
            command_line: Vec::new(),
            cwd: spec.cwd.clone(),
            port: None,
            socket: None,
            log: None,
            ready: false,
            restarts: 0,
            failures: 0,
            created_at: None,
            started_at: None,
            stopped_at: None,
            last_restart_at: None,
            updated_at: None,
            last_exit: None,
            last_error: None,
            warnings: Vec::new(),
            spec,
        }
    }
}
