//! What provost keeps of the services of an instance, removed: records, captured output, runtime files. Whoever wrote a
//! config keeps it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::log::{Log, Outcome};
use crate::error::Error;
use crate::model::{Instance, Malformed};
use crate::paths::Places;

/// Removes all of it. The daemon and its services have ended before.
///
/// # Errors
/// The first folder that could not be removed; the others are.
pub(super) fn all(instance: Instance, uid: u32, log: &mut Log<'_>) -> Result<(), Error> {
    let places = Places::of(instance, uid).ok_or_else(|| Malformed::new("there is no home folder"))?;
    let mut first = None;
    for (folder, held) in folders(&places) {
        let name = folder.display().to_string();
        match one(&folder, uid, log.dry) {
            Ok(()) => log.step("folder", &name, Outcome::Removed, held),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                log.step("folder", &name, Outcome::Kept, &source.to_string());
                first.get_or_insert(Error::Io { what: name, source });
            }
        }
    }
    if !log.dry {
        // Other hosts that share the home have their own beside it; a config stays.
        let beside = if instance == Instance::User { places.state.parent() } else { None };
        for folder in beside.into_iter().chain([places.config.as_path()]) {
            let _is_in_use = fs::remove_dir(folder);
        }
    }
    first.map_or(Ok(()), Err)
}

/// What there may be, and what it holds.
fn folders(places: &Places) -> Vec<(PathBuf, &'static str)> {
    let mut all = vec![(places.runtime.clone(), "sockets and pid files")];
    let without = PathBuf::from(format!("/tmp/provost-{}", places.uid));
    if places.instance == Instance::User && without != places.runtime {
        all.push((without, "sockets and pid files"));
    }
    if !places.logs.starts_with(&places.state) {
        all.push((places.logs.clone(), "output of services"));
    }
    all.push((places.state.clone(), "records of services, and what else was kept"));
    all
}

/// One folder and all that is in it; of a link, the link alone.
fn one(folder: &Path, uid: u32, dry: bool) -> io::Result<()> {
    let found = folder.symlink_metadata()?;
    if found.uid() != uid {
        let owner = crate::observe::user_name(found.uid());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("it belongs to {owner}")));
    }
    match (dry, found.is_dir()) {
        (true, _) => Ok(()),
        (false, true) => fs::remove_dir_all(folder),
        (false, false) => fs::remove_file(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_all_in_it_and_a_link_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, other) = (dir.path().join("folder"), dir.path().join("other"));
        for dir in [folder.join("deep/er"), other.clone()] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(other.join("theirs"), "").unwrap();
        std::os::unix::fs::symlink(&other, folder.join("deep/link")).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        one(&folder, uid, true).unwrap();
        assert!(folder.exists());
        assert!(one(&folder, uid + 1, false).unwrap_err().to_string().contains("belongs to"));
        one(&folder, uid, false).unwrap();
        assert!(!folder.exists() && other.join("theirs").exists());
        std::os::unix::fs::symlink(&other, &folder).unwrap();
        one(&folder, uid, false).unwrap();
        assert!(!folder.is_symlink() && other.join("theirs").exists());
        assert_eq!(one(&folder, uid, false).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_config_is_not_among_them() {
        for instance in [Instance::System, Instance::User] {
            let places = Places::of(instance, 0).unwrap();
            let all = folders(&places);
            assert!(all.iter().all(|(folder, _)| !places.config.starts_with(folder)), "{all:?}");
            assert!(all.iter().any(|(folder, _)| places.registry().starts_with(folder)), "{all:?}");
        }
    }
}
