//! What is left over: units of services that nobody knows, records that cannot be read, sockets
//! that nobody serves.

use std::os::unix::net::UnixStream;

use super::Check;
use crate::model::Instance;
use crate::observe::Observer;
use crate::paths::Places;
use crate::registry::Store;

const NAME: &str = "leftovers";

pub(super) async fn checks(observer: &Observer, instance: Instance) -> Vec<Check> {
    let uid = observer.caller().uid;
    // The system's are for root to see.
    let Some(places) = Places::of(instance, uid).filter(|_| instance == Instance::User || uid == 0) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let mut known: Vec<String> = Vec::new();
    match Store::at(&places).look() {
        Ok(loaded) => {
            known.extend(loaded.records.iter().map(|record| format!("provost-{}.service", record.spec.id)));
            all.extend(loaded.damaged.iter().map(|damaged| {
                Check::warning(
                    NAME,
                    damaged.to_string(),
                    "look at it, then remove it; the service may run: provost orphans",
                )
            }));
        }
        Err(error) => {
            all.push(Check::problem(NAME, error.to_string(), format!("ls -la {}", places.registry().display())))
        }
    }
    let manager = match instance {
        Instance::System => observer.bus().system().await,
        Instance::User => observer.bus().user(uid).await,
    };
    let slice = if instance == Instance::System { "provost.slice" } else { "app-provost.slice" };
    if let Ok(manager) = manager {
        for unit in manager.list(&["active", "failed"], &["provost-*.service"]).await.unwrap_or_default() {
            let of = manager.unit_properties(&unit.name, &["Slice"]).await;
            if of.is_ok_and(|of| of.string("Slice") == slice) && !known.iter().any(|name| name == unit.name.as_str()) {
                let found = format!("{} runs, and no record knows it", unit.name);
                all.push(Check::warning(NAME, found, format!("systemctl --{instance} stop {}", unit.name)));
            }
        }
    }
    let socket = places.socket();
    let refused = UnixStream::connect(&socket).is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused);
    if refused {
        let found = format!("{} is served by nobody: a daemon was killed; the next one replaces it", socket.display());
        all.push(Check::without_cure(NAME, found));
    }
    if all.is_empty() {
        all.push(Check::ok(NAME, "none"));
    }
    all
}
