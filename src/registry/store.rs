//! The folder of records: writing and removing them. Reading is in `load`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Record;
use crate::model::ServiceId;
use crate::paths::Places;

/// As many threads wait for the disk at once.
const WRITERS: usize = 16;

/// The records of one instance on one host.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(super) dir: PathBuf,
    pub(super) uid: u32,
}

impl Store {
    /// Those of an instance.
    pub(crate) fn at(places: &Places) -> Self {
        Self { dir: places.registry(), uid: places.uid }
    }

    /// Those of the instance that this user means without naming one; `None` without a home.
    pub(crate) fn of(uid: u32) -> Option<Self> {
        Some(Self { dir: crate::paths::state_dir(uid)?.join("registry"), uid })
    }

    /// The file of a record. An id has no slash and begins with a letter or digit, so it is no
    /// other folder's.
    pub(super) fn path(&self, id: &ServiceId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    /// Writes a record: whole, to a temporary file, and renamed over the old one, which stays as it
    /// was if anything fails. Only the user may read it: command lines may hold keys.
    ///
    /// `durable` waits until it would survive a loss of power: for definitions and desired states.
    /// What dies with the boot (pids, states) needs no such wait.
    ///
    /// # Errors
    /// The system's, with the operation and the path.
    pub(crate) fn save(&self, record: &Record, durable: bool) -> io::Result<()> {
        let path = self.path(&record.id);
        let temporary = self.dir.join(format!(".{}.{}", record.id, std::process::id()));
        let text = serde_json::to_vec_pretty(record)?;
        let result = self.put(&text, &temporary, &path, durable);
        result.map_err(|error| about(error, &format!("the record of {} cannot be written:", record.id), &path))
    }

    /// Nothing is left of the temporary file if anything fails.
    pub(super) fn put(&self, text: &[u8], temporary: &Path, path: &Path, durable: bool) -> io::Result<()> {
        let result = self.try_put(text, temporary, path, durable);
        if result.is_err() {
            let _never_made = fs::remove_file(temporary);
        }
        result
    }

    fn try_put(&self, text: &[u8], temporary: &Path, path: &Path, durable: bool) -> io::Result<()> {
        // A new file always: a link that somebody put there is not followed.
        let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary);
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.prepare()?;
                open()?
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(temporary)?;
                open()?
            }
            opened => opened?,
        };
        file.write_all(text)?;
        if durable {
            file.sync_data()?;
        }
        fs::rename(temporary, path)?;
        if durable { File::open(&self.dir)?.sync_all() } else { Ok(()) }
    }

    /// Waits until the records of these, as they were written last, would survive a loss of power.
    /// One that is gone meanwhile needs no such wait.
    pub(crate) fn sync(&self, ids: &[ServiceId]) -> Vec<(ServiceId, io::Error)> {
        let one = |id: &ServiceId| {
            let path = self.path(id);
            match File::open(&path).and_then(|file| file.sync_data()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Some((id.clone(), about(error, &format!("the record of {id} is not on the disk:"), &path)))
                }
                _ => None,
            }
        };
        // A disk that is told of several writes carries them out together.
        let share = ids.len().div_ceil(WRITERS).max(1);
        let mut failed: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = ids
                .chunks(share)
                .skip(1)
                .map(|part| scope.spawn(move || part.iter().filter_map(one).collect::<Vec<_>>()))
                .collect();
            let first: Vec<_> = ids.iter().take(share).filter_map(one).collect();
            first.into_iter().chain(threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default())).collect()
        });
        if !ids.is_empty()
            && failed.is_empty()
            && let Err(error) = File::open(&self.dir).and_then(|dir| dir.sync_all())
        {
            failed.extend(
                ids.iter().map(|id| (id.clone(), about(error.kind().into(), "is not on the disk:", &self.dir))),
            );
        }
        failed
    }

    /// Makes the folder; of one that is there, closes it and its files to others: those of earlier
    /// versions were readable to all. Once for each daemon is enough.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        let make = || {
            crate::paths::make_own(&self.dir, self.uid)?;
            for old in fs::read_dir(&self.dir)?.flatten().filter(|entry| entry.file_type().is_ok_and(|t| t.is_file())) {
                match crate::paths::close(&old.path(), self.uid, 0o600) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        };
        make().map_err(|error| about(error, "the folder of records cannot be made:", &self.dir))
    }

    /// Whether a record could be removed now: before anything is stopped for that.
    ///
    /// # Errors
    /// Why not, with the operation and the path.
    pub(crate) fn check_removable(&self, id: &ServiceId) -> io::Result<()> {
        match rustix::fs::access(&self.dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(about(error.into(), &format!("the record of {id} cannot be removed:"), &self.path(id))),
        }
    }

    /// Removes a record; one that is not there is no error.
    pub(crate) fn remove(&self, id: &ServiceId) -> io::Result<()> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(about(error, &format!("the record of {id} cannot be removed:"), &path))
            }
            _ => Ok(()),
        }
    }
}

/// The system's error with what was done to what, and about its file system if that is why.
pub(super) fn about(error: io::Error, operation: &str, path: &Path) -> io::Error {
    let error = crate::disk::explained(error, path);
    io::Error::new(error.kind(), format!("{operation} {}: {error}", path.display()))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
