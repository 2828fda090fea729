//! The manager and the buses that an install speaks to.

use std::path::PathBuf;
use std::time::Duration;

use zbus::connection::Builder;
use zbus::{Connection, OwnedObjectPath, OwnedVariant};

use super::UNIT;
use super::log::{Log, Outcome};
use crate::act::ActError;
use crate::api::dbus::{NAME, PATH};
use crate::control::DaemonFacts;
use crate::error::Error;
use crate::model::{Instance, Polkit, UnitName};
use crate::systemd::{self, CallError, Jobs, Manager};

/// The bus of the system, whatever the environment says: it was root's to choose, not the caller's.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

const INTERFACE: &str = "org.provost.Provost1.Manager";

/// Time for a daemon that has much to take over.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Whom an install speaks to.
pub(super) struct Host {
    bus: Result<Connection, String>,
    manager: Result<Manager, String>,
}

/// The bus of an instance: the system's at its fixed place, or the user's own.
pub(super) async fn bus_of(instance: Instance, uid: u32) -> Result<Connection, CallError> {
    if instance == Instance::User {
        let path = systemd::user_bus_path(uid, crate::observe::env("XDG_RUNTIME_DIR").as_deref());
        return systemd::connect_user(&path, uid, uid).await;
    }
    let connect = Builder::address(SYSTEM_BUS).method_timeout(TIMEOUT).build();
    Ok(tokio::time::timeout(Duration::from_secs(5), connect).await.map_err(|_| CallError::Timeout)??)
}

/// Where one of the system's own programs is; never where the PATH of the caller leads.
pub(super) fn system_program(name: &str) -> Option<PathBuf> {
    // The last one: NixOS.
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/run/wrappers/bin", "/run/current-system/sw/bin"];
    folders.iter().map(|dir| PathBuf::from(dir).join(name)).find(|path| path.is_file())
}

impl Host {
    /// Connects to what there is.
    pub(super) async fn connect(instance: Instance, uid: u32) -> Self {
        let bus = bus_of(instance, uid).await;
        let manager = match &bus {
            Ok(bus) => match Manager::new(bus.clone()).await {
                // A bus alone is no manager.
                Ok(manager) => manager.version().await.map(|_| manager).map_err(|e| e.to_string()),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        Self { bus: bus.map_err(|e| e.to_string()), manager }
    }

    pub(super) fn manager(&self) -> Option<&Manager> {
        self.manager.as_ref().ok()
    }

    pub(super) fn why_no_manager(&self) -> &str {
        self.manager.as_ref().err().map_or("", String::as_str)
    }

    /// The folders where the manager looks for units; none if there is no manager.
    pub(super) async fn unit_path(&self) -> Vec<PathBuf> {
        let Some(manager) = self.manager() else { return Vec::new() };
        let path = manager.property("UnitPath").await.ok().and_then(|path| Vec::<String>::try_from(path).ok());
        path.unwrap_or_default().into_iter().map(PathBuf::from).collect()
    }

    /// polkit's version, as it says it itself.
    pub(super) async fn polkit_version(&self) -> Option<Polkit> {
        let bus = self.bus.as_ref().ok()?;
        let (name, path) = ("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority");
        let version: String =
            property(bus, name, path, "org.freedesktop.PolicyKit1.Authority", "BackendVersion").await?;
        Some(Polkit::Version(version))
    }

    /// Whether the daemon's unit runs.
    pub(super) async fn is_active(&self) -> bool {
        let Some(manager) = self.manager() else { return true };
        let Ok(unit) = UNIT.parse::<UnitName>() else { return false };
        manager
            .active_state(&unit)
            .await
            .is_ok_and(|state| matches!(state.as_str(), "active" | "reloading" | "activating"))
    }

    /// Whether services run that a daemon started as units.
    pub(super) async fn runs_services(&self, instance: Instance) -> bool {
        let Some(manager) = self.manager() else { return false };
        let states = ["active", "activating", "reloading", "deactivating"];
        let listed = manager.list(&states, &["provost-*.service"]).await.unwrap_or_default();
        let slice = slice_of(instance);
        for unit in listed {
            let of = manager.unit_properties(&unit.name, &["Slice"]).await;
            if of.is_ok_and(|of| of.string("Slice") == slice.as_str()) {
                return true;
            }
        }
        false
    }

    /// Has the manager and the bus read their files again.
    pub(super) async fn reload(&self, log: &mut Log<'_>) -> Result<(), Error> {
        let failed = |what: &str, e: zbus::Error| Error::Unreachable(format!("{what}: {}", CallError::from(e)));
        if let Some(manager) = self.manager() {
            if !log.dry {
                call(manager, "Reload", &()).await.map_err(|e| failed("reloading the manager", e))?;
            }
            log.step("manager", "units", Outcome::Reloaded, "");
        }
        if let Ok(bus) = &self.bus {
            if !log.dry {
                let name = "org.freedesktop.DBus";
                let reply = bus.call_method(Some(name), "/org/freedesktop/DBus", Some(name), "ReloadConfig", &()).await;
                reply.map_err(|e| failed("reloading the bus", e))?;
            }
            log.step("bus", "names that start a unit, and who may speak", Outcome::Reloaded, "");
        }
        Ok(())
    }

    /// What the system's daemon says of itself where everybody reaches it; it is started for that.
    pub(super) async fn daemon_on_bus(&self) -> Result<DaemonFacts, Error> {
        let bus = self.bus.as_ref().map_err(|e| Error::Unreachable(e.clone()))?;
        let get = async |name: &str| property::<OwnedVariant>(bus, NAME, PATH, INTERFACE, name).await;
        let silent = || Error::Unreachable(format!("{NAME} does not answer on the system bus: 'journalctl -u {UNIT}'"));
        let text = |value: &OwnedVariant| <&str>::try_from(value).unwrap_or_default().to_owned();
        let pid = get("Pid").await.ok_or_else(silent)?;
        Ok(DaemonFacts {
            version: text(&get("Version").await.ok_or_else(silent)?),
            instance_id: text(&get("InstanceId").await.ok_or_else(silent)?),
            backend: text(&get("Backend").await.ok_or_else(silent)?),
            pid: u32::try_from(&pid).unwrap_or_default(),
            config_errors: Vec::new(),
        })
    }
}

async fn property<T: TryFrom<OwnedVariant>>(
    bus: &Connection,
    name: &str,
    path: &str,
    of: &str,
    property: &str,
) -> Option<T> {
    let interface = "org.freedesktop.DBus.Properties";
    let reply = bus.call_method(Some(name), path, Some(interface), "Get", &(of, property)).await;
    let value: OwnedVariant =
        reply.inspect_err(|e| tracing::info!("{name} {property}: {e}")).ok()?.body().deserialize().ok()?;
    T::try_from(value).ok()
}

/// Whether the unit starts by itself.
pub(super) async fn is_enabled(manager: &Manager) -> bool {
    let reply = call(manager, "GetUnitFileState", &(UNIT,)).await;
    reply.and_then(|reply| reply.body().deserialize::<String>()).is_ok_and(|state| state == "enabled")
}

/// Has the unit start by itself.
pub(super) async fn enable(manager: &Manager, log: &mut Log<'_>) -> Result<(), Error> {
    if log.dry {
        let outcome = if is_enabled(manager).await { Outcome::Unchanged } else { Outcome::Enabled };
        log.step("unit", UNIT, outcome, "");
        return Ok(());
    }
    let reply = call(manager, "EnableUnitFiles", &(vec![UNIT], false, false)).await;
    let (_, changes): (bool, Vec<(String, String, String)>) =
        reply.and_then(|reply| reply.body().deserialize()).map_err(|e| failed("enabling", e))?;
    let outcome = if changes.is_empty() { Outcome::Unchanged } else { Outcome::Enabled };
    log.step("unit", UNIT, outcome, "");
    Ok(())
}

/// Takes that back.
pub(super) async fn disable(manager: &Manager, log: &mut Log<'_>) -> Result<(), Error> {
    if !log.dry {
        call(manager, "DisableUnitFiles", &(vec![UNIT], false)).await.map_err(|e| failed("disabling", e))?;
    }
    log.step("unit", UNIT, Outcome::Disabled, "");
    Ok(())
}

/// Where the services of an instance are.
pub(super) fn slice_of(instance: Instance) -> UnitName {
    let name = if instance == Instance::System { "provost.slice" } else { "app-provost.slice" };
    name.parse().unwrap_or_else(|_| unreachable!("{name} is a name"))
}

/// A job of a unit, to its end.
pub(super) async fn job(manager: &Manager, unit: &str, method: &str) -> Result<(), Error> {
    let lost = |e: CallError| Error::Unreachable(format!("the manager of {UNIT}: {e}"));
    let jobs = Jobs::listen(manager).await.map_err(lost)?;
    let reply = call(manager, method, &(unit, "replace")).await.map_err(|e| failed(method, e))?;
    let job: OwnedObjectPath = reply.body().deserialize().map_err(|e| failed(method, e))?;
    let outcome = jobs.wait(&job).await.map_err(lost)?;
    if outcome.is_success() {
        return Ok(());
    }
    let unit = UNIT.parse()?;
    let said = manager.unit_properties(&unit, &["StatusText"]).await.map(|all| all.string("StatusText"));
    let said = said.ok().filter(|said| !said.is_empty()).unwrap_or_else(|| format!("the job {}", outcome.0));
    Err(Error::Act(ActError::Failed(format!("{UNIT} did not start: {said}; its log: 'journalctl -u {UNIT}'"))))
}

fn failed(doing: &str, error: zbus::Error) -> Error {
    Error::Act(ActError::Failed(format!("{doing} {UNIT}: {}", CallError::from(error))))
}

async fn call<B: serde::Serialize + zbus::DynamicType>(
    manager: &Manager,
    method: &str,
    body: &B,
) -> zbus::Result<zbus::Message> {
    let (name, path) = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1");
    manager.connection().call_method(Some(name), path, Some("org.freedesktop.systemd1.Manager"), method, body).await
}
