//! One daemon an instance: whoever holds the lock owns the records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::paths::Places;

const TRIES: u32 = 5;
/// The same for a lock of who has ended: 5 s, where so many threads wait for a processor.
const TRIES_OF_ENDED: u32 = 2500;
const MOMENT: Duration = Duration::from_millis(2);

/// Held until dropped; it dies with its holder, whatever ends that.
#[derive(Debug)]
pub(crate) struct Lock {
    /// `daemon.lock` in the runtime folder.
    file: File,
    /// The folder of records, for the same state reached with another runtime folder.
    state: Option<File>,
}

/// A lock that the program before this one, in the same process, has left: it was never given up.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// `daemon.lock`.
    pub(crate) file: Option<File>,
    /// The folder of records.
    pub(crate) state: Option<File>,
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

fn held(holder: Option<&Holder>, place: &Path) -> String {
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
        Self::take_over(places, Left::default())
    }

    /// The same, with what an earlier program of this process has left of it.
    ///
    /// # Errors
    /// Another daemon has it, or it cannot be made.
    pub(crate) fn take_over(places: &Places, mut left: Left) -> Result<Self, Held> {
        let path = path(places);
        let failed = |source| Held::Io { path: path.clone(), source };
        places.make_runtime().map_err(|source| Held::Io { path: places.runtime.clone(), source })?;
        let mut tries = 0;
        let mut file = loop {
            let file = left.file.take().map_or_else(|| open(&path), Ok).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) if again(&mut tries, || said(&file)) => continue,
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(Held::By(said(&file), path)),
                Err(error) => return Err(failed(error.into())),
            }
            // Whoever removed the file in between has left us a lock that nobody else will see.
            let same = |there: fs::Metadata| file.metadata().is_ok_and(|own| own.ino() == there.ino());
            if fs::symlink_metadata(&path).is_ok_and(same) {
                break file;
            }
        };
        let state = state(places, left.state)?;
        let holder = Holder { pid: std::process::id(), socket: places.socket() };
        let text = serde_json::to_vec(&holder).map_err(|error| failed(error.into()))?;
        // The lock counts, not what is written: a full disk only makes the others know less.
        let named = |path: &Path, written: io::Result<()>| {
            if let Err(error) = written {
                tracing::warn!("{} does not name its holder: {error}", path.display());
            }
        };
        named(&path, write(&mut file, &text));
        if state.is_some() {
            let beside = beside(places);
            named(&beside, open(&beside).and_then(|mut file| write(&mut file, &text)));
        }
        Ok(Self { file, state })
    }

    /// Its descriptors, for a daemon that executes its program anew and keeps it.
    pub(crate) fn files(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [Some(self.file.as_fd()), self.state.as_ref().map(AsFd::as_fd)]
    }

    /// Who holds the lock of an instance now; `None` if nobody does. It may have another runtime folder:
    /// a session that begins or ends changes where that is.
    pub(crate) fn holder(places: &Places) -> Option<Holder> {
        Self::holder_here(places).or_else(|| {
            let dir = File::open(places.registry()).ok()?;
            match flock(&dir, FlockOperation::NonBlockingLockShared) {
                Err(rustix::io::Errno::WOULDBLOCK) => noted(places),
                _ => None,
            }
        })
    }

    /// Who holds the one in this runtime folder.
    pub(crate) fn holder_here(places: &Places) -> Option<Holder> {
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

/// Beside the records: who holds the lock on their folder.
fn beside(places: &Places) -> PathBuf {
    places.state.join("daemon.json")
}

fn noted(places: &Places) -> Option<Holder> {
    said(&File::open(beside(places)).ok()?)
}

fn write(file: &mut File, text: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text)
}

fn open(path: &Path) -> io::Result<File> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow).open(path)
}

fn said(file: &File) -> Option<Holder> {
    let mut text = [0; 4096];
    let read = file.read_at(&mut text, 0).ok()?;
    serde_json::from_slice(&text[..read]).ok()
}

/// Whether to try once more, after a moment. Somebody who only asks for the holder has the lock for that
/// long, too; and one that was killed has it until the last of its threads is gone, and a child that it
/// had just made has closed what it was born with.
fn again(tries: &mut u32, holder: impl Fn() -> Option<Holder>) -> bool {
    let is_due = *tries < TRIES || *tries < TRIES_OF_ENDED && holder().is_some_and(|holder| has_ended(holder.pid));
    if is_due {
        *tries += 1;
        std::thread::sleep(MOMENT);
    }
    is_due
}

fn has_ended(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// A lock on the folder of records. Not every filesystem has locks on folders: then there is none.
fn state(places: &Places, left: Option<File>) -> Result<Option<File>, Held> {
    let dir = places.registry();
    let made = crate::paths::make_own(&dir, places.uid).and_then(|()| File::open(&dir));
    // That it is this folder's still, and not that of one that was moved away.
    let is_of = |left: &File, now: &File| {
        let number = |file: &File| file.metadata().map(|found| (found.dev(), found.ino()));
        number(left).is_ok_and(|left| number(now).is_ok_and(|now| left == now))
    };
    let made = made.map(|now| left.filter(|left| is_of(left, &now)).unwrap_or(now));
    let dir_file = match made {
        Ok(file) => file,
        // A read-only state folder is told of by whoever writes to it.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => return Ok(None),
        Err(error) => return Err(Held::Io { source: crate::disk::explained(error, &dir), path: dir }),
    };
    let mut tries = 0;
    loop {
        match flock(&dir_file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(dir_file)),
            Err(rustix::io::Errno::WOULDBLOCK) if again(&mut tries, || noted(places)) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Held::By(noted(places), dir)),
            Err(error) => {
                tracing::debug!(%error, "no lock on the folder of records");
                return Ok(None);
            }
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
        assert!(said.ends_with(&expected), "{said}");
        assert_eq!(Lock::holder(&elsewhere).unwrap().socket, places.socket());
        assert_eq!(Lock::holder_here(&elsewhere), None);
        drop(lock);
        assert_eq!((Lock::holder(&places), Lock::holder(&elsewhere)), (None, None));
        let again = Lock::take(&places).unwrap();
        fs::remove_file(path(&places)).unwrap();
        assert!(Lock::take(&places).is_err(), "the folder of records is locked still");
        drop(again);
        Lock::take(&places).unwrap();
    }

    #[test]
    fn what_one_that_was_killed_has_not_let_go_yet_is_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let places = Places::below(home.path());
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let lock = Lock::take(&places).unwrap();
        let text = serde_json::to_vec(&Holder { pid: ended.id(), socket: places.socket() }).unwrap();
        for path in [path(&places), beside(&places)] {
            fs::write(path, &text).unwrap();
        }
        // Its files are closed one after the other.
        let Lock { file, state } = lock;
        let closing = std::thread::spawn(move || {
            for file in [Some(file), state] {
                std::thread::sleep(100 * MOMENT);
                drop(file);
            }
        });
        assert!(Lock::take(&places).is_ok());
        closing.join().unwrap();
    }

    #[test]
    fn what_is_left_to_the_next_program_was_never_given_up() {
        let home = tempfile::tempdir().unwrap();
        let places = Places::below(home.path());
        let lock = Lock::take(&places).unwrap();
        let [file, state] = lock.files().map(|fd| Some(File::from(fd?.try_clone_to_owned().unwrap())));
        assert!(file.is_some() && state.is_some());
        drop(lock);
        assert!(Lock::take(&places).is_err(), "it is held by what was left");
        let again = Lock::take_over(&places, Left { file, state }).unwrap();
        assert!(Lock::take(&places).is_err() && Lock::holder(&places).is_some());
        drop(again);
        // What is no lock of this instance any more is not taken for one.
        let lock = Lock::take(&places).unwrap();
        let [file, state] = lock.files().map(|fd| Some(File::from(fd?.try_clone_to_owned().unwrap())));
        drop(lock);
        fs::remove_file(path(&places)).unwrap();
        fs::rename(places.registry(), home.path().join("moved")).unwrap();
        let again = Lock::take_over(&places, Left { file, state }).unwrap();
        assert!(Lock::take(&places).is_err());
        drop(again);
        Lock::take(&places).unwrap();
    }
}
