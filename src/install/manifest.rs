//! What an install did, and what was there before: kept with the state, so that it can be undone.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
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
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    /// Of what was written: whoever changes it since keeps it.
    pub(crate) sum: String,
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
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, Error> {
        let failed = |source| Error::Io { what: path.display().to_string(), source };
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| failed(io::Error::other(e))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
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

/// Puts a file in the place of what is there, in one step, and on the disk. A link is replaced, not
/// followed.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = folder.join(format!(".{name}.provost-{}", std::process::id()));
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
        let entry = |before| Entry { path: "/x".into(), sum: sum(b"x"), before };
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
        fs::write(&path, r#"{"version": "9", "what": 1}"#).unwrap();
        assert_eq!(Manifest::load(&path).unwrap().unwrap().version, "9");
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
