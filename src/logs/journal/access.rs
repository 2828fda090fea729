//! Whether the caller may read the lines of a manager's units: journalctl does not say.
//!
//! What system units and system users write is in `system.journal`. The lines of a person have a
//! file of their own, which that person may read, but only where the journal is kept on disk.

use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::model::Manager;
use crate::observe::user_name;

/// Who is no person for journald (`SYSTEM_UID_MAX`).
const SYSTEM_UID_MAX: u32 = 999;

/// The error says why not, and what to do.
pub(crate) fn access(of: Manager) -> Result<(), String> {
    let uid = rustix::process::geteuid().as_raw();
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    look(of, uid, &Path::new("/var/log/journal").join(id.trim()), &Path::new("/run/log/journal").join(id.trim()))
}

fn look(of: Manager, uid: u32, on_disk: &Path, in_memory: &Path) -> Result<(), String> {
    let readable = |path: PathBuf| rustix::fs::access(&path, Access::READ_OK).is_ok();
    let dirs = [on_disk, in_memory];
    if dirs.iter().any(|dir| readable(dir.join("system.journal"))) {
        return Ok(());
    }
    if !dirs.iter().any(|dir| dir.is_dir()) {
        return Err("this host keeps no journal (Storage=none in journald.conf, or no systemd-journald)".to_owned());
    }
    let join = format!("sudo usermod -aG systemd-journal {}", user_name(uid));
    match of {
        // One that has written nothing yet has no file, and no lines.
        Manager::User(owner) if owner == uid && uid > SYSTEM_UID_MAX && on_disk.is_dir() => Ok(()),
        Manager::User(owner) if owner == uid && uid > SYSTEM_UID_MAX => Err(format!(
            "this host keeps its journal in memory only, and then users may not read even their own lines; \
             {join}, and log in again; or log = {{ file = true }} in the config of the service"
        )),
        Manager::User(owner) if owner != uid => {
            Err(format!("the journal of {} is that user's: read it as {0} or as root", user_name(owner)))
        }
        _ => Err(format!(
            "the journal of system units may be read by root and by members of systemd-journal: {join}, and log in again"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_read_what() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, memory) = (dir.path().join("disk"), dir.path().join("memory"));
        let of = |of: Manager, uid: u32| look(of, uid, &disk, &memory);
        assert!(of(Manager::User(1000), 1000).unwrap_err().contains("keeps no journal"));
        std::fs::create_dir(&memory).unwrap();
        assert!(of(Manager::User(1000), 1000).unwrap_err().contains("in memory only"));
        std::fs::create_dir(&disk).unwrap();
        assert_eq!(of(Manager::User(1000), 1000), Ok(()));
        assert!(of(Manager::User(1001), 1000).unwrap_err().contains("as root"));
        assert!(of(Manager::System, 1000).unwrap_err().contains("usermod"));
        assert!(of(Manager::User(999), 999).unwrap_err().contains("usermod"));
        std::fs::write(disk.join("system.journal"), "").unwrap();
        assert_eq!(of(Manager::System, 1000), Ok(()));
    }
}
