//! How the commands that a service needs beside it are run: whether it is ready, that it reads its
//! configuration again. The system instance runs none as root: where nobody else can, it refuses.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::Supervisor;
use super::backends::AnyBackend;
use super::program::find_program;
use crate::backend::{Launch, Use};
use crate::model::Instance;
use crate::model::service::{BackendKind, Check, Reload};
use crate::registry::Record;
use crate::supervise::readiness::Commands;

impl Supervisor {
    /// Whether the commands of a service can be run by this backend.
    ///
    /// # Errors
    /// The key that asks for one, and what to write instead.
    pub(super) fn check_commands(&self, record: &Record, backend: BackendKind) -> Result<(), String> {
        let ready = record.spec.ready.as_ref().is_some_and(|ready| matches!(ready.check, Check::Exec(_)));
        let health = record.spec.health.as_ref().is_some_and(|health| health.exec.is_some());
        let key = match &record.spec.reload {
            _ if ready => "ready.exec",
            _ if health => "health.exec",
            Some(Reload::Exec(_)) => "reload.exec",
            _ if record.spec.config_check.is_some() => "config_check",
            _ if !record.spec.on.is_empty() => "on",
            _ => return Ok(()),
        };
        match self.backends.get(backend) {
            Some(backend) if self.is_confined(&*backend) => Ok(()),
            _ => Err(format!("{key}: {AS_ROOT}")),
        }
    }

    /// How a service is asked, by a command or by its Unix socket: both as its user where it has one.
    pub(super) fn questions(
        &self,
        record: &Record,
        (exec, unix): (bool, bool),
        env: BTreeMap<String, String>,
        cwd: PathBuf,
    ) -> Result<Commands, String> {
        let theirs = unix && record.spec.user.is_some();
        if !exec && !theirs {
            return Ok(Commands::Children(BTreeMap::new(), cwd));
        }
        match self.commands(record, Use::Check, env, cwd.clone()) {
            Err(_) if !exec => Ok(Commands::Children(BTreeMap::new(), cwd)),
            commands => commands,
        }
    }

    /// How this command of a service is run.
    pub(super) fn commands(
        &self,
        record: &Record,
        what: Use,
        env: BTreeMap<String, String>,
        cwd: PathBuf,
    ) -> Result<Commands, String> {
        self.commands_with(record, what, (env, cwd), Vec::new())
    }

    /// The same, with something on its standard input where it is run as a unit.
    pub(super) fn commands_with(
        &self,
        record: &Record,
        what: Use,
        (env, cwd): (BTreeMap<String, String>, PathBuf),
        input: Vec<u8>,
    ) -> Result<Commands, String> {
        // What does not run yet is run as it would be.
        let kind = record.backend.or(record.spec.backend.kind()).or(self.usual_backend());
        let backend = kind.and_then(|kind| self.backends.get(kind));
        let Some(backend) = backend.filter(|backend| self.is_confined(&**backend)) else {
            return Err(AS_ROOT.to_owned());
        };
        if !backend.runs_commands() {
            return Ok(Commands::Children(env, cwd));
        }
        let words = match what {
            Use::Check => "whether it is well",
            Use::Reload => "reload",
            Use::Hook => "what follows an event",
        };
        let launch = Launch {
            id: record.id.clone(),
            description: format!("{}: {words}", record.id),
            program: PathBuf::new(),
            argv: Vec::new(),
            cwd,
            env,
            limits: record.spec.limits.clone(),
            user: record.spec.user.clone(),
            stop: record.spec.stop.clone(),
            notify: false,
            beats: false,
            log_file: false,
            systemd: record.spec.systemd.clone(),
            after: Vec::new(),
            needed: false,
            input,
            room: None,
        };
        Ok(Commands::Bounded(Box::new(move |argv, limit| {
            let (backend, launch) = (Rc::clone(&backend), launch.clone());
            Box::pin(async move {
                let program = find_program(&argv[0], &launch.env, &launch.cwd, true)?;
                backend.run_command(&Launch { program, argv, ..launch }, what, limit).await
            })
        })))
    }

    /// A command that it has run is not the daemon's child, or that is the user's own.
    fn is_confined(&self, backend: &dyn AnyBackend) -> bool {
        self.places.instance != Instance::System || backend.runs_commands()
    }
}

/// Why the system instance may not run a command itself.
const AS_ROOT: &str = "the system instance runs commands only as units of systemd: here it would be as root; \
                       ready and health are checked with http, tcp or unix, reload is done with a signal or a restart";
