//! The folder of records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Record;

/// The records of one user on one host.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    dir: PathBuf,
    uid: u32,
}

impl Store {
    /// The caller's own; `None` without a home.
    pub(crate) fn of(uid: u32) -> Option<Self> {
        Some(Self { dir: crate::paths::state_dir(uid)?.join("registry"), uid })
    }

    /// All records that can be read; a damaged one is left out and logged.
    pub(crate) fn all(&self) -> Vec<Record> {
        let Ok(files) = fs::read_dir(&self.dir) else { return Vec::new() };
        let mut all: Vec<Record> = files.flatten().filter_map(|f| read(&f.path())).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Writes a record: whole, to a temporary file, and renamed over the old one. Only the user may
    /// read it: command lines may hold keys.
    pub(crate) fn save(&self, record: &Record) -> io::Result<()> {
        crate::paths::make_own(&self.dir, self.uid)?;
        for old in fs::read_dir(&self.dir)?.flatten() {
            // Those of earlier versions were readable to all.
            crate::paths::close(&old.path(), self.uid, 0o600).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
        let path = self.dir.join(format!("{}.json", record.id));
        let temporary = self.dir.join(format!(".{}.{}", record.id, std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identity;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn records_are_for_their_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("registry");
        fs::create_dir(&dir).unwrap();
        let old = dir.join("old.json");
        fs::write(&old, "{}").unwrap();
        for (path, mode) in [(&dir, 0o755), (&old, 0o644)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let store = Store { dir: dir.clone(), uid: rustix::process::getuid().as_raw() };
        let record = Record {
            version: Record::VERSION,
            id: "new".to_owned(),
            boot_id: String::new(),
            identity: Identity { pid: 1, start_ticks: 1, pidfd_inode: None },
            uid: store.uid,
            command_line: vec!["x".to_owned()],
            cwd: "/".into(),
            log: "/x".into(),
            started_at: String::new(),
        };
        store.save(&record).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&old), mode(&dir.join("new.json"))), (0o700, 0o600, 0o600));
        assert_eq!(store.all(), [record]);
    }
}
