//! Whose a config of the system's instance is: who can write it has programs run as root, so it must
//! be root's alone, and so must the folders that lead there.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The sticky bit: in such a folder nobody replaces what is another's.
const STICKY: u32 = 0o1000;

/// Why this file, which is open, is not to be trusted; by whatever path it was found. `owner` is
/// root, except in tests.
pub(super) fn distrust(file: &File, path: &Path, owner: u32) -> Option<String> {
    let found = match file.metadata() {
        Ok(found) => found,
        Err(error) => return Some(format!("cannot be looked at: {error}")),
    };
    if let Some(why) = loose(&found, owner, false) {
        return Some(format!("{why}; {}", mend(path, &found, owner)));
    }
    let real = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) => return Some(format!("cannot be looked at: {error}")),
    };
    // A link counts where it is and where it leads to.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = match fs::canonicalize(folder) {
        Ok(folder) => folder,
        Err(error) => return Some(format!("its folder cannot be looked at: {error}")),
    };
    let all = real.ancestors().skip(1).chain(folder.ancestors());
    for part in all {
        let found = match fs::metadata(part) {
            Ok(found) => found,
            Err(error) => return Some(format!("its folder {} cannot be looked at: {error}", part.display())),
        };
        // What is directly in a sticky folder may be anybody's, but that was looked at.
        if let Some(why) = loose(&found, owner, true) {
            return Some(format!("its folder {} {why}; {}", part.display(), mend(part, &found, owner)));
        }
    }
    let same = fs::metadata(&real).is_ok_and(|now| (now.dev(), now.ino()) == (found.dev(), found.ino()));
    (!same).then(|| "was replaced while it was read".to_owned())
}

/// Why a folder of the system's instance is not to be used: somebody else could lead it elsewhere.
pub(crate) fn distrusted_folder(folder: &Path) -> Option<String> {
    let real = fs::canonicalize(folder).ok()?;
    let real = real.ancestors();
    real.chain(folder.ancestors().skip(1)).find_map(|part| {
        let found = fs::metadata(part).ok()?;
        let why = loose(&found, 0, part != folder)?;
        // What others share is as it is to be, and is not to be changed for this.
        let own = part.components().any(|name| name.as_os_str() == "provost") && found.mode() & STICKY == 0;
        let mend = if own { mend(part, &found, 0) } else { "take another folder".to_owned() };
        Some(format!("{} {why}; {mend}", part.display()))
    })
}

fn loose(found: &Metadata, owner: u32, folder: bool) -> Option<String> {
    // What root has is as good everywhere.
    if found.uid() != owner && found.uid() != 0 {
        let whose = crate::observe::user_name(found.uid());
        return Some(format!("belongs to {whose}, who could have any program run as root by it"));
    }
    let sticky = folder && found.mode() & STICKY != 0;
    let others = found.mode() & 0o022 != 0 && !sticky;
    others.then(|| "can be written by others than root, who could have any program run as root by it".to_owned())
}

fn mend(path: &Path, found: &Metadata, owner: u32) -> String {
    let path = crate::text::shell_quote(&path.to_string_lossy());
    match found.uid() == owner || found.uid() == 0 {
        true => format!("'chmod go-w {path}' mends that"),
        false => format!("'chown root:root {path}' mends that, once it was read through"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn shared_folders_stay_as_they_are() {
        let root = tempfile::tempdir().unwrap();
        let (own, shared) = (root.path().join("provost"), root.path().join("shared"));
        for (folder, mode) in [(&own, 0o777), (&shared, 0o777), (&own.join("x"), 0o1777)] {
            fs::create_dir(folder).unwrap();
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        }
        let advises = |folder: &Path| distrusted_folder(folder).unwrap().contains("' mends that");
        assert_eq!([&own, &shared, &own.join("x")].map(|folder| advises(folder)), [true, false, false]);
        assert!(distrusted_folder(Path::new("/tmp")).is_some_and(|why| why.ends_with("take another folder")));
    }

    #[test]
    fn what_others_can_write_is_not_trusted() {
        let root = tempfile::tempdir().unwrap();
        let owner = rustix::process::geteuid().as_raw();
        let folder = root.path().join("a/b");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("provost.toml");
        fs::write(&path, "x").unwrap();
        let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for part in [root.path(), &root.path().join("a"), &folder] {
            mode(part, 0o755);
        }
        mode(&path, 0o644);
        let why = |path: &Path, owner| distrust(&File::open(path).unwrap(), path, owner);
        assert_eq!(why(&path, owner), None);
        for (part, loose, tight) in
            [(&path, 0o664, 0o644), (&folder, 0o777, 0o755), (&root.path().join("a"), 0o775, 0o755)]
        {
            mode(part, loose);
            let why = why(&path, owner).unwrap();
            assert!(why.contains("by others") && why.contains("chmod go-w"), "{why}");
            mode(part, tight);
        }
        // A link is where it is, and what it leads to.
        let link = root.path().join("link.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(why(&link, owner), None);
        mode(&folder, 0o757);
        assert!(why(&link, owner).is_some());
        mode(&folder, 0o1777);
        assert_eq!(why(&link, owner), None);
        if owner == 0 {
            std::os::unix::fs::chown(&path, Some(1), None).unwrap();
            assert!(why(&path, 0).unwrap().contains("belongs to"));
        }
    }
}
