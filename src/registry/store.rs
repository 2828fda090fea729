//! The folder of records.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Record;

/// The records of one user on one host.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    dir: PathBuf,
}

impl Store {
    /// The caller's own; `None` without a home.
    pub(crate) fn of(uid: u32) -> Option<Self> {
        Some(Self { dir: crate::paths::state_dir(uid)?.join("registry") })
    }

    /// All records that can be read; a damaged one is left out and logged.
    pub(crate) fn all(&self) -> Vec<Record> {
        let Ok(files) = fs::read_dir(&self.dir) else { return Vec::new() };
        let mut all: Vec<Record> = files.flatten().filter_map(|f| read(&f.path())).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Writes a record: whole, to a temporary file, and renamed over the old one.
    pub(crate) fn save(&self, record: &Record) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let path = self.dir.join(format!("{}.json", record.id));
        let temporary = self.dir.join(format!(".{}.{}", record.id, std::process::id()));
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(record)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&self.dir)?.sync_all()
    }

    /// Removes a record; one that is not there is no error.
    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.dir.join(format!("{id}.json"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn read(path: &Path) -> Option<Record> {
    if path.extension()? != "json" {
        return None;
    }
    let text = fs::read(path).ok()?;
    serde_json::from_slice(&text).map_err(|error| tracing::warn!("{}: {error}", path.display())).ok()
}
