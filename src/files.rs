//! Opening what others may have put where a path leads.

use std::fs::{File, Metadata};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// A regular file, and nothing else: who may choose where a name leads must not have a device opened,
/// or the daemon wait for a FIFO.
pub(crate) fn open_regular(path: &Path) -> Option<(File, Metadata)> {
    let place = File::from(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?);
    let found = place.metadata().ok().filter(Metadata::is_file)?;
    let file = File::open(format!("/proc/self/fd/{}", place.as_raw_fd())).ok()?;
    Some((file, found))
}
