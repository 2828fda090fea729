//! A descriptor in the runtime's reactor, owned so that it cannot be closed or exchanged under it.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Tells when there is something to read. The descriptor must be non-blocking.
#[derive(Debug)]
pub(crate) struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// Needs a tokio runtime with I/O.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` is open for as long as it lives, which is here as long as the
        // registration: nothing gives it away or lends it mutably.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        fd.map(Self).map_err(io::Error::from)
    }

    /// The descriptor, for calls that neither close it nor make it another.
    pub(crate) fn get(&self) -> &OwnedFd {
        self.0.get_ref()
    }

    /// Waits until there is something, and then reads with `read` until it returns an error:
    /// `WouldBlock` is the end, any other is returned.
    pub(crate) async fn drain(&self, mut read: impl FnMut(&OwnedFd) -> io::Result<()>) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        loop {
            match read(self.0.get_ref()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        ready.clear_ready();
        Ok(())
    }
}
