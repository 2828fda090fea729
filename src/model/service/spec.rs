//! The description of one service, as it is kept: validated, merged with the defaults, its
//! variables not yet replaced (the port is chosen at each start).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BackendKind, HealthSpec, LogSpec, Percent, Ready, Restart, Size, WatchSpec};
use crate::model::{Ladder, ServiceId, Signal};

/// One service. It is part of its record: fields are added with a default, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Its id; of `instances`, one of ID-1 … ID-N.
    pub id: ServiceId,
    /// The file that describes it; `None` for what was started by `run` or `ensure`.
    #[serde(default)]
    pub project: Option<PathBuf>,
    /// Of `instances`: the id in the config, and the number (`${INSTANCE}`).
    #[serde(default)]
    pub instance_of: Option<(ServiceId, u32)>,
    /// The name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// The kind of program, whose keys are among these already.
    #[serde(default)]
    pub kind: Option<String>,
    /// What is executed.
    pub program: Program,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// The folder it runs in, absolute (where it begins with a variable: once that is replaced);
    /// also the base of relative paths of the program.
    pub cwd: PathBuf,
    /// Its variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// A file of NAME=VALUE lines, read at each start; absolute.
    #[serde(default)]
    pub env_file: Option<PathBuf>,
    /// The port that it is to listen on.
    #[serde(default)]
    pub port: Option<PortSpec>,
    /// The path of its Unix socket (`${socket}`).
    #[serde(default)]
    pub socket: Option<String>,
    /// The path of its own configuration (`${config_file}`).
    #[serde(default)]
    pub config_file: Option<String>,
    /// The command that says whether that is good; without it, it is taken as it is.
    #[serde(default)]
    pub config_check: Option<Vec<String>>,
    /// Further files whose change has it read its configuration again; relative to its folder.
    #[serde(default)]
    pub reload_on: Vec<String>,
    /// Files whose change restarts it.
    #[serde(default)]
    pub watch: Option<WatchSpec>,
    /// Commands that are run when something happens to it, by the name of that.
    #[serde(default)]
    pub on: BTreeMap<String, Vec<String>>,
    /// When it counts as ready; `None`: as soon as it runs.
    #[serde(default)]
    pub ready: Option<Ready>,
    /// It runs once: it is ready when it has ended with 0, and is done then.
    #[serde(default)]
    pub oneshot: bool,
    /// Whether it does its work while it runs; `None`: nothing is looked at.
    #[serde(default)]
    pub health: Option<HealthSpec>,
    /// When it is started again.
    #[serde(default)]
    pub restart: Restart,
    /// The signals that stop it.
    #[serde(default = "stop")]
    pub stop: Ladder,
    /// How it reads its configuration again; `None`: it cannot.
    #[serde(default)]
    pub reload: Option<Reload>,
    /// It starts when these are ready, and stops before them.
    #[serde(default)]
    pub after: Vec<ServiceId>,
    /// Whether it starts with its project or the daemon.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What the user says of it, shown in the registry.
    #[serde(default)]
    pub meta: Map<String, Value>,
    /// The GPUs that it may see.
    #[serde(default)]
    pub gpus: Vec<String>,
    /// Where its pid is written besides the usual place; relative: to the folder of pid files.
    #[serde(default)]
    pub pid_file: Option<PathBuf>,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// The user that it runs as; system instance only.
    #[serde(default)]
    pub user: Option<String>,
    /// How it is run.
    #[serde(default)]
    pub backend: BackendChoice,
    /// Further properties of its unit, by their names in unit files; checked against a table.
    #[serde(default)]
    pub systemd: BTreeMap<String, Value>,
    /// Where its output goes.
    #[serde(default)]
    pub log: LogSpec,
}

fn stop() -> Ladder {
    ServiceSpec::default_stop()
}

fn yes() -> bool {
    true
}

impl ServiceSpec {
    /// Of `instances`: the id in the config.
    pub(crate) fn group(&self) -> Option<&ServiceId> {
        self.instance_of.as_ref().map(|(group, _)| group)
    }

    /// The program and its arguments as they are written: variables stand in it.
    pub fn command_as_written(&self) -> Vec<String> {
        let program = match &self.program {
            Program::Command(words) => words.clone(),
            Program::Script { path, interpreter } => interpreter.iter().chain([path]).cloned().collect(),
        };
        program.into_iter().chain(self.args.iter().cloned()).collect()
    }

    /// Its port, if that is one that it always has.
    pub(crate) fn fixed_port(&self) -> Option<u16> {
        match self.port {
            Some(PortSpec::Fixed(port)) => Some(port),
            _ => None,
        }
    }

    /// The first of those that it may have.
    pub(crate) fn lowest_port(&self) -> Option<u16> {
        self.port.map(|port| match port {
            PortSpec::Fixed(port) | PortSpec::Range(port, _) => port,
        })
    }

    /// The path of its socket, if no variable decides it.
    pub(crate) fn fixed_socket(&self) -> Option<String> {
        let path = self.socket.as_ref().filter(|path| !path.contains('$'))?;
        let cwd = self.cwd.to_str().filter(|cwd| !cwd.contains("${") && self.cwd.is_absolute())?;
        let absolute = || std::path::Path::new(cwd).join(path).display().to_string();
        Some(if path.starts_with('@') { path.clone() } else { absolute() })
    }

    /// A service with everything as it is by default.
    pub fn new(id: ServiceId, command: Vec<String>, cwd: PathBuf) -> Self {
        Self {
            id,
            project: None,
            instance_of: None,
            name: None,
            kind: None,
            program: Program::Command(command),
            args: Vec::new(),
            cwd,
            env: BTreeMap::new(),
            env_file: None,
            port: None,
            socket: None,
            config_file: None,
            config_check: None,
            reload_on: Vec::new(),
            watch: None,
            on: BTreeMap::new(),
            ready: None,
            oneshot: false,
            health: None,
            restart: Restart::default(),
            stop: stop(),
            reload: None,
            after: Vec::new(),
            enabled: true,
            meta: Map::new(),
            gpus: Vec::new(),
            pid_file: None,
            limits: Limits::default(),
            user: None,
            backend: BackendChoice::Auto,
            systemd: BTreeMap::new(),
            log: LogSpec::default(),
        }
    }

    /// SIGTERM, 30 s, SIGKILL.
    pub fn default_stop() -> Ladder {
        let term = crate::model::Rung { signal: Signal::TERM, wait: std::time::Duration::from_secs(30) };
        Ladder(vec![term, crate::model::Rung { signal: Signal::KILL, wait: Ladder::WAIT }])
    }
}

/// What is executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// A program and its first arguments.
    Command(Vec<String>),
    /// A script, by an interpreter.
    Script {
        /// The script.
        path: String,
        /// The interpreter; `None` ("auto"): `{cwd}/.venv/bin/python`, `{cwd}/venv/bin/python`, python3.
        interpreter: Option<String>,
    },
}

/// The port of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortSpec {
    /// This one.
    Fixed(u16),
    /// The lowest free one from the first to the last.
    Range(u16, u16),
}

impl PortSpec {
    /// Whether this may be its port.
    pub(crate) fn has(self, port: u16) -> bool {
        let (Self::Fixed(first) | Self::Range(first, _)) = self;
        let last = if let Self::Range(_, last) = self { last } else { first };
        (first..=last).contains(&port)
    }
}

/// How a service reads its configuration again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reload {
    /// A signal to the main process.
    Signal(Signal),
    /// A command without a shell.
    Exec(Vec<String>),
    /// By a restart: it has no other way.
    Restart(bool),
}

/// `limits = {…}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Of all its processes together.
    pub memory: Option<Size>,
    /// Of all its processes together.
    pub cpu: Option<Percent>,
    /// Of processes and threads.
    pub tasks: Option<u64>,
    /// Of open files of each process.
    pub nofile: Option<u64>,
    /// −20 to 19.
    pub nice: Option<i32>,
    /// −1000 to 1000.
    pub oom_score_adjust: Option<i32>,
}

/// How a service is to be run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    /// By systemd where its manager can be reached, else as a child.
    #[default]
    Auto,
    /// As a transient unit.
    Systemd,
    /// As a child of the daemon.
    Direct,
    /// In memory.
    Sim,
}

impl BackendChoice {
    /// The kind, where one was chosen.
    pub fn kind(self) -> Option<BackendKind> {
        match self {
            Self::Auto => None,
            Self::Systemd => Some(BackendKind::Systemd),
            Self::Direct => Some(BackendKind::Direct),
            Self::Sim => Some(BackendKind::Sim),
        }
    }
}
