//! One manager (PID 1 or a user's): its calls, as org.freedesktop.systemd1(5) describes them.

use std::collections::HashMap;
use std::path::PathBuf;

use zbus::proxy::MethodFlags;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, Proxy};

use super::{CallError, Properties};
use crate::join::join_all;
use crate::model::{Action, Signal, UnitKind, UnitName, Whom};

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// A manager that can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    proxy: Proxy<'static>,
    connection: Connection,
}

/// One line of `ListUnitsByPatterns`.
#[derive(Debug, Clone)]
pub(crate) struct ListedUnit {
    pub(crate) name: UnitName,
    pub(crate) load_state: String,
}

/// The wire form of the same: (ssssssouso).
type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

impl Manager {
    /// The manager on this bus. Does not call it yet.
    pub(crate) async fn new(connection: Connection) -> Result<Self, CallError> {
        let proxy = zbus::proxy::Builder::new(&connection)
            .destination(NAME)
            .path(PATH)
            .interface(INTERFACE)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await?;
        Ok(Self { proxy, connection })
    }

    /// The connection, for signals and for other services on the same bus.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn proxy(&self) -> &Proxy<'static> {
        &self.proxy
    }

    /// Without a subscriber a manager sends no signals; the subscription ends with the connection.
    pub(super) async fn subscribe(&self) -> Result<(), CallError> {
        match self.call::<_, ()>("Subscribe", &()).await {
            Err(error) if error.short_name() != "AlreadySubscribed" => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) async fn call<B, R>(&self, method: &'static str, body: &B) -> Result<R, CallError>
    where
        B: serde::Serialize + zbus::DynamicType,
        R: for<'d> zbus::wire::DynamicDeserialize<'d>,
    {
        self.proxy.call(method, body).await.map_err(CallError::from)
    }

    /// `call`, and a password may be asked for if `interactive`. Without the timeout of other
    /// calls then: a person types.
    async fn call_as<B, R>(&self, method: &'static str, interactive: bool, body: &B) -> Result<R, CallError>
    where
        B: serde::Serialize + zbus::DynamicType,
        R: for<'d> zbus::wire::DynamicDeserialize<'d>,
    {
        if !interactive {
            return self.call(method, body).await;
        }
        let reply = self.proxy.call_with_flags(method, MethodFlags::ALLOW_INTERACTIVE_AUTH, body).await?;
        reply.ok_or_else(|| CallError::Lost("no reply".to_owned()))
    }

    /// A property of the manager itself.
    pub(crate) async fn property(&self, name: &str) -> Result<OwnedVariant, CallError> {
        self.get(PATH, "org.freedesktop.DBus.Properties", INTERFACE, name).await
    }

    pub(super) async fn get(
        &self,
        path: &str,
        interface: &str,
        of: &str,
        name: &str,
    ) -> Result<OwnedVariant, CallError> {
        let reply = self.connection.call_method(Some(NAME), path, Some(interface), "Get", &(of, name)).await?;
        reply.body().deserialize().map_err(CallError::from)
    }

    /// `Version`, as "252.39-1~deb12u1".
    pub(crate) async fn version(&self) -> Result<String, CallError> {
        let version = self.property("Version").await?;
        Ok(<&str>::try_from(&version).unwrap_or_default().to_owned())
    }

    /// Every property that all units have, and those named of the unit's own kind. A unit that is
    /// not loaded is loaded for it, and one that does not exist answers with `LoadState` not-found.
    pub(crate) async fn unit_properties(&self, unit: &UnitName, of_kind: &[&str]) -> Result<Properties, CallError> {
        let path = unit.object_path();
        let kind = interface_of(unit.kind());
        let interface = "org.freedesktop.DBus.Properties";
        let common = async {
            let arguments = &("org.freedesktop.systemd1.Unit",);
            let reply = self.connection.call_method(Some(NAME), path.as_str(), Some(interface), "GetAll", arguments);
            let all: HashMap<String, OwnedVariant> = reply.await?.body().deserialize()?;
            Ok::<_, CallError>(all)
        };
        let one = |name: &str| {
            let (path, kind, name) = (path.clone(), kind.clone(), name.to_owned());
            async move { (self.get(&path, interface, &kind, &name).await.ok(), name) }
        };
        let (all, own) = tokio::join!(common, join_all(of_kind.iter().map(|name| one(name))));
        let mut all = all?;
        // What this kind has not is left out.
        all.extend(own.into_iter().filter_map(|(value, name)| Some((name, value?))));
        Ok(Properties(all))
    }

    /// One property of a unit, of its common interface.
    pub(crate) async fn unit_property(&self, unit: &UnitName, name: &str) -> Result<OwnedVariant, CallError> {
        let path = unit.object_path();
        self.get(&path, "org.freedesktop.DBus.Properties", "org.freedesktop.systemd1.Unit", name).await
    }

    /// `ActiveState` of a unit.
    pub(crate) async fn active_state(&self, unit: &UnitName) -> Result<String, CallError> {
        let state = self.unit_property(unit, "ActiveState").await?;
        Ok(<&str>::try_from(&state).unwrap_or_default().to_owned())
    }

    /// `Listen` of a socket unit: (kind, address) of each.
    pub(crate) async fn socket_addresses(&self, socket: &UnitName) -> Result<Vec<(String, String)>, CallError> {
        let path = socket.object_path();
        let interface = "org.freedesktop.DBus.Properties";
        let value = self.get(&path, interface, "org.freedesktop.systemd1.Socket", "Listen").await?;
        Vec::<(String, String)>::try_from(value).map_err(CallError::from)
    }

    /// The unit of a process, by its cgroup (`GetUnitByPID`). It can be a slice: never act on that.
    pub(crate) async fn unit_by_pid(&self, pid: u32) -> Result<UnitName, CallError> {
        let path: OwnedObjectPath = self.call("GetUnitByPID", &(pid,)).await?;
        let reply = self
            .connection
            .call_method(
                Some(NAME),
                path.as_str(),
                Some("org.freedesktop.DBus.Properties"),
                "Get",
                &("org.freedesktop.systemd1.Unit", "Id"),
            )
            .await?;
        let id: OwnedVariant = reply.body().deserialize()?;
        let id = <&str>::try_from(&id).unwrap_or_default();
        id.parse().map_err(|error: crate::model::Malformed| CallError::Lost(error.to_string()))
    }

    /// `GetUnitProcesses`: (cgroup, pid, command line) of each.
    pub(crate) async fn unit_processes(&self, unit: &UnitName) -> Result<Vec<(String, u32, String)>, CallError> {
        self.call("GetUnitProcesses", &(unit.as_str(),)).await
    }

    /// The loaded units in these states (all if empty) whose names match one of these globs (all if empty).
    pub(crate) async fn list(&self, states: &[&str], patterns: &[&str]) -> Result<Vec<ListedUnit>, CallError> {
        let listed: Vec<Listed> = self.call("ListUnitsByPatterns", &(states, patterns)).await?;
        let unit = |u: Listed| Some(ListedUnit { name: u.0.parse().ok()?, load_state: u.2 });
        Ok(listed.into_iter().filter_map(unit).collect())
    }

    /// The unit files whose names match one of these globs: (path, state).
    pub(crate) async fn list_files(&self, patterns: &[&str]) -> Result<Vec<(PathBuf, String)>, CallError> {
        let none: &[&str] = &[];
        let files: Vec<(String, String)> = self.call("ListUnitFilesByPatterns", &(none, patterns)).await?;
        Ok(files.into_iter().map(|(path, state)| (PathBuf::from(path), state)).collect())
    }

    /// Queues a job of a unit, mode `replace`, and returns its object path.
    pub(crate) async fn queue(
        &self,
        unit: &UnitName,
        action: Action,
        interactive: bool,
    ) -> Result<OwnedObjectPath, CallError> {
        tracing::info!(%unit, %action, interactive, "asking systemd");
        self.job_call(unit, action, "replace", interactive).await
    }

    async fn job_call(
        &self,
        unit: &UnitName,
        action: Action,
        mode: &str,
        interactive: bool,
    ) -> Result<OwnedObjectPath, CallError> {
        let method = match action {
            Action::Start => "StartUnit",
            Action::Stop => "StopUnit",
            Action::Restart => "RestartUnit",
            Action::Reload => "ReloadUnit",
            Action::Kill => return Err(CallError::Lost("kill is no job".to_owned())),
        };
        self.call_as(method, interactive, &(unit.as_str(), mode)).await
    }

    /// `KillUnit`.
    pub(crate) async fn kill(
        &self,
        unit: &UnitName,
        whom: Whom,
        signal: Signal,
        interactive: bool,
    ) -> Result<(), CallError> {
        tracing::info!(%unit, %signal, whom = whom.as_str(), interactive, "asking systemd to send");
        self.call_as("KillUnit", interactive, &(unit.as_str(), whom.as_str(), signal.number())).await
    }

    /// A call for this action that the manager refuses only after it has authorised it, so that its
    /// error tells whether it would have been allowed; the unit is untouched. The mode `isolate` is
    /// for starts only, `triggering` for stops only, and both are looked at after polkit was
    /// asked; `KillUnit` of the control process of a unit that has none finds nothing to signal.
    pub(crate) async fn ask(&self, unit: &UnitName, action: Action) -> Result<(), CallError> {
        tracing::info!(%unit, %action, "asking whether it would be allowed");
        match action {
            Action::Start => self.job_call(unit, action, "triggering", false).await.map(drop),
            Action::Stop | Action::Restart | Action::Reload => {
                self.job_call(unit, action, "isolate", false).await.map(drop)
            }
            Action::Kill => self.call("KillUnit", &(unit.as_str(), "control", Signal::CONT.number())).await,
        }
    }
}

/// The interface of a kind of units, as org.freedesktop.systemd1.Service.
fn interface_of(kind: UnitKind) -> String {
    let mut name = kind.suffix().to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("org.freedesktop.systemd1.{name}")
}
