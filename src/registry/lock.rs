//! One daemon an instance: whoever holds the lock owns the records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::paths::Places;

const TRIES: u32 = 5;
const MOMENT: Duration = Duration::from_millis(2);

/// Held until dropped; it dies with its holder, whatever ends that.
#[derive(Debug)]
pub(crate) struct Lock {
    /// `daemon.lock` in the runtime folder.
    _file: File,
    /// The folder of records, for the same state reached with another runtime folder.
    _state: Option<File>,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Held {
    /// Another daemon has it.
    #[error("{}", held(.0.as_ref(), .1))]
    By(Option<Holder>, PathBuf),
    /// It cannot be taken.
    #[error("{} cannot be used: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// What the lock's file says of who holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// The daemon.
    pub(crate) pid: u32,
    /// Where it answers.
    pub(crate) socket: PathBuf,
}

fn held(holder: Option<&Holder>, place: &std::path::Path) -> String {
    match holder {
        Some(Holder { pid, socket }) => {
            format!("another provost daemon runs: pid {pid}, its socket is {}", socket.display())
        }
        None => format!("another provost daemon runs: it holds {}", place.display()),
    }
}

impl Lock {
    /// Takes the lock, and says so in its file.
    ///
    /// # Errors
    /// Another daemon has it, or it cannot be made.
    pub(crate) fn take(places: &Places) -> Result<Self, Held> {
        let path = path(places);
        let failed = |source| Held::Io { path: path.clone(), source };
        places.make_runtime().map_err(|source| Held::Io { path: places.runtime.clone(), source })?;
        let mut tries = 0;
        let mut file = loop {
            let file = open(&path).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                // Somebody who only asks for the holder has it for a moment, too.
                Err(rustix::io::Errno::WOULDBLOCK) if tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(MOMENT);
                    continue;
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(Held::By(said(&file), path)),
                Err(error) => return Err(failed(error.into())),
            }
            // Whoever removed the file in between has left us a lock that nobody else will see.
            let same = |there: fs::Metadata| file.metadata().is_ok_and(|own| own.ino() == there.ino());
            if fs::symlink_metadata(&path).is_ok_and(same) {
                break file;
            }
        };
        let state = state(places)?;
        let holder = Holder { pid: std::process::id(), socket: places.socket() };
        let text = serde_json::to_vec(&holder).map_err(|error| failed(error.into()))?;
        // The lock counts, not what is written: a full disk only makes the others know less.
        if let Err(error) = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(&text)) {
            tracing::warn!("{} does not name its holder: {error}", path.display());
        }
        Ok(Self { _file: file, _state: state })
    }

    /// Who holds the lock of an instance now; `None` if nobody does.
    pub(crate) fn holder(places: &Places) -> Option<Holder> {
        let file = File::open(path(places)).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => said(&file),
            _ => None,
        }
    }
}

fn path(places: &Places) -> PathBuf {
    places.runtime.join("daemon.lock")
}

fn open(path: &std::path::Path) -> io::Result<File> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow).open(path)
}

fn said(file: &File) -> Option<Holder> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// A lock on the folder of records. Not every filesystem has locks on folders: then there is none.
fn state(places: &Places) -> Result<Option<File>, Held> {
    let dir = places.registry();
    let made = crate::paths::make_own(&dir, places.uid).and_then(|()| File::open(&dir));
    let dir_file = match made {
        Ok(file) => file,
        // A read-only state folder is told of by whoever writes to it.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => return Ok(None),
        Err(error) => return Err(Held::Io { source: crate::disk::explained(error, &dir), path: dir }),
    };
    match flock(&dir_file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(dir_file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Held::By(None, dir)),
        Err(error) => {
            tracing::debug!(%error, "no lock on the folder of records");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_told_who_runs() {
        let home = tempfile::tempdir().unwrap();
        let places = Places::below(home.path());
        assert_eq!(Lock::holder(&places), None);
        let lock = Lock::take(&places).unwrap();
        let said = Lock::take(&places).unwrap_err().to_string();
        let expected = format!("pid {}, its socket is {}", std::process::id(), places.socket().display());
        assert!(said.ends_with(&expected), "{said}");
        assert_eq!(Lock::holder(&places).unwrap().socket, places.socket());
        let elsewhere = Places { runtime: home.path().join("other"), ..places.clone() };
        let said = Lock::take(&elsewhere).unwrap_err().to_string();
        assert!(said.ends_with(&places.registry().display().to_string()), "{said}");
        drop(lock);
        assert_eq!(Lock::holder(&places), None);
        let again = Lock::take(&places).unwrap();
        fs::remove_file(path(&places)).unwrap();
        assert!(Lock::take(&places).is_err(), "the folder of records is locked still");
        drop(again);
        Lock::take(&places).unwrap();
    }
}
