//! What `list`, `status` and the registry say of a service; the same over D-Bus.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BackendKind, Desired, Exit, ServiceState};
use crate::model::ServiceId;

/// One service as it is now. Times are RFC 3339, in UTC. What is unknown is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServiceReport {
    /// Its id.
    pub id: ServiceId,
    /// The service of the config that it is an instance of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_of: Option<ServiceId>,
    /// The name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is doing.
    pub state: ServiceState,
    /// Whether it is ready.
    pub ready: bool,
    /// What it was last asked to be.
    pub desired: Desired,
    /// Whether it starts with its project or the daemon.
    pub enabled: bool,
    /// Whether it does what it should.
    pub health: Health,
    /// Why it is in this state, where that needs a word: the last error, what is waited for.
    #[serde(default)]
    pub reason: Option<String>,
    /// How it is run.
    #[serde(default)]
    pub backend: Option<BackendKind>,
    /// How its processes are held together.
    #[serde(default)]
    pub containment: Option<Containment>,
    /// Its unit.
    #[serde(default)]
    pub unit: Option<String>,
    /// Its main process.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The port that it was given.
    #[serde(default)]
    pub port: Option<u16>,
    /// The path of its socket.
    #[serde(default)]
    pub socket: Option<String>,
    /// The program and its arguments: of the last start with variables replaced, before any as written.
    #[serde(default)]
    pub command_line: Vec<String>,
    /// The folder it runs in.
    #[serde(default)]
    pub cwd: PathBuf,
    /// The config file it is from.
    #[serde(default)]
    pub project: Option<PathBuf>,
    /// What it starts after.
    #[serde(default)]
    pub after: Vec<ServiceId>,
    /// How often it was started again, ever.
    pub restarts: u64,
    /// How often in a row it failed.
    pub failures: u32,
    /// When it is started again, of one that is restarting.
    #[serde(default)]
    pub next_start_at: Option<String>,
    /// That start waits until the state folder can be written to; it is no failure of the service.
    #[serde(default)]
    pub held_up: bool,
    /// Whether its config says how it reloads.
    #[serde(default = "unknown")]
    pub can_reload: bool,
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
    /// When any of this last changed.
    #[serde(default)]
    pub updated_at: Option<String>,
    /// How its main process last ended.
    #[serde(default)]
    pub last_exit: Option<Exit>,
    /// What last went wrong.
    #[serde(default)]
    pub last_error: Option<String>,
    /// Processor use of all its processes, in percent of one processor, over their life.
    #[serde(default)]
    pub cpu_percent: Option<f64>,
    /// Memory of all its processes, in bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// How the two were measured.
    #[serde(default)]
    pub measured: Option<Measured>,
    /// How many processes it has.
    #[serde(default)]
    pub processes: Option<u32>,
    /// How long its last health check took to be answered.
    #[serde(default)]
    pub check_ms: Option<f64>,
    /// The GPUs that it may see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<String>,
    /// What the user should know: a limit that cannot be enforced, a port that changed.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What the user says of it.
    #[serde(default)]
    pub meta: Map<String, Value>,
}

impl ServiceReport {
    /// Whether anything of it runs, be it only what it left behind.
    pub(crate) fn has_processes(&self) -> bool {
        self.state.is_alive() || self.processes.is_some_and(|processes| processes > 0)
    }

    /// What a service that is to be started again is up to, after its id.
    pub(crate) fn retried(&self) -> String {
        match self.held_up {
            true => "cannot be started now, and is tried again".to_owned(),
            false => format!("failed {} times in a row, and is tried again", self.failures),
        }
    }

    /// Why its record is not what it should be, of one that cannot be written now: the next daemon
    /// would know nothing of the last change.
    pub(crate) fn unwritten(&self) -> Option<&str> {
        let begins = format!("the record of {} cannot be written", self.id);
        self.warnings.iter().map(String::as_str).find(|warning| warning.starts_with(&begins))
    }
}

/// Whether a service does what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It runs and is ready, or is stopped as it should be. Checks may have begun to fail.
    Ok,
    /// It is on its way: starting, not ready or not healthy yet, stopping.
    Pending,
    /// It failed, is unhealthy, or waits for its next start.
    Bad,
}

/// How it was measured what a service uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Measured {
    /// By the kernel, of its control group: page cache that can be given back at once is left out.
    Cgroup,
    /// The sum over its processes: memory that they share counts for each, and the work of those
    /// that have ended is missed.
    Processes,
}

/// How the processes of a service are held together, so that none is left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Containment {
    /// In a control group of their own: none can leave.
    Cgroup,
    /// Found by ancestry and by the mark in their environment: one that daemonises and clears
    /// its environment cannot be found.
    Mark,
}

/// Older versions did not say it: it is seen when it is asked for.
fn unknown() -> bool {
    true
}
