//! What the child says before it executes its program, on a pipe that then closes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::fork::Shared;
use super::{Fault, MESSAGE};

/// The reading end. With the end of the report the child has left our memory.
pub(super) struct Report {
    fd: OwnedFd,
    /// `None` once the child does not use it any more.
    shared: Option<Box<Shared>>,
    found: Vec<Fault>,
}

impl Report {
    /// Of a child that uses this; the pipe must be non-blocking.
    pub(super) fn new(fd: OwnedFd, shared: Option<Box<Shared>>) -> Self {
        Self { fd, shared, found: Vec::new() }
    }

    /// Reads what is there; `true` at the end.
    pub(super) fn take(&mut self) -> io::Result<bool> {
        loop {
            let mut message = [0; MESSAGE];
            match rustix::io::read(&self.fd, &mut message) {
                Ok(MESSAGE) => self.found.extend(Fault::read(&message)),
                Ok(_) => {
                    self.shared = None;
                    return Ok(true);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What was said.
    pub(super) fn found(mut self) -> Vec<Fault> {
        std::mem::take(&mut self.found)
    }

    /// Blocks until there is something to take.
    pub(super) fn wait(&self, limit: Option<&Timespec>) -> io::Result<()> {
        match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], limit) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Report {
    /// The child may use its memory still. Its gate has closed or opened, so that it is soon done;
    /// where that takes long (a folder on a network that hangs) the memory is left to it.
    fn drop(&mut self) {
        let short = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        if self.shared.is_some() && self.wait(Some(&short)).is_ok() {
            let _ = self.take();
        }
        if let Some(shared) = self.shared.take() {
            std::mem::forget(shared);
        }
    }
}

impl AsFd for Report {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Report").field(&self.fd).finish()
    }
}
