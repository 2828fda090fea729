//! A descriptor in the runtime's reactor, owned so that it cannot be closed or exchanged under it.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How much is read in one go: whoever writes without end would leave nobody else a turn.
const TURN: u32 = 64;

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
    /// `WouldBlock` is the end, any other is returned. Others have their turns meanwhile.
    pub(crate) async fn drain(&self, mut read: impl FnMut(&OwnedFd) -> io::Result<()>) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        let mut left = TURN;
        loop {
            if left == 0 {
                tokio::task::yield_now().await;
                left = TURN;
            }
            left -= 1;
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn others_have_their_turns_while_something_is_written_without_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (read, write) = rustix::pipe::pipe().unwrap();
            rustix::io::write(&write, b"x").unwrap();
            let (watched, had_turns, reads) = (Watched::new(read).unwrap(), Cell::new(false), Cell::new(0));
            let drain = watched.drain(|_| {
                reads.set(reads.get() + 1);
                assert!(reads.get() < 10_000, "nobody else had a turn");
                if had_turns.get() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            let other = async {
                while reads.get() == 0 {
                    tokio::task::yield_now().await;
                }
                had_turns.set(true);
            };
            let (drained, ()) = tokio::join!(drain, other);
            drained.unwrap();
        });
    }
}
