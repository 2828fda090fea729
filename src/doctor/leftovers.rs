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
                let aside = damaged.aside.as_ref().unwrap_or(&damaged.path).display().to_string();
                let found = format!("{damaged}; its service may run: provost orphans --{instance}");
                let look = if damaged.useless { "rm" } else { "ls -ld" };
                Check::warning(NAME, found, format!("{look} {}", crate::text::shell_quote(&aside)))
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
                let found = format!("{} is there, and no record knows it", unit.name);
                let (manager, name) = (format!("systemctl --{instance}"), &unit.name);
                all.push(Check::warning(NAME, found, format!("{manager} stop {name}; {manager} reset-failed {name}")));
            }
        }
    }
    let socket = places.socket();
    let refused = UnixStream::connect(&socket).is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused);
    if refused {
        let found = format!("{} is served by nobody: a daemon was killed; the next one replaces it", socket.display());
        all.push(Check::warning(
            NAME,
            found,
            format!("rm {}", crate::text::shell_quote(&socket.display().to_string())),
        ));
    }
    all.extend(files(&places, &known));
    if all.is_empty() {
        all.push(Check::ok(NAME, "none"));
    }
    all
}

/// Pid files and variables of services that no record knows.
fn files(places: &Places, known: &[String]) -> Vec<Check> {
    let below = |dir: &std::path::Path| {
        let all = std::fs::read_dir(dir).into_iter().flatten().flatten();
        all.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path())
    };
    let pids = below(&places.runtime).filter(|path| path.extension().is_some_and(|kind| kind == "pid"));
    let id = |path: &std::path::Path| {
        let name = path.file_name()?.to_str()?;
        Some(name.strip_suffix(".pid").filter(|_| path.parent() == Some(&places.runtime)).unwrap_or(name).to_owned())
    };
    let of_nobody = |path: &std::path::PathBuf| {
        id(path).is_some_and(|id| !known.iter().any(|name| *name == format!("provost-{id}.service")))
    };
    let left = pids.chain(below(&places.runtime.join("env"))).filter(of_nobody);
    left.map(|path| {
        let name = path.display().to_string();
        let found = format!("{name} is of a service that no record knows");
        Check::warning(NAME, found, format!("rm {}", crate::text::shell_quote(&name)))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_services_that_nobody_knows_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::below(dir.path());
        let env = places.runtime.join("env");
        std::fs::create_dir_all(&env).unwrap();
        for path in ["a.pid", "b.pid", "daemon.lock", "env/a", "env/c.pid"] {
            std::fs::write(places.runtime.join(path), "").unwrap();
        }
        let found = files(&places, &["provost-a.service".to_owned()]);
        let mut named: Vec<String> = found.into_iter().filter_map(|check| check.mend).collect();
        named.sort_unstable();
        let expected = [places.runtime.join("b.pid"), env.join("c.pid")];
        let expected = expected.map(|path| format!("rm {}", path.display()));
        assert_eq!(named, expected);
    }
}
