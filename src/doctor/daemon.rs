//! The daemon: whether it runs, and which.

use super::Check;
use super::mend::as_root;
use crate::control::Control;
use crate::install::UNIT;
use crate::model::{Instance, UnitName};
use crate::observe::Observer;

const NAME: &str = "daemon";

pub(super) async fn checks(observer: &Observer, instance: Instance) -> Vec<Check> {
    let mut all = Vec::new();
    let unit = unit(observer, instance).await;
    let uid = observer.caller().uid;
    let systemctl = |words: &str| {
        let command = format!("systemctl --{instance} {words}");
        if instance == Instance::System { as_root(uid, &command) } else { command }
    };
    if let Some(unit) = &unit {
        if unit.load == "masked" {
            let mend = systemctl(&format!("unmask {UNIT}"));
            all.push(Check::problem(NAME, format!("{UNIT} is masked: nothing can start it"), mend));
            return all;
        }
        if unit.active == "failed" {
            let found = format!("{UNIT} has failed: {} ('journalctl --{instance} -u {UNIT}' says why)", unit.said);
            all.push(Check::problem(NAME, found, systemctl(&format!("restart {UNIT}"))));
            return all;
        }
        if unit.is_stale {
            let found = format!("{UNIT} was changed, and the manager has not read it");
            all.push(Check::warning("unit", found, systemctl("daemon-reload")));
        } else if unit.load == "loaded" {
            all.push(Check::ok("unit", format!("{UNIT}, as the manager has read it")));
        }
    }
    // Another user's question must not start it.
    if instance == Instance::System && uid != 0 && unit.as_ref().is_some_and(|unit| unit.active != "active") {
        all.push(Check::ok(NAME, "does not run now; it is started when it is needed"));
        return all;
    }
    match Control::connect(instance).await {
        Ok(Some(control)) => match control.facts().await {
            Ok(facts) if facts.version == env!("CARGO_PKG_VERSION") => {
                all.push(Check::ok(NAME, format!("runs as pid {}, backend {}", facts.pid, facts.backend)));
            }
            Ok(facts) => {
                let found = format!(
                    "version {} runs as pid {}, and this is {}",
                    facts.version,
                    facts.pid,
                    env!("CARGO_PKG_VERSION")
                );
                all.push(Check::warning(NAME, found, newer(instance, facts.pid, uid)));
            }
            Err(error) => {
                let mend = systemctl(&format!("restart {UNIT}"));
                all.push(Check::problem(NAME, format!("runs, and does not answer: {error}"), mend));
            }
        },
        Ok(None) => all.push(match unit {
            Some(unit) if unit.is_enabled => Check::ok(NAME, "does not run now; it is started when it is needed"),
            _ => Check::ok(NAME, "does not run, and is not installed: it is started by 'provost up' and 'provost run'"),
        }),
        Err(error) => {
            all.push(Check::problem(NAME, error.to_string(), systemctl(&format!("restart {UNIT}"))));
        }
    }
    all
}

/// What brings a daemon of another version to this one: it may run another program than this.
fn newer(instance: Instance, pid: u32, uid: u32) -> String {
    let own = crate::control::own_program().unwrap_or_default();
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).map(|exe| exe.display().to_string()).unwrap_or_default();
    if !exe.is_empty() && exe.trim_end_matches(" (deleted)") != own {
        return format!("{} install --{instance}", crate::text::shell_quote(&own));
    }
    let command = format!("provost daemon restart --{instance}");
    if instance == Instance::System { as_root(uid, &command) } else { command }
}

/// The daemon's unit.
struct Unit {
    active: String,
    load: String,
    /// `StatusText` or `Result`.
    said: String,
    is_enabled: bool,
    /// Its file was changed since it was read.
    is_stale: bool,
}

async fn unit(observer: &Observer, instance: Instance) -> Option<Unit> {
    let manager = match instance {
        Instance::System => observer.bus().system().await,
        Instance::User => observer.bus().user(observer.caller().uid).await,
    };
    let name: UnitName = UNIT.parse().ok()?;
    let of = manager.ok()?.unit_properties(&name, &["StatusText", "Result"]).await.ok()?;
    let said = [of.string("StatusText"), of.string("Result")].into_iter().find(|text| !text.is_empty());
    Some(Unit {
        active: of.string("ActiveState"),
        load: of.string("LoadState"),
        said: said.unwrap_or_default(),
        is_enabled: of.string("UnitFileState") == "enabled",
        is_stale: of.bool("NeedDaemonReload"),
    })
}
