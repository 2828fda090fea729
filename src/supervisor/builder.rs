//! A supervisor with its services, in a thread of its own.

use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use super::spec::{self, ServiceSpec};
use super::{Supervisor, Task};
use crate::config::{self, LoadOptions};
use crate::error::Error;
use crate::model::service::{BackendChoice, ServiceSpec as Checked};
use crate::supervise::{Command, Handle, Selection};

/// Services, and where they are kept; see [`Supervisor::builder`].
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is started before start()"]
pub struct Builder {
    folder: Option<PathBuf>,
    backend: BackendChoice,
    specs: Vec<ServiceSpec>,
    configs: Vec<PathBuf>,
}

impl Builder {
    /// Where its registry, logs and pid files are; without it: a folder named after this program,
    /// in the user's state folder.
    pub fn folder(self, folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), ..self }
    }

    /// How services are run; without it: by systemd where it can be reached, else as children.
    pub fn backend(self, backend: BackendChoice) -> Self {
        Self { backend, ..self }
    }

    /// A service that is started with the supervisor.
    pub fn register(mut self, spec: ServiceSpec) -> Self {
        self.specs.push(spec);
        self
    }

    /// The services of a config file, too: `provost.toml`, `.yaml`, `.json`, or `pb_processes.json`.
    pub fn config(mut self, path: impl Into<PathBuf>) -> Self {
        self.configs.push(path.into());
        self
    }

    /// Starts a supervisor in a thread of its own, and there its services. What still runs of them
    /// is taken over; what an earlier one in this folder had, and this one has not, is stopped and
    /// forgotten. Returns when all are on their way: [`Supervisor::events`] tells what becomes of
    /// them. May be called in any runtime of tokio.
    ///
    /// # Errors
    /// A service is not described as it must be, or runs by another description; another
    /// supervisor has the folder, it cannot be used, or the backend cannot be had.
    pub async fn start(self) -> Result<Supervisor, Error> {
        let specs = self.checked()?;
        let folder = self.folder.map_or_else(usual, Ok)?;
        let supervisor = thread(folder, self.backend).await?;
        match begin(&supervisor.handle, specs).await {
            Ok(()) => Ok(supervisor),
            Err(error) => {
                // What ran before goes on, as it did.
                let _ = supervisor.close(false).await;
                Err(error)
            }
        }
    }

    fn checked(&self) -> Result<Vec<Checked>, Error> {
        let mut all = Vec::new();
        let uid = rustix::process::geteuid().as_raw();
        let options = LoadOptions { system: false, home: crate::paths::home(uid) };
        for path in &self.configs {
            let found = config::load(path, &options)?.services;
            all.extend(found.into_iter().map(|spec| Checked { project: None, ..spec }));
        }
        let described = spec::checked(&self.specs, spec::others(&all), &spec::current()?)?;
        all.extend(described);
        let mut ids: Vec<&str> = all.iter().map(|spec| spec.id.as_str()).collect();
        ids.sort_unstable();
        match ids.windows(2).find(|two| two[0] == two[1]) {
            Some(two) => Err(Error::Config(format!("service {} is registered twice", two[0]))),
            None => Ok(all),
        }
    }
}

/// `programs/NAME` in the user's state folder.
fn usual() -> Result<PathBuf, Error> {
    let uid = rustix::process::geteuid().as_raw();
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(Path::file_name).map(Path::new);
    let state = crate::paths::state_dir(uid);
    let none = || Error::Config("there is no home folder here: name one by folder()".to_owned());
    let folder = state.ok_or_else(none)?.join("programs").join(name.unwrap_or(Path::new("program")));
    Ok(folder)
}

/// A supervisor in a thread, which ends with it.
async fn thread(folder: PathBuf, backend: BackendChoice) -> Result<Supervisor, Error> {
    let (opened, answer) = oneshot::channel::<Result<Handle, Error>>();
    let (end, ended) = oneshot::channel::<()>();
    let run = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(source) => {
                let _ = opened.send(Err(Error::Io { what: "a runtime".to_owned(), source }));
                return;
            }
        };
        let life = async move {
            match Supervisor::open(&folder, backend).await {
                Ok(supervisor) => {
                    let Supervisor { handle, task, _lock } = supervisor;
                    // Whoever wanted it may have gone: then it ends, and leaves services as they are.
                    if opened.send(Ok(handle.clone())).is_err() {
                        let stop = crate::supervise::Stop::None;
                        let _ = handle.ask(|answer| Command::Finish { stop, answer }).await;
                    }
                    task.ended().await;
                }
                Err(error) => drop(opened.send(Err(error))),
            }
        };
        tokio::task::LocalSet::new().block_on(&runtime, life);
        runtime.shutdown_background();
        let _ = end.send(());
    };
    let spawned = std::thread::Builder::new().name("provost".to_owned()).spawn(run);
    spawned.map_err(|source| Error::Io { what: "a thread".to_owned(), source })?;
    let lost = || Error::Unreachable("the supervisor's thread has ended".to_owned());
    let handle = answer.await.map_err(|_| lost())??;
    Ok(Supervisor { handle, task: Task::Thread(ended), _lock: None })
}

/// Makes the services known, forgets others, and starts those that are enabled.
async fn begin(handle: &Handle, specs: Vec<Checked>) -> Result<(), Error> {
    let environment = crate::services::sent_along(&specs);
    let enabled = specs.iter().filter(|spec| spec.enabled).map(|spec| spec.id.clone());
    let (enabled, ids): (Vec<_>, Vec<_>) = (enabled.collect(), specs.iter().map(|spec| spec.id.clone()).collect());
    let which = Selection::default();
    let known = handle.ask(|answer| Command::Report { which, resources: false, answer }).await?;
    let gone: Vec<_> = known.into_iter().map(|report| report.id).filter(|id| !ids.contains(id)).collect();
    if !gone.is_empty() {
        let which = Selection { ids: gone, project: None };
        handle.ask(|answer| Command::Remove { which, answer }).await?;
    }
    let sent = environment.clone();
    handle.ask(|answer| Command::Define { specs, environment: sent, answer }).await?;
    if !enabled.is_empty() {
        let which = Selection { ids: enabled, project: None };
        handle.ask(|answer| Command::Start { which, environment, answer }).await?;
    }
    Ok(())
}
