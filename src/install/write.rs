//! Writes the files of a layout, each after what was there before is in the manifest.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::layout::{File, Layout};
use super::log::{Log, Outcome};
use super::manifest::{Before, Entry, Manifest, replace, sum};
use super::remove;
use super::trust::trusted;
use crate::error::Error;

/// Makes all files as they are to be; whether any was not.
pub(super) fn all(layout: &Layout, path: &Path, manifest: &mut Manifest, log: &mut Log<'_>) -> Result<bool, Error> {
    let mut changed = false;
    for file in &layout.files {
        match one(file, layout.strict, path, manifest, log) {
            Ok(did) => changed |= did,
            Err(error) if file.required => {
                let source = crate::disk::explained(error, &file.path);
                return Err(Error::Io { what: format!("{} cannot be written", file.path.display()), source });
            }
            Err(error) => {
                let why = crate::disk::explained(error, &file.path).to_string();
                log.step("file", &file.path.display().to_string(), Outcome::Skipped, &why);
            }
        }
    }
    // What an earlier version had and this one has not.
    let wanted = |entry: &Entry| {
        layout.files.iter().any(|file| file.path == entry.path)
            || layout.binary == entry.path
            || layout.skipped.iter().any(|skipped| skipped.0 == entry.path)
    };
    let stale: Vec<Entry> = manifest.files.iter().filter(|entry| !wanted(entry)).cloned().collect();
    for entry in stale {
        remove::one(&entry, path, log)?;
        manifest.files.retain(|kept| kept.path != entry.path);
        changed = true;
    }
    Ok(changed)
}

fn one(file: &File, strict: bool, path: &Path, manifest: &mut Manifest, log: &mut Log<'_>) -> io::Result<bool> {
    let name = file.path.display().to_string();
    let there = match file.path.symlink_metadata() {
        Ok(there) => Some(there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let same = there.as_ref().is_some_and(|there| there.is_file() && there.permissions().mode() & 0o7777 == file.mode)
        && fs::read(&file.path)? == file.content;
    if strict {
        safe(&file.path)?;
    }
    if same {
        if manifest.adopts && !log.dry && manifest.files.iter().all(|entry| entry.path != file.path) {
            manifest.files.push(Entry {
                path: file.path.clone(),
                sum: sum(&file.content),
                earlier: None,
                before: None,
            });
        }
        log.step("file", &name, Outcome::Unchanged, "");
        return Ok(false);
    }
    if there.as_ref().is_some_and(|there| there.is_dir()) {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "there is a folder of that name"));
    }
    let outcome = if there.is_some() { Outcome::Updated } else { Outcome::Created };
    if log.dry {
        log.step("file", &name, outcome, "");
        return Ok(true);
    }
    let sum = sum(&file.content);
    match manifest.files.iter_mut().find(|entry| entry.path == file.path) {
        Some(entry) if entry.sum == sum => {}
        Some(entry) => entry.earlier = Some(std::mem::replace(&mut entry.sum, sum)),
        None => {
            let before = match manifest.adopts {
                true => None,
                false => keep(&file.path, there.as_ref(), path)?,
            };
            manifest.files.push(Entry { path: file.path.clone(), sum, earlier: None, before });
        }
    }
    // Its own folder may be the first of those that are missing.
    manifest.save(path).map_err(io::Error::other)?;
    let folders = missing(file.path.parent());
    manifest.folders.extend(folders.iter().cloned());
    manifest.save(path).map_err(io::Error::other)?;
    for folder in folders {
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
    }
    replace(&file.path, &file.content, file.mode)?;
    log.step("file", &name, outcome, "");
    Ok(true)
}

/// Keeps what is there beside the manifest.
fn keep(file: &Path, there: Option<&fs::Metadata>, manifest: &Path) -> io::Result<Option<Before>> {
    let Some(there) = there else { return Ok(None) };
    if there.is_symlink() {
        return Ok(Some(Before::Link(fs::read_link(file)?)));
    }
    // Of its path: no other file's copy has that name.
    let copy = format!("before-{}", sum(file.as_os_str().as_encoded_bytes()));
    let folder = manifest.parent().unwrap_or(Path::new("/"));
    crate::paths::make_own(folder, rustix::process::geteuid().as_raw())?;
    replace(&folder.join(&copy), &fs::read(file)?, 0o600)?;
    Ok(Some(Before::File { copy, mode: there.permissions().mode() & 0o7777 }))
}

/// Nobody but root may change what is in the folder of this file, or in the one that it will be made in: else a link
/// could lead elsewhere, or the file be exchanged.
fn safe(file: &Path) -> io::Result<()> {
    let there = file.ancestors().skip(1).find(|part| part.exists()).unwrap_or(Path::new("/"));
    trusted(there, 0)
        .map_err(|why| io::Error::new(io::ErrorKind::PermissionDenied, format!("{why}; root writes nothing there")))
}

/// The folders that are not there, the outermost first.
fn missing(folder: Option<&Path>) -> Vec<PathBuf> {
    let Some(folder) = folder else { return Vec::new() };
    let mut missing: Vec<PathBuf> = folder.ancestors().take_while(|dir| !dir.exists()).map(Path::to_owned).collect();
    missing.reverse();
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Installs these, says what happened, and gives the manifest.
    fn install(root: &Path, files: &[(&str, &str)]) -> (Vec<Outcome>, bool) {
        let path = root.join("state/installed.json");
        let mut manifest = Manifest::load(&path).unwrap().unwrap_or_default();
        let file = |(name, text): &(&str, &str)| File {
            path: root.join(name),
            content: text.as_bytes().to_vec(),
            mode: 0o644,
            required: true,
        };
        let layout = Layout { files: files.iter().map(file).collect(), ..Layout::default() };
        let mut tell = |_: &super::super::Step| {};
        let mut log = Log::new(false, &mut tell);
        let changed = all(&layout, &path, &mut manifest, &mut log).unwrap();
        manifest.save(&path).unwrap();
        (log.steps.iter().map(|step| step.outcome).collect(), changed)
    }

    fn uninstall(root: &Path) -> Vec<Outcome> {
        let path = root.join("state/installed.json");
        let manifest = Manifest::load(&path).unwrap().unwrap();
        let mut tell = |_: &super::super::Step| {};
        let mut log = Log::new(false, &mut tell);
        remove::files(&manifest, &path, &mut log).unwrap();
        log.steps.iter().map(|step| step.outcome).collect()
    }

    #[test]
    fn all_is_taken_back_as_it_was() {
        use Outcome::{Created, Kept, Removed, Restored, Unchanged, Updated};
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
        fs::create_dir(root.join("etc")).unwrap();
        fs::write(root.join("etc/b"), "mine").unwrap();
        std::os::unix::fs::symlink("elsewhere", root.join("etc/c")).unwrap();
        let all = [("etc/a", "1"), ("etc/b", "2"), ("etc/c", "3"), ("new/folder/d", "4")];
        assert_eq!(install(root, &all), (vec![Created, Updated, Updated, Created], true));
        assert_eq!(install(root, &all), (vec![Unchanged; 4], false));
        assert_eq!((read("etc/a"), read("etc/c")), ("1".to_owned(), "3".to_owned()));
        // A later version has another b, and no c any more.
        let later = [("etc/a", "1"), ("etc/b", "22"), ("new/folder/d", "4")];
        assert_eq!(install(root, &later), (vec![Unchanged, Updated, Unchanged, Restored], true));
        assert_eq!(fs::read_link(root.join("etc/c")).unwrap(), Path::new("elsewhere"));
        // Somebody changes what was written.
        fs::write(root.join("etc/a"), "changed").unwrap();
        // What was left half written.
        fs::write(root.join("etc/.b.provost-new"), "2").unwrap();
        assert_eq!(uninstall(root), [Kept, Restored, Removed, Removed, Removed]);
        assert!(!root.join("etc/.b.provost-new").exists());
        assert_eq!((read("etc/a"), read("etc/b")), ("changed".to_owned(), "mine".to_owned()));
        assert!(!root.join("new").exists());
        // Its manifest and the copies of what was there before are gone with it.
        assert!(!root.join("state").exists());
    }

    #[test]
    fn an_install_that_was_cut_short_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/installed.json");
        let planned = Manifest {
            files: vec![Entry { path: dir.path().join("never"), sum: sum(b"x"), earlier: None, before: None }],
            folders: vec![dir.path().join("nor")],
            ..Manifest::default()
        };
        planned.save(&path).unwrap();
        assert_eq!(uninstall(dir.path()), []);
        assert!(!path.exists());
    }
    #[test]
    fn an_upgrade_that_was_cut_short_is_taken_back() {
        use Outcome::{Removed, Restored};
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(root.join("b"), "mine").unwrap();
        install(root, &[("a", "1"), ("b", "1")]);
        install(root, &[("a", "2"), ("b", "2")]);
        // As it is when the manifest was written, and the files were not.
        fs::write(root.join("a"), "1").unwrap();
        fs::write(root.join("b"), "1").unwrap();
        assert_eq!(uninstall(root), [Removed, Restored]);
        assert_eq!(fs::read_to_string(root.join("b")).unwrap(), "mine");
    }

    #[test]
    fn a_copy_of_what_was_before_is_of_one_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in ["a", "b", "c"] {
            fs::write(root.join(name), name).unwrap();
        }
        install(root, &[("a", "1"), ("b", "1")]);
        install(root, &[("b", "1"), ("c", "1")]);
        uninstall(root);
        for name in ["a", "b", "c"] {
            assert_eq!(fs::read_to_string(root.join(name)).unwrap(), name);
        }
    }

    #[test]
    fn a_lost_manifest_is_made_again_by_the_next_install() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        install(root, &[("a", "1")]);
        let path = root.join("state/installed.json");
        fs::write(&path, "not json").unwrap();
        let (mut manifest, _) = Manifest::load_or_adopt(&path, false).unwrap();
        let file = File { path: root.join("a"), content: b"1".to_vec(), mode: 0o644, required: true };
        let layout = Layout { files: vec![file], ..Layout::default() };
        let mut tell = |_: &super::super::Step| {};
        all(&layout, &path, &mut manifest, &mut Log::new(false, &mut tell)).unwrap();
        manifest.save(&path).unwrap();
        assert_eq!(uninstall(root), [Outcome::Removed]);
    }

    #[test]
    fn root_writes_into_no_folder_that_others_can_change() {
        assert!(safe(Path::new("/etc/provost/new/x")).is_ok());
        assert!(safe(Path::new("/tmp/new/x")).unwrap_err().to_string().contains("may be written by others"));
    }
}
