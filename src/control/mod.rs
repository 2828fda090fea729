//! The client's side: how the verbs speak to a daemon that runs, and start one where none does.
//!
//! The user's own daemon is reached over its control socket, the system's daemon over the system
//! bus, so that polkit knows who calls.

mod again;
mod ask;
mod bus;
mod connect;
mod events;
pub(crate) mod helper;
mod linger;
mod start;

pub(crate) use ask::Asks;
pub(crate) use events::{Events, Next};
pub(crate) use linger::Linger;
pub(crate) use start::{own_program, start_daemon};

use std::collections::BTreeMap;
use std::path::Path;

use again::{Line, Proxy};

use crate::api::dbus::{Dict, from_call, from_dict, to_dict};
use crate::error::Error;
use crate::gather::Gather as _;
use crate::model::service::{ServiceReport, ServiceSpec};
use crate::model::{Action, Instance, ServiceId, Signal, Verdict, Whom};
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
    /// What is wrong with config files that are not applied, a line for each place.
    pub(crate) config_errors: Vec<String>,
}

/// A connection to a daemon. A call that can be made twice survives that the daemon executes its
/// program anew; one that sends a signal, say, fails then, and nobody can tell whether it was done.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    line: Line,
    asks: Option<Asks>,
}

impl Control {
    /// Connects to the caller's daemon of this kind; `None` if none runs.
    pub(crate) async fn connect(instance: Instance) -> Result<Option<Self>, Error> {
        match connect::connect(instance).await? {
            Some((connection, socket)) => Ok(Some(Self { line: Line::over(connection, socket).await?, asks: None })),
            None => Ok(None),
        }
    }

    /// Connects by a control socket at this path.
    pub(crate) async fn connect_to(socket: &Path) -> Result<Option<Self>, Error> {
        match connect::connect_socket(socket).await? {
            Some(connection) => {
                Ok(Some(Self { line: Line::over(connection, Some(socket.to_owned())).await?, asks: None }))
            }
            None => Ok(None),
        }
    }

    /// The system's daemon, if it runs, over a connection to the system bus that there is already.
    pub(crate) async fn on_bus(bus: &zbus::Connection) -> Result<Option<Self>, Error> {
        match bus::is_there(bus).await? {
            true => Ok(Some(Self { line: Line::over(bus.clone(), None).await?, asks: None })),
            false => Ok(None),
        }
    }

    /// Reads a config file and makes its services known; starts none.
    pub(crate) async fn load(
        &self,
        config: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<ServiceId>, Error> {
        ids_of(self.change("loading the config", "Load", true, &(text(config)?, environment)).await?)
    }

    /// Makes services known that are in no file; one of the same id that does not run is replaced.
    pub(crate) async fn define(
        &self,
        specs: &[ServiceSpec],
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<ServiceId>, Error> {
        let specs: Vec<Dict> = specs.iter().map(to_dict).collect();
        ids_of(self.change("defining the service", "Define", true, &(specs, environment)).await?)
    }

    /// Starts services and what they come after; returns at once. Of each: whether there was
    /// anything to do.
    pub(crate) async fn start(
        &self,
        ids: &[ServiceId],
        project: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Touched, Error> {
        let project = project.map_or(Ok(""), text)?;
        touched(self.change("start", "Start", true, &(words(ids), project, environment)).await?, "start")
    }

    /// Stops services and what comes after them; returns at once.
    pub(crate) async fn stop(&self, ids: &[ServiceId], project: Option<&Path>, force: bool) -> Result<Touched, Error> {
        let project = project.map_or(Ok(""), text)?;
        touched(self.change("stop", "Stop", true, &(words(ids), project, force)).await?, "stop")
    }

    /// Stops what runs and starts it.
    pub(crate) async fn restart(&self, ids: &[ServiceId], project: Option<&Path>) -> Result<Touched, Error> {
        let project = project.map_or(Ok(""), text)?;
        touched(self.change("restart", "Restart", false, &(words(ids), project)).await?, "restart")
    }

    /// Has services read their configuration again.
    pub(crate) async fn reload(&self, ids: &[ServiceId]) -> Result<Touched, Error> {
        touched(self.change("reload", "Reload", false, &(words(ids),)).await?, "reload")
    }

    /// Sends a signal.
    pub(crate) async fn kill(&self, ids: &[ServiceId], whom: Whom, signal: Signal) -> Result<Touched, Error> {
        let body = (words(ids), whom.as_str(), signal.number());
        touched(self.change("kill", "Kill", false, &body).await?, "kill")
    }

    /// Whether services start with their project or the daemon.
    pub(crate) async fn enable(&self, ids: &[ServiceId], enabled: bool) -> Result<Touched, Error> {
        let doing = if enabled { "enable" } else { "disable" };
        touched(self.change(doing, "Enable", true, &(words(ids), enabled)).await?, doing)
    }

    /// Stops services and forgets them.
    pub(crate) async fn remove(&self, ids: &[ServiceId]) -> Result<Touched, Error> {
        touched(self.change("remove", "Remove", false, &(words(ids),)).await?, "remove")
    }

    /// What polkit says of these verbs for a service, to whoever asks: exactly, without a prompt.
    pub(crate) async fn explain(&self, id: &ServiceId, verbs: &[Action]) -> Result<BTreeMap<Action, Verdict>, Error> {
        let verbs: Vec<&str> = verbs.iter().map(|verb| verb.verb()).collect();
        let ids = [id.as_str()];
        let explain = async |proxy: Proxy| proxy.explain(&ids, &verbs).await;
        let all = self.line.repeat(explain).await.map_err(|e| from_call("the verdict", e))?;
        let action = |verb: &str| Action::ALL.into_iter().find(|action| action.verb() == verb);
        let verdict = |word: &str| match word {
            "allowed" => Some(Verdict::Allowed),
            "needs-password" => Some(Verdict::NeedsPassword),
            "denied" => Some(Verdict::Denied),
            _ => None,
        };
        let of_id = all.iter().filter(|(of, ..)| of == id.as_str());
        Ok(of_id.filter_map(|(_, verb, word)| Some((action(verb)?, verdict(word)?))).gather())
    }

    /// What services have written, as JSON lines through a pipe.
    pub(crate) async fn logs(&self, ids: &[ServiceId], query: &Dict) -> Result<std::os::fd::OwnedFd, Error> {
        let pipe: zbus::OwnedFd = self.change("the log", "Logs", false, &(words(ids), query)).await?;
        Ok(pipe.into())
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

    /// How many of those that it has found before still run: it does not look for more.
    pub(crate) async fn known_orphans(&self) -> Result<u32, Error> {
        let known = self.line.repeat(async |proxy: Proxy| proxy.known_orphans().await).await;
        known.map_err(|e| from_call("orphans", e))
    }

    /// Ends orphans.
    pub(crate) async fn clean_orphans(&self, names: &[String], force: bool) -> Result<OrphansCleaned, Error> {
        let cleaned: Dict = self.change("orphans", "CleanOrphans", false, &(strs(names), force)).await?;
        from_dict(&cleaned).map_err(|e| not_understood("orphans", &e))
    }

    /// Reads all config files again and applies what changed; the ids that it touched.
    pub(crate) async fn reload_config(&self) -> Result<Vec<ServiceId>, Error> {
        ids_of(self.change("reading the config again", "ReloadConfig", true, &()).await?)
    }

    /// Has the daemon execute its program anew, and returns when the connection ends. Every
    /// service keeps running.
    pub(crate) async fn reexecute(&self) -> Result<(), Error> {
        self.last("restarting the daemon", "Reexecute", &()).await
    }

    /// Ends the daemon, and returns when the connection ends: services keep running (`keep`), those
    /// of the direct backend are stopped (`direct`), all are stopped (`all`), or killed (`force`).
    pub(crate) async fn exit(&self, services: Stop) -> Result<(), Error> {
        self.last("ending the daemon", "Exit", &(services.as_str(),)).await
    }

    /// What the daemon does last.
    async fn last<B: serde::Serialize + zbus::DynamicType>(
        &self,
        doing: &str,
        method: &str,
        body: &B,
    ) -> Result<(), Error> {
        let proxy = self.line.proxy();
        let connection = proxy.inner().connection();
        let owner = match self.line.is_bus() {
            true => Some(bus::Owner::of(connection).await.map_err(|e| from_call(doing, e))?),
            false => None,
        };
        self.change::<_, ()>(doing, method, false, body).await?;
        match owner {
            Some(mut owner) => owner.gone().await,
            None => connection.closed().await,
        }
        Ok(())
    }

    /// All events from now on: subscribe before you act, and nothing is missed.
    pub(crate) async fn events(&self) -> Result<Events, Error> {
        Events::subscribe(&self.line).await
    }

    /// What happened last, the oldest first.
    pub(crate) async fn recent_events(&self) -> Result<Vec<crate::model::service::Event>, Error> {
        typed(self.line.repeat(async |proxy| proxy.recent_events().await).await, "events")
    }

    /// The process of a daemon that is part of an `up` in the foreground: services end with its
    /// terminal. `None` of any other.
    pub(crate) async fn foreground(&self) -> Option<u32> {
        let host = self.line.repeat(async |proxy: Proxy| Ok((proxy.foreground().await?, proxy.pid().await?)));
        // One of an earlier version does not say it.
        host.await.ok().filter(|(foreground, _)| *foreground).map(|(_, pid)| pid)
    }

    /// What is known of the daemon itself.
    pub(crate) async fn facts(&self) -> Result<DaemonFacts, Error> {
        let facts = self.line.repeat(async |proxy| {
            Ok(DaemonFacts {
                version: proxy.version().await?,
                instance_id: proxy.instance_id().await?,
                pid: proxy.pid().await?,
                backend: proxy.backend().await?,
                // One that has just been replaced may have none.
                config_errors: proxy.config_errors().await.unwrap_or_default(),
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

fn not_understood(doing: &str, error: &dyn std::fmt::Display) -> Error {
    let why = format!("{doing}: the daemon's answer is not understood ({error}); 'provost daemon restart' may help");
    Error::Act(crate::act::ActError::Failed(why))
}

fn ids_of(ids: Vec<String>) -> Result<Vec<ServiceId>, Error> {
    ids.iter().map(|id| id.parse().map_err(|e| not_understood("ids", &e))).collect()
}

fn touched(all: Vec<(String, bool)>, doing: &str) -> Result<Touched, Error> {
    all.into_iter().map(|(id, did)| Ok((id.parse().map_err(|e| not_understood(doing, &e))?, did))).collect()
}

fn typed<T: serde::de::DeserializeOwned>(reply: zbus::Result<Vec<Dict>>, doing: &str) -> Result<Vec<T>, Error> {
    let all = reply.map_err(|e| from_call(doing, e))?;
    all.iter().map(|dict| from_dict(dict).map_err(|e| not_understood(doing, &e))).collect()
}
