//! The client's side: how the verbs speak to a daemon that runs, and start one where none does.
//!
//! The user's own daemon is reached over its control socket, the system's daemon over the system
//! bus, so that polkit knows who calls.

mod connect;
mod events;
mod linger;
mod start;

pub(crate) use events::Events;
pub(crate) use linger::Linger;
pub(crate) use start::{own_program, start_daemon};

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::api::dbus::{Dict, ManagerProxy, from_call, from_dict, to_dict};
use crate::error::Error;
use crate::model::service::{ServiceReport, ServiceSpec};
use crate::model::{Instance, ServiceId, Signal, Whom};
use crate::supervise::{Orphan, OrphansCleaned, Stop};

/// Which services had something to do.
pub(crate) type Touched = Vec<(ServiceId, bool)>;

/// What is known of the daemon itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct DaemonFacts {
    /// The version of its program.
    pub(crate) version: String,
    /// The id of the instance.
    pub(crate) instance_id: String,
    /// Its process.
    pub(crate) pid: u32,
    /// The backend that services get unless they choose.
    pub(crate) backend: String,
}

/// A connection to a daemon.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    proxy: ManagerProxy<'static>,
}

impl Control {
    /// Connects to the caller's daemon of this kind; `None` if none runs.
    pub(crate) async fn connect(instance: Instance) -> Result<Option<Self>, Error> {
        let Some(connection) = connect::connect(instance).await? else { return Ok(None) };
        Self::over(connection).await.map(Some)
    }

    /// Connects by a control socket at this path.
    pub(crate) async fn connect_to(socket: &Path) -> Result<Option<Self>, Error> {
        let Some(connection) = connect::connect_socket(socket).await? else { return Ok(None) };
        Self::over(connection).await.map(Some)
    }

    async fn over(connection: zbus::Connection) -> Result<Self, Error> {
        let proxy = ManagerProxy::builder(&connection).cache_properties(zbus::proxy::CacheProperties::No).build().await;
        Ok(Self { proxy: proxy.map_err(|e| from_call("the daemon", e))? })
    }

    /// Reads a config file and makes its services known; starts none.
    pub(crate) async fn load(
        &self,
        config: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<ServiceId>, Error> {
        let path = text(config)?;
        let ids = self.proxy.load(path, map(environment)).await;
        ids_of(ids.map_err(|e| from_call("loading the config", e))?)
    }

    /// Makes services known that are in no file.
    pub(crate) async fn define(
        &self,
        specs: &[ServiceSpec],
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<ServiceId>, Error> {
        let ids = self.proxy.define(specs.iter().map(to_dict).collect(), map(environment)).await;
        ids_of(ids.map_err(|e| from_call("defining the service", e))?)
    }

    /// Starts services and what they come after; returns at once.
    pub(crate) async fn start(
        &self,
        ids: &[ServiceId],
        project: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Touched, Error> {
        let project = project.map_or(Ok(""), text)?;
        touched(self.proxy.start(&words(ids), project, map(environment)).await, "start")
    }

    /// Stops services and what comes after them; returns at once.
    pub(crate) async fn stop(&self, ids: &[ServiceId], project: Option<&Path>, force: bool) -> Result<Touched, Error> {
        let project = project.map_or(Ok(""), text)?;
        touched(self.proxy.stop(&words(ids), project, force).await, "stop")
    }

    /// Stops what runs and starts it.
    pub(crate) async fn restart(&self, ids: &[ServiceId], project: Option<&Path>) -> Result<Touched, Error> {
        let project = project.map_or(Ok(""), text)?;
        touched(self.proxy.restart(&words(ids), project).await, "restart")
    }

    /// Has services read their configuration again.
    pub(crate) async fn reload(&self, ids: &[ServiceId]) -> Result<Touched, Error> {
        touched(self.proxy.reload(&words(ids)).await, "reload")
    }

    /// Sends a signal.
    pub(crate) async fn kill(&self, ids: &[ServiceId], whom: Whom, signal: Signal) -> Result<Touched, Error> {
        touched(self.proxy.kill(&words(ids), whom.as_str(), signal.number()).await, "kill")
    }

    /// Whether services start with their project or the daemon.
    pub(crate) async fn enable(&self, ids: &[ServiceId], enabled: bool) -> Result<Touched, Error> {
        touched(self.proxy.enable(&words(ids), enabled).await, if enabled { "enable" } else { "disable" })
    }

    /// Stops services and forgets them.
    pub(crate) async fn remove(&self, ids: &[ServiceId]) -> Result<Touched, Error> {
        touched(self.proxy.remove(&words(ids)).await, "remove")
    }

    /// What services are doing.
    pub(crate) async fn list(
        &self,
        ids: &[ServiceId],
        project: Option<&Path>,
        resources: bool,
    ) -> Result<Vec<ServiceReport>, Error> {
        let project = project.map_or(Ok(""), text)?;
        typed(self.proxy.list(&words(ids), project, resources).await, "list")
    }

    /// Processes without a supervisor, and what looks like one.
    pub(crate) async fn orphans(&self, names: &[String]) -> Result<Vec<Orphan>, Error> {
        typed(self.proxy.orphans(&strs(names)).await, "orphans")
    }

    /// Ends orphans.
    pub(crate) async fn clean_orphans(&self, names: &[String], force: bool) -> Result<OrphansCleaned, Error> {
        let cleaned = self.proxy.clean_orphans(&strs(names), force).await.map_err(|e| from_call("orphans", e))?;
        from_dict(&cleaned).map_err(|e| not_understood("orphans", &e))
    }

    /// Reads all config files again and applies what changed; the ids that it touched.
    pub(crate) async fn reload_config(&self) -> Result<Vec<ServiceId>, Error> {
        ids_of(self.proxy.reload_config().await.map_err(|e| from_call("reading the config again", e))?)
    }

    /// Has the daemon execute its program anew, and returns when the connection ends. Every
    /// service keeps running.
    pub(crate) async fn reexecute(&self) -> Result<(), Error> {
        self.proxy.reexecute().await.map_err(|e| from_call("restarting the daemon", e))?;
        self.proxy.inner().connection().closed().await;
        Ok(())
    }

    /// Ends the daemon, and returns when the connection ends.
    pub(crate) async fn exit(&self, services: Stop) -> Result<(), Error> {
        self.proxy.exit(services.as_str()).await.map_err(|e| from_call("ending the daemon", e))?;
        self.proxy.inner().connection().closed().await;
        Ok(())
    }

    /// All events from now on: subscribe before you act, and nothing is missed.
    pub(crate) async fn events(&self) -> Result<Events, Error> {
        Events::subscribe(&self.proxy).await
    }

    /// What happened last, the oldest first.
    pub(crate) async fn recent_events(&self) -> Result<Vec<crate::model::service::Event>, Error> {
        typed(self.proxy.recent_events().await, "events")
    }

    /// What is known of the daemon itself.
    pub(crate) async fn facts(&self) -> Result<DaemonFacts, Error> {
        let failed = |e| from_call("the daemon's properties", e);
        Ok(DaemonFacts {
            version: self.proxy.version().await.map_err(failed)?,
            instance_id: self.proxy.instance_id().await.map_err(failed)?,
            pid: self.proxy.pid().await.map_err(failed)?,
            backend: self.proxy.backend().await.map_err(failed)?,
        })
    }
}

fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| crate::model::Malformed::new(format!("{} is not UTF-8", path.display())).into())
}

fn words(ids: &[ServiceId]) -> Vec<&str> {
    ids.iter().map(ServiceId::as_str).collect()
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn map(environment: &BTreeMap<String, String>) -> HashMap<&str, &str> {
    environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn not_understood(doing: &str, error: &dyn std::fmt::Display) -> Error {
    let why = format!("{doing}: the daemon's answer is not understood ({error}); 'provost daemon restart' may help");
    Error::Act(crate::act::ActError::Failed(why))
}

fn ids_of(ids: Vec<String>) -> Result<Vec<ServiceId>, Error> {
    ids.iter().map(|id| id.parse().map_err(|e| not_understood("ids", &e))).collect()
}

fn touched(reply: zbus::Result<Vec<(String, bool)>>, doing: &str) -> Result<Touched, Error> {
    let all = reply.map_err(|e| from_call(doing, e))?;
    all.into_iter().map(|(id, did)| Ok((id.parse().map_err(|e| not_understood(doing, &e))?, did))).collect()
}

fn typed<T: serde::de::DeserializeOwned>(reply: zbus::Result<Vec<Dict>>, doing: &str) -> Result<Vec<T>, Error> {
    let all = reply.map_err(|e| from_call(doing, e))?;
    all.iter().map(|dict| from_dict(dict).map_err(|e| not_understood(doing, &e))).collect()
}
