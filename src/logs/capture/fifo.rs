//! The named pipes between services and the daemon.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

use super::super::layout::{Side, named};
use crate::model::ServiceId;
use crate::paths::{Places, make_private};

/// Where the pipe of a stream is.
pub(super) fn path(places: &Places, id: &ServiceId, side: Side) -> PathBuf {
    places.state.join("fifo").join(format!("{id}.{}", side.name()))
}

/// Makes the pipe if it is not there, and opens it.
///
/// # Errors
/// Something else is there: it is neither used nor removed.
pub(super) fn make(places: &Places, id: &ServiceId, side: Side) -> io::Result<OwnedFd> {
    let path = path(places, id, side);
    let parent = path.parent().unwrap_or(&places.state);
    make_private(parent, places.uid).map_err(|error| named(parent.display(), &error))?;
    match rustix::fs::mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(named(path.display(), &error.into())),
    }
    open(places, &path, OFlags::NONBLOCK)
}

/// Opens a pipe that is there for reading and writing: then nothing breaks when the other side
/// goes, and nothing is told of it. `Interrupted` calls are the caller's to repeat.
pub(super) fn open(places: &Places, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let refused = |why: &str| {
        let why = format!("{} is not used for output: {why}", path.display());
        io::Error::new(io::ErrorKind::PermissionDenied, why)
    };
    // Looked at before it is opened: opening a device can have effects.
    let before = path.symlink_metadata().map_err(|error| named(path.display(), &error))?;
    if FileType::from_raw_mode(before.mode()) != FileType::Fifo {
        return Err(refused("something else than a named pipe is there"));
    }
    let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| named(path.display(), &error.into()))?;
    let found = rustix::fs::fstat(&fd)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Fifo {
        return Err(refused("something else than a named pipe is there"));
    }
    if found.st_uid != places.uid || found.st_mode & 0o077 != 0 {
        return Err(refused("others could read or write it"));
    }
    Ok(fd)
}

/// A copy of what is in the pipe of a stream and when the last of it came; it stays where it is.
pub(in crate::logs) fn peek(places: &Places, id: &ServiceId, side: Side) -> io::Result<(Vec<u8>, SystemTime)> {
    let path = path(places, id, side);
    let fifo = open(places, &path, OFlags::NONBLOCK)?;
    let written = path.symlink_metadata()?.modified()?;
    let (copy, end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    tee(&fifo, end, 1 << 20, SpliceFlags::NONBLOCK)?;
    let mut bytes = Vec::new();
    File::from(copy).read_to_end(&mut bytes)?;
    Ok((bytes, written))
}
