//! A full disk, the one reason for which output is dropped.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

/// The places of losses that are remembered until they are written down; later ones count at the
/// last.
const PLACES: usize = 64;

/// Whether there is no room: no space, no quota, or the file may not grow.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull, WriteZero};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge | WriteZero)
}

/// What was lost of a stream.
#[derive(Debug, Default)]
pub(super) struct Loss {
    /// Offset and length of what nobody has written down yet.
    untold: Vec<(u64, u64)>,
    /// Whether the last attempt found no room.
    full: bool,
    /// Whether what was lost ends within a line.
    torn: bool,
}

impl Loss {
    /// The first that is not written down.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        self.untold.first().copied()
    }

    /// It is.
    pub(super) fn told(&mut self) {
        self.untold.remove(0);
    }

    /// Whether the next bytes are the rest of a line whose beginning is lost.
    pub(super) fn is_torn(&self) -> bool {
        self.torn
    }

    /// Nothing found room; whether that is news.
    pub(super) fn begins(&mut self) -> bool {
        !std::mem::replace(&mut self.full, true)
    }

    /// Something found room; whether that is news.
    pub(super) fn ends(&mut self) -> bool {
        std::mem::take(&mut self.full)
    }

    /// Drops what is in the pipe now, and no more than that. `offset` is where it would have gone.
    pub(super) fn drop_from(&mut self, fifo: &OwnedFd, offset: u64) -> io::Result<usize> {
        let mut left = usize::try_from(rustix::io::ioctl_fionread(fifo)?).unwrap_or(usize::MAX);
        let mut buffer = [0; 8192];
        let mut lost = 0;
        while left > 0 {
            let room = left.min(buffer.len());
            match rustix::io::read(fifo, &mut buffer[..room]) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(n) => {
                    self.torn = buffer[n - 1] != b'\n';
                    lost += n;
                    left -= n;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.count(offset, lost);
        Ok(lost)
    }

    /// Drops these. `offset` is where they would have gone.
    pub(super) fn drop_bytes(&mut self, bytes: &[u8], offset: u64) {
        self.torn = bytes.last().is_some_and(|byte| *byte != b'\n');
        self.count(offset, bytes.len());
    }

    /// Drops the rest of a line, and nothing of the next one; how much it was. `offset` is where it
    /// would have gone.
    ///
    /// # Errors
    /// `WouldBlock`: the pipe is empty.
    pub(super) fn skip_line(&mut self, fifo: &OwnedFd, offset: u64) -> io::Result<usize> {
        // Looked at in a copy, so that what follows it stays where it is.
        let (copy, end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let seen = tee(fifo, end, 1 << 16, SpliceFlags::NONBLOCK)?;
        let mut bytes = Vec::with_capacity(seen);
        File::from(copy).read_to_end(&mut bytes)?;
        let line_end = bytes.iter().position(|byte| *byte == b'\n');
        let mut rest = vec![0; line_end.map_or(bytes.len(), |at| at + 1)];
        let mut dropped = 0;
        while let Some(room) = rest.get_mut(dropped..).filter(|room| !room.is_empty()) {
            match rustix::io::read(fifo, room) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(n) => dropped += n,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.torn = line_end.is_none();
        self.count(offset, dropped);
        Ok(dropped)
    }

    fn count(&mut self, offset: u64, lost: usize) {
        let (lost, full) = (lost as u64, self.untold.len() >= PLACES);
        match self.untold.last_mut() {
            Some(last) if last.0 == offset || full => last.1 += lost,
            _ if lost > 0 => self.untold.push((offset, lost)),
            _ => {}
        }
    }
}
