//! Supervision from within a program: services registered by code, without a daemon.

mod builder;
mod spec;

use std::path::Path;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

use crate::daemon::supervisor;
use crate::error::Error;
use crate::model::ServiceId;
use crate::model::service::{BackendChoice, Event, ServiceReport, ServiceSpec};
use crate::paths::Places;
use crate::registry::{Held, Lock};
use crate::supervise::{Answer, Command, Handle, Selection, Stop};

pub use builder::Builder;
pub use spec::ServiceSpec as Described;

/// Starts and supervises services as `provost daemon` does: restarts with backoff, order, readiness,
/// a registry that outlives the program.
///
/// [`Supervisor::builder`] gives it a thread of its own, and any task may ask it. What it had
/// started is taken over by the next one in the same folder.
///
/// ```no_run
/// # use provost::{ServiceSpec, Supervisor};
/// # async fn example() -> Result<(), provost::Error> {
/// let supervisor = Supervisor::builder()
///     .register(ServiceSpec::new("agent").script("agent.py").cwd("./agents").tries(-1))
///     .register(ServiceSpec::new("web").command(["node", "web.mjs"]).port(3000).after(["agent"]))
///     .start()
///     .await?;
/// let mut events = supervisor.events();
/// while let Some(event) = events.next().await {
///     println!("{}: {}", event.id, event.message);
/// }
/// supervisor.shutdown().await
/// # }
/// ```
///
/// [`Supervisor::open`] lives in a `tokio::task::LocalSet` of the caller's, and works whenever that
/// is polled:
///
/// ```no_run
/// # use provost::{Supervisor, model::service::{BackendChoice, ServiceSpec}};
/// # async fn example() -> Result<(), provost::Error> {
/// let supervisor = Supervisor::open("/srv/models/provost".as_ref(), BackendChoice::Auto).await?;
/// let command = ["llama-server", "-m", "/srv/models/7b.gguf"].map(str::to_owned).to_vec();
/// supervisor.register(ServiceSpec::new("llm".parse()?, command, "/srv/models".into())).await?;
/// supervisor.start(&"llm".parse()?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Supervisor {
    handle: Handle,
    task: Task,
    /// Its thread has it, where it has one.
    _lock: Option<Lock>,
}

/// Where it runs.
#[derive(Debug)]
enum Task {
    /// In a `LocalSet` of the caller's.
    Local(JoinHandle<()>),
    /// In a thread, which says when it ends.
    Thread(oneshot::Receiver<()>),
}

impl Task {
    /// Waits for its end.
    async fn ended(self) {
        match self {
            Self::Local(task) => drop(task.await),
            Self::Thread(ended) => drop(ended.await),
        }
    }
}

impl Supervisor {
    /// Services to come, in a thread of their own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// With its registry, logs and pid files below this folder, which is made if there is none.
    /// What runs of its services is taken over before this returns. Must be called within a
    /// `tokio::task::LocalSet`.
    ///
    /// # Errors
    /// Another supervisor has the folder, it cannot be used, or the backend cannot be had.
    pub async fn open(folder: &Path, backend: BackendChoice) -> Result<Self, Error> {
        let unusable = |source| Error::Io { what: format!("{} cannot be used", folder.display()), source };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let places = Places::below(&folder.canonicalize().map_err(unusable)?);
        let lock = Lock::take(&places).map_err(|held| match held {
            Held::By(..) => Error::Act(crate::act::ActError::Failed(format!("{}: {held}", folder.display()))),
            Held::Io { path, source } => Error::Io { what: path.display().to_string(), source },
        })?;
        let running = supervisor::start(&places, backend, None, 0).await?;
        Ok(Self { handle: running.handle, task: Task::Local(running.task), _lock: Some(lock) })
    }

    /// Makes a service known, and starts nothing. The same once more changes nothing; another
    /// description replaces that of a service that does not run.
    ///
    /// # Errors
    /// It is not described as it must be, it runs by another description, its folder is not
    /// absolute, what it comes after makes a circle, or its record cannot be written.
    pub async fn register<S>(&self, spec: S) -> Result<(), Error>
    where
        S: TryInto<ServiceSpec>,
        Error: From<S::Error>,
    {
        let specs = vec![spec.try_into()?];
        let environment = crate::services::sent_along(&specs);
        let define = |answer| Command::Define { specs, environment, answer };
        self.handle.ask(define).await?;
        Ok(())
    }

    /// Starts a service, and before it what it comes after. Returns at once; whether there was
    /// anything to do. What becomes of it is told by [`Self::events`] and [`Self::list`].
    ///
    /// # Errors
    /// There is no such service.
    pub async fn start(&self, id: &ServiceId) -> Result<bool, Error> {
        let start = |which, answer| Command::Start { which, environment: [].into(), answer };
        self.change(id, start).await
    }

    /// Stops a service, and before it what comes after it; with `force` at once, with SIGKILL.
    /// Whether there was anything to do.
    ///
    /// # Errors
    /// There is no such service.
    pub async fn stop(&self, id: &ServiceId, force: bool) -> Result<bool, Error> {
        self.change(id, |which, answer| Command::Stop { which, force, answer }).await
    }

    /// Stops a service if it runs, and starts it.
    ///
    /// # Errors
    /// There is no such service.
    pub async fn restart(&self, id: &ServiceId) -> Result<bool, Error> {
        self.change(id, |which, answer| Command::Restart { which, answer }).await
    }

    /// Stops a service and forgets it.
    ///
    /// # Errors
    /// There is no such service.
    pub async fn remove(&self, id: &ServiceId) -> Result<bool, Error> {
        self.change(id, |which, answer| Command::Remove { which, answer }).await
    }

    /// What all services are doing, by their ids.
    ///
    /// # Errors
    /// It is ending.
    pub async fn list(&self) -> Result<Vec<ServiceReport>, Error> {
        let which = Selection::default();
        Ok(self.handle.ask(|answer| Command::Report { which, resources: false, answer }).await?)
    }

    /// All that happens from now on.
    pub fn events(&self) -> Events {
        Events(self.handle.events())
    }

    /// Ends it; `stop`: after all services have been stopped in order, else they run on for the
    /// next one.
    ///
    /// # Errors
    /// It was ending already.
    pub async fn close(self, stop: bool) -> Result<(), Error> {
        let stop = if stop { Stop::All } else { Stop::None };
        self.handle.ask(|answer| Command::Finish { stop, answer }).await?;
        // Its last words are said.
        self.task.ended().await;
        Ok(())
    }

    /// Stops all services in the reverse of their order, each by its signals, and ends.
    ///
    /// # Errors
    /// It was ending already.
    pub async fn shutdown(self) -> Result<(), Error> {
        self.close(true).await
    }

    async fn change(
        &self,
        id: &ServiceId,
        command: impl FnOnce(Selection, Answer<Vec<(ServiceId, bool)>>) -> Command,
    ) -> Result<bool, Error> {
        let which = Selection { ids: vec![id.clone()], project: None };
        let outcomes = self.handle.ask(|answer| command(which, answer)).await?;
        Ok(outcomes.iter().any(|(_, new)| *new))
    }
}

/// What happens to services, one event after another.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next one; `None` when the supervisor has ended. Who reads too slowly misses the oldest:
    /// their numbers show a gap.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::{EventKind, ServiceState};

    #[tokio::test]
    async fn services_by_code() {
        let dir = tempfile::tempdir().unwrap();
        let test = async {
            let supervisor = Supervisor::open(dir.path(), BackendChoice::Sim).await.unwrap();
            assert!(Supervisor::open(dir.path(), BackendChoice::Sim).await.is_err(), "one for each folder");
            let id: ServiceId = "a".parse().unwrap();
            let spec = ServiceSpec::new(id.clone(), vec!["/bin/sh".to_owned()], "/".into());
            let mut events = supervisor.events();
            supervisor.register(spec.clone()).await.unwrap();
            assert!(supervisor.start(&id).await.unwrap());
            while events.next().await.unwrap().kind != EventKind::Ready {}
            supervisor.register(spec.clone()).await.unwrap();
            assert!(supervisor.register(ServiceSpec { gpus: vec!["0".to_owned()], ..spec }).await.is_err());
            assert!(!supervisor.start(&id).await.unwrap());
            assert_eq!(supervisor.list().await.unwrap()[0].state, ServiceState::Running);
            assert!(supervisor.start(&"b".parse().unwrap()).await.is_err());
            assert!(supervisor.stop(&id, true).await.unwrap());
            assert!(supervisor.remove(&id).await.unwrap());
            while events.next().await.unwrap().kind != EventKind::Removed {}
            supervisor.close(true).await.unwrap();
            drop(Supervisor::open(dir.path(), BackendChoice::Sim).await.unwrap());
        };
        tokio::task::LocalSet::new().run_until(test).await;
    }

    /// The builder's way, in a runtime of several threads: what embeds it has no LocalSet.
    #[tokio::test]
    async fn a_program_embeds_it() {
        fn is_send<T: Send + Sync>(_: &T) {}
        let dir = tempfile::tempdir().unwrap();
        let marked = dir.path().join("marked");
        let sleep = |id: &str| Described::new(id).command(["sleep", "600"]).cwd(dir.path());
        let built = || {
            let text = "trap 'echo bye > marked; exit 0' TERM; while :; do sleep 0.05; done";
            let polite = Described::new("polite").command(["sh", "-c", text]).cwd(dir.path());
            Supervisor::builder()
                .folder(dir.path().join("state"))
                .backend(BackendChoice::Direct)
                .register(polite.set("ready.exec", "true").env("A", "${HOME:-}").tries(-1))
                .register(sleep("last").after(["polite"]).stop(["TERM:5s", "KILL"]))
        };
        let supervisor = built().start().await.unwrap();
        is_send(&supervisor);
        let mut events = supervisor.events();
        assert!(built().start().await.is_err(), "one for each folder");
        let running = async |id: &str| {
            let all = supervisor.list().await.unwrap();
            all.iter().any(|report| report.id.as_str() == id && report.state == ServiceState::Running)
        };
        while !(running("polite").await && running("last").await) {
            events.next().await.unwrap();
        }
        supervisor.register(sleep("more")).await.unwrap();
        assert!(supervisor.start(&"more".parse().unwrap()).await.unwrap());
        while !running("more").await {
            events.next().await.unwrap();
        }
        let pid = supervisor.list().await.unwrap()[0].pid.unwrap();
        // Without a shutdown services go on, and the next one has them.
        supervisor.close(false).await.unwrap();
        let supervisor = built().register(sleep("new")).start().await.unwrap();
        let all = supervisor.list().await.unwrap();
        assert!(all.iter().any(|report| report.pid == Some(pid)), "{all:?}");
        supervisor.shutdown().await.unwrap();
        assert_eq!(std::fs::read_to_string(&marked).unwrap(), "bye\n");
        assert!(!crate::sys::exists(pid));
        // Nothing is forgotten to be stopped.
        let supervisor = Supervisor::builder().folder(dir.path().join("state")).backend(BackendChoice::Direct);
        let supervisor = supervisor.start().await.unwrap();
        let mut events = supervisor.events();
        while !supervisor.list().await.unwrap().is_empty() {
            events.next().await.unwrap();
        }
        supervisor.shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn services_name_others_that_are_not_registered_with_them() {
        let dir = tempfile::tempdir().unwrap();
        let (config, state) = (dir.path().join("x.toml"), dir.path().join("state"));
        let text = "[service.one]\ncommand = ['x']\nport = 7\n[service.two]\ncommand = ['x']\ninstances = 2\n\
                    socket = 's${INSTANCE}'\n";
        std::fs::write(&config, text).unwrap();
        let names = ["x", "${service.one.port}", "${service.two-2.socket}"];
        let last = Described::new("last").command(names).after(["one", "two"]);
        let built = || Supervisor::builder().folder(&state).backend(BackendChoice::Sim).config(&config);
        let after = |all: &[ServiceReport], id: &str| -> Vec<String> {
            let report = all.iter().find(|report| report.id.as_str() == id).unwrap();
            report.after.iter().map(ToString::to_string).collect()
        };
        let supervisor = built().register(last).start().await.unwrap();
        let all = supervisor.list().await.unwrap();
        assert_eq!((all.len(), after(&all, "last")), (4, ["one", "two-1", "two-2"].map(str::to_owned).to_vec()));
        let more = Described::new("more").command(["x", "${service.one.port}", "${service.last.port:-}"]);
        supervisor.register(more.clone().after(["last"])).await.unwrap();
        assert_eq!(after(&supervisor.list().await.unwrap(), "more"), ["last"]);
        for (wrong, part) in [
            (more.clone().after(["last", "../one"]), "after[1]"),
            (more.clone().after(["more"]), "itself"),
            (more.clone().set("after", 7), "after"),
            (more.set("instances", 2), "has instances"),
        ] {
            let error = supervisor.register(wrong).await.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        supervisor.shutdown().await.unwrap();
        for (id, part) in [("one", "registered twice"), ("two", "registered twice"), ("y", "no service is called")] {
            let described = Described::new(id).command(["x"]).after(if id == "y" { vec!["tow"] } else { vec![] });
            let error = built().register(described).start().await.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_before_anything_starts() {
        let dir = tempfile::tempdir().unwrap();
        let start = async |spec| Supervisor::builder().folder(dir.path()).register(spec).start().await.unwrap_err();
        for (spec, part) in [
            (Described::new("a"), "neither command nor script"),
            (Described::new("a/b").command(["x"]), "no service id"),
            (Described::new("a").command(["x"]).set("prot", 1), "did you mean \"port\""),
            (Described::new("a").command(["x"]).after(["b"]), "b"),
            (Described::new("a").command(["x"]).set("health.interval", "soon"), "no duration"),
        ] {
            let error = start(spec).await.to_string();
            assert!(error.contains(part) && error.starts_with("the program: "), "{error}");
        }
        let twice = Supervisor::builder().folder(dir.path());
        let twice = twice.register(Described::new("a").command(["x"])).register(Described::new("a").command(["y"]));
        assert!(twice.start().await.unwrap_err().to_string().contains("twice"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
