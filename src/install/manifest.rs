//! What an install did, and what was there before: kept with the state, so that it can be undone.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::model::{Instance, Malformed};
use crate::paths::Places;

const NAME: &str = "installed.json";

/// All of it. A field that is missing says that nothing was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Manifest {
    /// The version of provost that was installed last.
    pub(crate) version: String,
    /// The program that the units run.
    pub(crate) binary: PathBuf,
    /// The files that were written.
    pub(crate) files: Vec<Entry>,
    /// The folders that were made for them, the outermost first.
    pub(crate) folders: Vec<PathBuf>,
    /// The unit was enabled.
    pub(crate) enabled: bool,
    /// Lingering was switched on.
    pub(crate) lingering: bool,
    /// The group was made.
    pub(crate) group: bool,
    /// The one before was lost: what is found as it would be written was written by it.
    #[serde(skip)]
    pub(crate) adopts: bool,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    /// Of what was written: whoever changes it since keeps it.
    pub(crate) sum: String,
    /// Of what an earlier install wrote: there still, if the last one was cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) earlier: Option<String>,
    /// What was there before the first install.
    pub(crate) before: Option<Before>,
}

/// What was in the place of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Before {
    /// A file: its copy lies under this name beside the manifest.
    File {
        /// The name of the copy.
        copy: String,
        /// Its mode.
        mode: u32,
    },
    /// A symbolic link to this.
    Link(PathBuf),
}

/// Where the manifest of an instance is. A user's is for all hosts that share the home.
pub(crate) fn manifest_path(instance: Instance, uid: u32) -> Result<PathBuf, Error> {
    let places = Places::of(instance, uid).ok_or_else(|| Malformed::new("there is no home folder"))?;
    let folder = match instance {
        Instance::System => Some(places.state.as_path()),
        Instance::User => places.state.parent(),
    };
    Ok(folder.unwrap_or(&places.state).join(NAME))
}

impl Manifest {
    /// `None`: nothing was installed.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or somebody else could have written it: files would be removed by its word.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, Error> {
        let failed = |source| Error::Io { what: path.display().to_string(), source };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        own(path).map_err(|why| failed(io::Error::new(io::ErrorKind::PermissionDenied, why)))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidData, e)))
    }

    /// The same for an install: one that is damaged is set aside, and a new one takes over what is found as it would
    /// be written. Also given: where the old one is.
    pub(super) fn load_or_adopt(path: &Path, dry: bool) -> Result<(Self, Option<PathBuf>), Error> {
        match Self::load(path) {
            Ok(found) => Ok((found.unwrap_or_default(), None)),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {
                let aside = path.with_extension("json.damaged");
                if !dry {
                    fs::rename(path, &aside)
                        .map_err(|source| Error::Io { what: aside.display().to_string(), source })?;
                }
                Ok((Self { adopts: true, ..Self::default() }, Some(aside)))
            }
            // Anybody may ask what root's install would do.
            Err(Error::Io { source, .. }) if dry && source.kind() == io::ErrorKind::PermissionDenied => {
                Ok((Self::default(), None))
            }
            Err(error) => Err(error),
        }
    }

    /// Written whole or not at all.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Io { what: path.display().to_string(), source };
        if let Some(folder) = path.parent() {
            crate::paths::make_own(folder, rustix::process::geteuid().as_raw()).map_err(failed)?;
        }
        let text = serde_json::to_vec_pretty(self).map_err(|e| failed(io::Error::other(e)))?;
        replace(path, &text, 0o600).map_err(failed)
    }
}

/// Whether nobody but the caller, or root, could have written this file.
fn own(path: &Path) -> Result<(), String> {
    let own = rustix::process::geteuid().as_raw();
    for part in [Some(path), path.parent()].into_iter().flatten() {
        let found = part.symlink_metadata().map_err(|error| format!("{}: {error}", part.display()))?;
        let whose = found.uid();
        if whose != own && whose != 0 {
            let (name, owner) = (part.display(), crate::observe::user_name(whose));
            return Err(format!("{name} belongs to {owner}: nothing is changed by its word; run this as {owner}"));
        }
        if !found.is_symlink() && found.mode() & 0o022 != 0 {
            let mend = format!("chmod go-w {}", part.display());
            return Err(format!("{} may be written by others: look at it, then: {mend}", part.display()));
        }
    }
    Ok(())
}

/// The name under which a file is written before it takes its place: always the same, so that one that was left is
/// found again.
pub(super) fn fresh(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.provost-new"))
}

/// Puts a file in the place of what is there, in one step, and on the disk. A link is replaced, not
/// followed.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let fresh = fresh(path);
    let write = || {
        let _left_by_another = fs::remove_file(&fresh);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        // Whatever the umask is.
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        fs::File::open(folder)?.sync_all()
    };
    write().inspect_err(|_| drop(fs::remove_file(&fresh)))
}

/// Tells one content from another; no seal against forgery (FNV-1a).
pub(super) fn sum(content: &[u8]) -> String {
    let hash = content
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}-{}", content.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/installed.json");
        assert_eq!(Manifest::load(&path).unwrap(), None);
        let entry = |before| Entry { path: "/x".into(), sum: sum(b"x"), earlier: None, before };
        let manifest = Manifest {
            version: "1".to_owned(),
            files: vec![
                entry(None),
                entry(Some(Before::File { copy: "before-1".to_owned(), mode: 0o644 })),
                entry(Some(Before::Link("/y".into()))),
            ],
            enabled: true,
            ..Manifest::default()
        };
        manifest.save(&path).unwrap();
        assert_eq!(Manifest::load(&path).unwrap(), Some(manifest));
        // One of a later version, and one of an earlier.
        fs::write(&path, r#"{"version": "9", "what": 1, "files": [{"path": "/x", "sum": "1", "before": null}]}"#)
            .unwrap();
        assert_eq!(Manifest::load(&path).unwrap().unwrap().version, "9");
    }

    #[test]
    fn what_others_could_have_written_is_not_believed_and_what_is_damaged_is_set_aside() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        fs::write(&path, "{}").unwrap();
        for (part, mode) in [(&path, 0o666), (&dir.path().to_owned(), 0o775)] {
            let before = part.metadata().unwrap().permissions();
            fs::set_permissions(part, fs::Permissions::from_mode(mode)).unwrap();
            let refused = Manifest::load(&path).unwrap_err().to_string();
            assert!(refused.contains("may be written by others"), "{refused}");
            fs::set_permissions(part, before).unwrap();
        }
        assert!(Manifest::load(&path).is_ok());
        fs::write(&path, "{ cut sho").unwrap();
        assert!(Manifest::load(&path).is_err());
        let (fresh, aside) = Manifest::load_or_adopt(&path, false).unwrap();
        assert!(fresh.adopts && aside.is_some_and(|aside| aside.exists()) && !path.exists());
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (link, other) = (dir.path().join("link"), dir.path().join("other"));
        fs::write(&other, "other").unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        replace(&link, b"new", 0o644).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "other");
        assert!(link.symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
