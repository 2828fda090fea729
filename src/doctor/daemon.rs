//! The daemon: whether it runs, and which.

use super::Check;
use crate::control::Control;
use crate::install::UNIT;
use crate::model::{Instance, UnitName};
use crate::observe::Observer;

const NAME: &str = "daemon";

pub(super) async fn checks(observer: &Observer, instance: Instance) -> Vec<Check> {
    let mut all = Vec::new();
    let unit = unit(observer, instance).await;
    if let Some(failed) = unit.as_ref().filter(|unit| unit.0 == "failed") {
        let found = format!("{UNIT} has failed: {}", failed.1);
        all.push(Check::problem(
            NAME,
            found,
            format!("journalctl --{instance} -u {UNIT}; systemctl --{instance} restart {UNIT}"),
        ));
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
                all.push(Check::warning(NAME, found, format!("provost daemon restart --{instance}")));
            }
            Err(error) => {
                let mend = format!("systemctl --{instance} restart {UNIT}");
                all.push(Check::problem(NAME, format!("runs, and does not answer: {error}"), mend));
            }
        },
        Ok(None) => all.push(match unit {
            Some((_, _, enabled)) if enabled => Check::ok(NAME, "does not run now; it is started when it is needed"),
            _ => Check::ok(NAME, "does not run, and is not installed: it is started by 'provost up' and 'provost run'"),
        }),
        Err(error) => {
            all.push(Check::problem(NAME, error.to_string(), format!("systemctl --{instance} restart {UNIT}")))
        }
    }
    all
}

/// `ActiveState`, `StatusText` or `Result`, and whether the unit is enabled.
async fn unit(observer: &Observer, instance: Instance) -> Option<(String, String, bool)> {
    let manager = match instance {
        Instance::System => observer.bus().system().await,
        Instance::User => observer.bus().user(observer.caller().uid).await,
    };
    let name: UnitName = UNIT.parse().ok()?;
    let of = manager.ok()?.unit_properties(&name, &["StatusText", "Result"]).await.ok()?;
    let said = [of.string("StatusText"), of.string("Result")].into_iter().find(|text| !text.is_empty());
    Some((of.string("ActiveState"), said.unwrap_or_default(), of.string("UnitFileState") == "enabled"))
}
