//! Writes the files of a layout, each after what was there before is in the manifest.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::layout::{File, Layout};
use super::log::{Log, Outcome};
use super::manifest::{Before, Entry, Manifest, replace, sum};
use super::remove;
use crate::error::Error;

/// Makes all files as they are to be; whether any was not.
pub(super) fn all(layout: &Layout, path: &Path, manifest: &mut Manifest, log: &mut Log<'_>) -> Result<bool, Error> {
    let mut changed = false;
    for file in &layout.files {
        match one(file, path, manifest, log) {
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

fn one(file: &File, path: &Path, manifest: &mut Manifest, log: &mut Log<'_>) -> io::Result<bool> {
    let name = file.path.display().to_string();
    let there = match file.path.symlink_metadata() {
        Ok(there) => Some(there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let same = there.as_ref().is_some_and(|there| there.is_file() && there.permissions().mode() & 0o7777 == file.mode)
        && fs::read(&file.path)? == file.content;
    if same {
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
        Some(entry) => entry.sum = sum,
        None => {
            let before = keep(&file.path, there.as_ref(), path, manifest.files.len())?;
            manifest.files.push(Entry { path: file.path.clone(), sum, before });
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
fn keep(file: &Path, there: Option<&fs::Metadata>, manifest: &Path, number: usize) -> io::Result<Option<Before>> {
    let Some(there) = there else { return Ok(None) };
    if there.is_symlink() {
        return Ok(Some(Before::Link(fs::read_link(file)?)));
    }
    let copy = format!("before-{number}");
    let folder = manifest.parent().unwrap_or(Path::new("/"));
    crate::paths::make_own(folder, rustix::process::geteuid().as_raw())?;
    replace(&folder.join(&copy), &fs::read(file)?, 0o600)?;
    Ok(Some(Before::File { copy, mode: there.permissions().mode() & 0o7777 }))
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
        assert_eq!(uninstall(root), [Kept, Restored, Removed, Removed, Removed]);
        assert_eq!((read("etc/a"), read("etc/b")), ("changed".to_owned(), "mine".to_owned()));
        assert!(!root.join("new").exists());
        assert!(!root.join("state/installed.json").exists() && !root.join("state/before-1").exists());
    }

    #[test]
    fn an_install_that_was_cut_short_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/installed.json");
        let planned = Manifest {
            files: vec![Entry { path: dir.path().join("never"), sum: sum(b"x"), before: None }],
            folders: vec![dir.path().join("nor")],
            ..Manifest::default()
        };
        planned.save(&path).unwrap();
        assert_eq!(uninstall(dir.path()), []);
        assert!(!path.exists());
    }
}
