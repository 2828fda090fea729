//! The daemon as a unit: an installed one if there is one, else a transient one.

use zbus::{OwnedObjectPath, Variant};

use super::{How, command, failed};
use crate::error::Error;
use crate::model::Instance;
use crate::systemd::{self, CallError, Jobs, Manager};

const UNIT: &str = "provost.service";

/// Within this time the daemon says that it lives, in microseconds.
const WATCHDOG: u64 = 60_000_000;
/// After this time one that failed is started again, in microseconds.
const RESTART: u64 = 1_000_000;

/// Variables that say where things are, so that the daemon keeps them where its caller looks.
const PLACES: [&str; 3] = ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"];

/// The manager that would run it: the user's own, the system's for root.
pub(super) async fn manager(instance: Instance, uid: u32) -> Option<Manager> {
    let connection = if instance == Instance::System {
        if !crate::observe::is_booted_by_systemd() {
            return None;
        }
        systemd::connect_system().await
    } else {
        let dir = crate::observe::env("XDG_RUNTIME_DIR");
        let path = systemd::user_bus_path(uid, dir.as_deref());
        if !path.exists() {
            return None;
        }
        systemd::connect_user(&path, uid, uid).await
    };
    let manager = match connection {
        Ok(connection) => Manager::new(connection).await,
        Err(error) => Err(error),
    };
    // A bus alone is no manager.
    match manager {
        Ok(manager) => manager.version().await.ok().map(|_| manager),
        Err(error) => {
            tracing::info!("no manager to start the daemon: {error}");
            None
        }
    }
}

/// Starts it, and returns when it has said that it is ready.
pub(super) async fn start(manager: &Manager, instance: Instance, exe: &str) -> Result<How, Error> {
    let how = How::Unit(UNIT.to_owned());
    let unreachable = |e: CallError| Error::Unreachable(format!("the manager of {UNIT}: {e}"));
    let jobs = Jobs::listen(manager).await.map_err(unreachable)?;
    let unit = UNIT.parse()?;
    let loaded = manager.unit_property(&unit, "LoadState").await.map_err(unreachable)?;
    let loaded = <&str>::try_from(&loaded).unwrap_or_default().to_owned();
    let mut made = loaded == "not-found";
    let mut job = if made { transient(manager, instance, exe).await } else { queue(manager).await };
    if let Err(error) = &job
        && error.short_name() == "UnitExists"
    {
        // Somebody else was faster, or a failed one is still loaded.
        (made, job) = (false, queue(manager).await);
    }
    let job = job.map_err(|e| failed(&e.to_string(), instance, &how))?;
    let outcome = jobs.wait(&job).await.map_err(unreachable)?;
    if outcome.is_success() {
        return Ok(how);
    }
    // Why, it has said as its last status; its journal not everybody may read.
    let said = manager.unit_properties(&unit, &["StatusText"]).await.map(|all| all.string("StatusText"));
    let why = said.ok().filter(|said| !said.is_empty());
    // Nothing was left to it: whoever asked is told, and may ask again.
    if made && let Err(error) = call(manager, "StopUnit", &(UNIT, "replace")).await {
        tracing::info!("{UNIT} is still tried: {error}");
    }
    Err(failed(&why.unwrap_or_else(|| format!("the start job {}", outcome.0)), instance, &how))
}

async fn queue(manager: &Manager) -> Result<OwnedObjectPath, CallError> {
    call(manager, "StartUnit", &(UNIT, "replace")).await
}

async fn transient(manager: &Manager, instance: Instance, exe: &str) -> Result<OwnedObjectPath, CallError> {
    // A dollar would be expanded.
    let argv: Vec<String> = command(exe, instance).iter().map(|word| word.replace('$', "$$")).collect();
    let places = PLACES.iter().filter_map(|name| Some(format!("{name}={}", crate::observe::env(name)?)));
    // KillMode, OOMPolicy and Delegate: services of the direct backend live in its control group,
    // and must outlive it.
    let properties: Vec<(&str, Variant<'_>)> = vec![
        ("Description", Variant::from("provost, supervisor of services")),
        ("ExecStart", Variant::from(vec![(exe, argv, false)])),
        ("Type", Variant::from("notify")),
        // As in the unit that is installed: one that hangs is replaced, and takes over what runs; one that
        // cannot start is started again until it can.
        ("Restart", Variant::from("on-failure")),
        ("RestartUSec", Variant::from(RESTART)),
        ("StartLimitIntervalUSec", Variant::from(0u64)),
        ("WatchdogUSec", Variant::from(WATCHDOG)),
        ("KillMode", Variant::from("process")),
        ("OOMPolicy", Variant::from("continue")),
        ("Delegate", Variant::from(true)),
        ("CollectMode", Variant::from("inactive-or-failed")),
        ("Environment", Variant::from(places.collect::<Vec<String>>())),
    ];
    let none: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
    call(manager, "StartTransientUnit", &(UNIT, "fail", properties, none)).await
}

async fn call<B: serde::Serialize + zbus::DynamicType>(
    manager: &Manager,
    method: &str,
    body: &B,
) -> Result<OwnedObjectPath, CallError> {
    let (name, path) = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1");
    let interface = Some("org.freedesktop.systemd1.Manager");
    let reply = manager.connection().call_method(Some(name), path, interface, method, body).await?;
    reply.body().deserialize().map_err(CallError::from)
}
