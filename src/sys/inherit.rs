//! Descriptors that the program before this one, in the same process, has left for it.

use std::fs::File;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FileType;
use rustix::net::sockopt;

/// Takes a listening socket by its number; once, and `None` if there is no such thing.
pub(crate) fn listener(number: RawFd) -> Option<UnixListener> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    take(number, &TAKEN, |fd| sockopt::socket_acceptconn(fd).ok() == Some(true)).map(UnixListener::from)
}

/// Takes a connection by its number; once, and `None` if there is no such thing.
pub(crate) fn connection(number: RawFd) -> Option<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    take(number, &TAKEN, |fd| sockopt::socket_acceptconn(fd).ok() == Some(false))
}

/// Takes a file by its number; once, and `None` if there is no such thing.
pub(crate) fn file(number: RawFd) -> Option<File> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    take(number, &TAKEN, |fd| is(fd, FileType::RegularFile)).map(File::from)
}

/// Takes the file of events by its number; once, and `None` if there is no such thing.
pub(crate) fn events(number: RawFd) -> Option<File> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    take(number, &TAKEN, |fd| is(fd, FileType::RegularFile)).map(File::from)
}

/// Takes a folder by its number; once, and `None` if there is no such thing.
pub(crate) fn folder(number: RawFd) -> Option<File> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    take(number, &TAKEN, |fd| is(fd, FileType::Directory)).map(File::from)
}

fn is(fd: BorrowedFd<'_>, kind: FileType) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == kind)
}

/// One that is what is looked for: no two ask for the same, so that no number is taken twice.
fn take(number: RawFd, taken: &AtomicBool, is_it: fn(BorrowedFd<'_>) -> bool) -> Option<OwnedFd> {
    // 0 to 2 are somebody's already.
    if number < 3 || taken.swap(true, Ordering::Relaxed) {
        return None;
    }
    // SAFETY: only looked at, by calls that fail for a number that is no open descriptor.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    // Those that this program has opened itself close when it executes another.
    let left = !rustix::io::fcntl_getfd(fd).ok()?.contains(rustix::io::FdFlags::CLOEXEC);
    if !left || !is_it(fd) {
        return None;
    }
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC).ok()?;
    // SAFETY: it is open, and was before this program began; nothing in this program knows its
    // number but this function, which takes it once.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}
