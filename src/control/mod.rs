//! The client's side: how the verbs speak to a daemon that runs, and start one where none does.
//!
//! The user's own daemon is reached over its control socket, the system's daemon over the system
//! bus, so that polkit knows who calls.

mod again;
mod connect;
mod events;
pub(crate) mod helper;
mod linger;
mod start;

pub(crate) use events::Events;
pub(crate) use linger::Linger;
pub(crate) use start::{own_program, start_daemon};

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use again::{Line, Proxy};

use crate::api::dbus::{Dict, from_call, from_dict, to_dict};
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

/// A connection to a daemon. A call that can be made twice survives that the daemon executes its
/// program anew; one that sends a signal, say, fails then, and nobody can tell whether it was done.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    line: Line,
}

impl Control {
    /// Connects to the caller's daemon of this kind; `None` if none runs.
    pub(crate) async fn connect(instance: Instance) -> Result<Option<Self>, Error> {
        match connect::connect(instance).await? {
            Some((connection, socket)) => Ok(Some(Self { line: Line::over(connection, socket).await? })),
            None => Ok(None),
        }
    }

    /// Connects by a control socket at this path.
    pub(crate) async fn connect_to(socket: &Path) -> Result<Option<Self>, Error> {
        match connect::connect_socket(socket).await? {
            Some(connection) => Ok(Some(Self { line: Line::over(connection, Some(socket.to_owned())).await? })),
            None => Ok(None),
        }
    }

    /// Reads a config file and makes its services known; starts none.
    pub(crate) async fn load(
        &self,
        config: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<ServiceId>, Error> {
        let path = text(config)?;
        let ids = self.line.repeat(async |proxy| proxy.load(path, map(environment)).await).await;
        ids_of(ids.map_err(|e| from_call("loading the config", e))?)
    }

    /// Makes services known that are in no file.
    pub(crate) async fn define(
        &self,
        specs: &[ServiceSpec],
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<ServiceId>, Error> {
        let define = async |proxy: Proxy| proxy.define(specs.iter().map(to_dict).collect(), map(environment)).await;
        let ids = self.line.repeat(define).await;
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
        let start = async |proxy: Proxy| proxy.start(&words(ids), project, map(environment)).await;
        touched(self.line.repeat(start).await, "start")
    }

    /// Stops services and what comes after them; returns at once.
    pub(crate) async fn stop(&self, ids: &[ServiceId], project: Option<&Path>, force: bool) -> Result<Touched, Error> {
        let project = project.map_or(Ok(""), text)?;
        let stop = async |proxy: Proxy| proxy.stop(&words(ids), project, force).await;
        touched(self.line.repeat(stop).await, "stop")
    }

    /// Stops what runs and starts it.
    pub(crate) async fn restart(&self, ids: &[ServiceId], project: Option<&Path>) -> Result<Touched, Error> {
        let project = project.map_or(Ok(""), text)?;
        touched(self.line.proxy().restart(&words(ids), project).await, "restart")
    }

    /// Has services read their configuration again.
    pub(crate) async fn reload(&self, ids: &[ServiceId]) -> Result<Touched, Error> {
        touched(self.line.proxy().reload(&words(ids)).await, "reload")
    }

    /// Sends a signal.
    pub(crate) async fn kill(&self, ids: &[ServiceId], whom: Whom, signal: Signal) -> Result<Touched, Error> {
        touched(self.line.proxy().kill(&words(ids), whom.as_str(), signal.number()).await, "kill")
    }

    /// Whether services start with their project or the daemon.
    pub(crate) async fn enable(&self, ids: &[ServiceId], enabled: bool) -> Result<Touched, Error> {
        let enable = async |proxy: Proxy| proxy.enable(&words(ids), enabled).await;
        touched(self.line.repeat(enable).await, if enabled { "enable" } else { "disable" })
    }

    /// Stops services and forgets them.
    pub(crate) async fn remove(&self, ids: &[ServiceId]) -> Result<Touched, Error> {
        touched(self.line.proxy().remove(&words(ids)).await, "remove")
    }

    /// What services are doing.
    pub(crate) async fn list(
        &self,
        ids: &[ServiceId],
        project: Option<&Path>,
        resources: bool,
    ) -> Result<Vec<ServiceReport>, Error> {
        let project = project.map_or(Ok(""), text)?;
        let list = async |proxy: Proxy| proxy.list(&words(ids), project, resources).await;
        typed(self.line.repeat(list).await, "list")
    }

    /// Processes without a supervisor, and what looks like one.
    pub(crate) async fn orphans(&self, names: &[String]) -> Result<Vec<Orphan>, Error> {
        let orphans = async |proxy: Proxy| proxy.orphans(&strs(names)).await;
        typed(self.line.repeat(orphans).await, "orphans")
    }

    /// Ends orphans.
    pub(crate) async fn clean_orphans(&self, names: &[String], force: bool) -> Result<OrphansCleaned, Error> {
        let cleaned =
            self.line.proxy().clean_orphans(&strs(names), force).await.map_err(|e| from_call("orphans", e))?;
        from_dict(&cleaned).map_err(|e| not_understood("orphans", &e))
    }

    /// Reads all config files again and applies what changed; the ids that it touched.
    pub(crate) async fn reload_config(&self) -> Result<Vec<ServiceId>, Error> {
        let reload = self.line.repeat(async |proxy| proxy.reload_config().await).await;
        ids_of(reload.map_err(|e| from_call("reading the config again", e))?)
    }

    /// Has the daemon execute its program anew, and returns when the connection ends. Every
    /// service keeps running.
    pub(crate) async fn reexecute(&self) -> Result<(), Error> {
        let proxy = self.line.proxy();
        proxy.reexecute().await.map_err(|e| from_call("restarting the daemon", e))?;
        proxy.inner().connection().closed().await;
        Ok(())
    }

    /// Ends the daemon, and returns when the connection ends.
    pub(crate) async fn exit(&self, services: Stop) -> Result<(), Error> {
        let proxy = self.line.proxy();
        proxy.exit(services.as_str()).await.map_err(|e| from_call("ending the daemon", e))?;
        proxy.inner().connection().closed().await;
        Ok(())
    }

    /// All events from now on: subscribe before you act, and nothing is missed.
    pub(crate) async fn events(&self) -> Result<Events, Error> {
        Events::subscribe(&self.line.proxy()).await
    }

    /// What happened last, the oldest first.
    pub(crate) async fn recent_events(&self) -> Result<Vec<crate::model::service::Event>, Error> {
        typed(self.line.repeat(async |proxy| proxy.recent_events().await).await, "events")
    }

    /// What is known of the daemon itself.
    pub(crate) async fn facts(&self) -> Result<DaemonFacts, Error> {
        let facts = self.line.repeat(async |proxy| {
            Ok(DaemonFacts {
                version: proxy.version().await?,
                instance_id: proxy.instance_id().await?,
                pid: proxy.pid().await?,
                backend: proxy.backend().await?,
            })
        });
        facts.await.map_err(|e| from_call("the daemon's properties", e))
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
