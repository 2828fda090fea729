//! Whether a program is where nobody but its owner could exchange it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// `Ok` if the file and every folder above it belong to root, or to `owner`, and nobody else may
/// write to them; else what is wrong. Links are resolved first: what counts is where they lead.
pub(crate) fn trusted(path: &Path, owner: u32) -> Result<(), String> {
    let real = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    for part in real.ancestors() {
        let found = part.symlink_metadata().map_err(|error| format!("{}: {error}", part.display()))?;
        if found.uid() != 0 && found.uid() != owner {
            return Err(format!("{} belongs to {}", part.display(), crate::observe::user_name(found.uid())));
        }
        // With an access list, its mask stands in the place of the group's bits.
        let group = found.mode() & 0o020 != 0 && found.gid() != 0;
        if group || found.mode() & 0o002 != 0 {
            return Err(format!("{} may be written by others", part.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn one_folder_that_others_may_write_is_enough() {
        assert_eq!(trusted(Path::new("/bin/sh"), 0), Ok(()));
        assert!(trusted(Path::new("/bin/no such program"), 0).is_err());
        // Whatever lies below /tmp can be exchanged by moving a folder of it.
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        std::fs::write(&file, "").unwrap();
        set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert!(trusted(&file, own).unwrap_err().contains("/tmp may be written by others"));
    }
}
