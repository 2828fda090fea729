//! Services that belong to another instance than the one that is asked.

use std::path::Path;

use crate::gather::Arrange as _;
use crate::model::ServiceId;
use crate::observe::{Observer, env};

/// The same id among the services of somebody else, in a sentence. Only looks, and only where the
/// caller could look anyway: at the units that services have.
pub(crate) async fn belongs_elsewhere(observer: &Observer, id: &ServiceId) -> Option<String> {
    let caller = observer.caller();
    let unit = format!("provost-{id}.service").parse().ok()?;
    if !caller.is_root() {
        let manager = observer.bus().system().await.ok()?;
        let state = manager.active_state(&unit).await.ok()?;
        let there = matches!(state.as_str(), "active" | "activating" | "reloading");
        return there.then(|| format!("{id} belongs to the system's instance; add --system"));
    }
    // Who called sudo first, then everybody who runs services just now.
    let called: Option<u32> = env("SUDO_UID").and_then(|uid| uid.parse().ok()).filter(|uid| *uid != 0);
    let running = std::fs::read_dir("/run/user").into_iter().flatten().flatten();
    let mut uids: Vec<u32> = running.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    uids.arrange_by_key(|uid| (Some(*uid) != called, *uid));
    let registered = called.filter(|uid| recorded(*uid, id));
    let whose = match registered {
        Some(uid) => uid,
        None => {
            let mut found = None;
            for uid in uids.into_iter().filter(|uid| *uid != 0).take(64) {
                let Ok(manager) = observer.bus().user(uid).await else { continue };
                if manager.active_state(&unit).await.is_ok_and(|state| state == "active") {
                    found = Some(uid);
                    break;
                }
            }
            found?
        }
    };
    let user = crate::observe::user_name(whose);
    Some(match called {
        Some(uid) if uid == whose => format!("{id} belongs to {user}'s instance; run without sudo"),
        _ => format!("{id} belongs to {user}'s instance; run as {user}"),
    })
}

/// Whether a user's registry, at its usual place, has a record of this id. Nothing is opened, and
/// no link is followed at the end.
fn recorded(uid: u32, id: &ServiceId) -> bool {
    let Ok(Some(user)) = nix::unistd::User::from_uid(uid.into()) else { return false };
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let folder = user.dir.join(".local/state/provost").join(machine.trim()).join("registry");
    exists(&folder, id)
}

fn exists(folder: &Path, id: &ServiceId) -> bool {
    !id.is_glob() && folder.join(format!("{id}.json")).symlink_metadata().is_ok_and(|found| found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("llm.json"), "{}").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.json")).unwrap();
        let has = |id: &str| exists(folder.path(), &id.parse().unwrap());
        assert!(has("llm") && !has("link") && !has("other") && !has("ll*"));
    }
}
