//! Which config file counts: one found upwards from here, else the user's own.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Project;
use super::errors::{Errors, Problem};

/// The names, the usual one first.
const NAMES: [&str; 4] = ["provost.toml", "provost.yaml", "provost.yml", "provost.json"];

/// The config file for a caller in this folder: `None` if there is none.
///
/// Upwards are looked at only folders on the same filesystem, and a file counts only if it and its
/// folder are the caller's and nobody else may write to them, because who can write it can run
/// programs as the caller; `upwards` is false for root and for the system instance, which have
/// `own` alone, the folder of their own configuration.
///
/// # Errors
/// Two files for one folder.
pub fn find(here: &Path, own: Option<&Path>, uid: u32, upwards: bool) -> Result<Option<PathBuf>, Errors> {
    if upwards && let Some(found) = upward(here, uid)? {
        return Ok(Some(found));
    }
    own.map_or(Ok(None), only)
}

fn upward(here: &Path, uid: u32) -> Result<Option<PathBuf>, Errors> {
    let Ok(start) = fs::metadata(here) else { return Ok(None) };
    for folder in here.ancestors() {
        let Ok(found) = fs::metadata(folder) else { return Ok(None) };
        if found.dev() != start.dev() {
            return Ok(None);
        }
        if theirs(&found, uid) {
            let safe = |path: &PathBuf| safe(path, uid);
            if let Some(path) = only(folder)?.filter(safe) {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

/// The nearest file from here upwards that looks like a config and does not count, and why: whoever
/// wrote it wonders.
pub(crate) fn passed_over(here: &Path, uid: u32) -> Option<String> {
    let of_folder = |folder: &Path| NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let path = here.ancestors().find_map(of_folder)?;
    let place = fs::canonicalize(&path).ok()?;
    let why = [place.as_path(), place.parent()?].into_iter().find_map(|path| {
        let found = fs::metadata(path).ok()?;
        let shown = crate::text::escape(&path.to_string_lossy());
        match found.uid() == uid {
            false => Some(format!("{shown} belongs to {}", crate::observe::user_name(found.uid()))),
            true if theirs(&found, uid) => None,
            true => Some(format!("others may write to {shown} ('chmod go-w' mends that)")),
        }
    })?;
    let shown = crate::text::escape(&path.to_string_lossy());
    Some(format!("{shown} does not count, because {why}; -c names it all the same"))
}

/// What a config says of the daemon and is not heard, because it is another than the daemon's own, which
/// is in this folder.
pub(crate) fn unheard(project: &Project, own: &Path) -> Option<Problem> {
    let folder = project.path.parent().and_then(|folder| fs::canonicalize(folder).ok());
    let is_own = folder.is_some() && folder == fs::canonicalize(own).ok();
    let message = format!(
        "it counts in the daemon's own config alone, which is in {}: one daemon runs the services of all configs",
        own.display()
    );
    let problem = Problem { key: "daemon.on_stop".to_owned(), ..Problem::of_file(&project.path, message) };
    Some(problem).filter(|_| project.daemon.on_stop.is_some() && !is_own)
}

/// A link counts as what it leads to: that must be the caller's, and its folder too.
fn safe(path: &Path, uid: u32) -> bool {
    let target = fs::canonicalize(path).ok();
    let folder = target.as_deref().and_then(Path::parent).and_then(|folder| fs::metadata(folder).ok());
    fs::metadata(path).is_ok_and(|found| theirs(&found, uid)) && folder.is_some_and(|found| theirs(&found, uid))
}

fn theirs(found: &fs::Metadata, uid: u32) -> bool {
    found.uid() == uid && found.mode() & 0o022 == 0
}

/// The one config file of a folder.
fn only(folder: &Path) -> Result<Option<PathBuf>, Errors> {
    let mut found = NAMES.iter().map(|name| folder.join(name)).filter(|path| path.is_file());
    let (first, second) = (found.next(), found.next());
    if let (Some(first), Some(second)) = (&first, &second) {
        let name = second.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(Problem::of_file(first, format!("{name} is beside it: keep one of the two")).into());
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_the_own_config_speaks_of_the_daemon() {
        let root = tempfile::tempdir().unwrap();
        let warned = |folder: &str, text: &str| {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            let path = root.path().join(folder).join("provost.toml");
            fs::write(&path, text).unwrap();
            let project = super::super::load(&path, &super::super::LoadOptions::default()).unwrap();
            unheard(&project, &root.path().join("own")).map(|problem| problem.to_string())
        };
        let says = "[daemon]\non_stop = 'stop'\n";
        let warning = warned("project", says).unwrap();
        assert!(warning.contains("/project/provost.toml: daemon.on_stop: it counts in the daemon's own"), "{warning}");
        assert_eq!((warned("project", "[daemon]\nwatch = false\n"), warned("own", says)), (None, None));
    }

    #[test]
    fn the_nearest_safe_file_counts() {
        let root = tempfile::tempdir().unwrap();
        let (deep, own) = (root.path().join("a/b"), root.path().join("own"));
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir_all(&own).unwrap();
        let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for folder in [root.path(), &root.path().join("a"), &deep, &own] {
            mode(folder, 0o755);
        }
        let uid = rustix::process::geteuid().as_raw();
        let look = |upwards| find(&deep, Some(&own), uid, upwards);
        assert_eq!(look(true).unwrap(), None);
        let (of_own, of_a) = (own.join("provost.json"), root.path().join("a/provost.yaml"));
        for path in [&of_own, &of_a] {
            fs::write(path, "").unwrap();
            mode(path, 0o644);
        }
        assert_eq!(look(true).unwrap().as_deref(), Some(&*of_a));
        assert_eq!(look(false).unwrap().as_deref(), Some(&*of_own));
        assert_eq!(find(&deep, None, uid + 1, true).unwrap(), None);
        for (path, loose, tight) in [(of_a.as_path(), 0o664, 0o644), (of_a.parent().unwrap(), 0o777, 0o755)] {
            mode(path, loose);
            assert_eq!(look(true).unwrap().as_deref(), Some(&*of_own));
            let why = passed_over(&deep, uid).unwrap();
            let expected = format!("others may write to {} ('chmod go-w'", path.display());
            assert!(why.contains("/a/provost.yaml does not count") && why.contains(&expected), "{why}");
            mode(path, tight);
        }
        assert_eq!(passed_over(&deep, uid), None);
        assert!(passed_over(&deep, uid + 1).unwrap().contains("provost.yaml belongs to "));
        fs::write(root.path().join("a/provost.toml"), "").unwrap();
        assert!(look(true).unwrap_err().to_string().contains("provost.yaml is beside it"));
    }
}
