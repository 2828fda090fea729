//! The bytes of a connection, with bounds: how long a message may be, how many a peer may have
//! under way, how long it may take to read what it is sent. Descriptors that a peer passes along
//! are never received: the kernel drops them.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};
use zbus::export::async_trait::async_trait;

/// The longest message: the definitions of thousands of services.
const LONGEST: usize = 16 << 20;
/// Longer ones than this share one budget among all connections.
const SMALL: usize = 64 << 10;
/// The budget, in units of 64 KiB.
pub(super) const BUDGET: usize = 512;
/// How many calls of one peer may be under way.
pub(super) const SLOTS: usize = 8;
/// How long a peer may take to go on reading, or to send the rest of a long message.
const STALL: Duration = Duration::from_secs(10);

/// The right to have a message: given back when its call has been answered.
#[derive(Debug)]
pub(in super::super) struct Ticket(#[expect(dead_code, reason = "held")] Vec<OwnedSemaphorePermit>);

/// A stream with its bounds.
#[derive(Debug)]
pub(super) struct Bounded {
    pub(super) stream: UnixStream,
    /// What came after the greeting.
    pub(super) received: Vec<u8>,
    /// Shared by all connections.
    pub(super) budget: Arc<Semaphore>,
    /// One for each message, in their order.
    pub(super) tickets: mpsc::UnboundedSender<Ticket>,
}

impl Socket for Bounded {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (read, write) = self.stream.into_split();
        let reader = Reader {
            stream: read,
            received: self.received,
            budget: self.budget,
            slots: Arc::new(Semaphore::new(SLOTS)),
            tickets: self.tickets,
            permits: Vec::new(),
            header: Vec::with_capacity(16),
            left: 0,
        };
        Split::new(reader, Writer(write))
    }
}

/// Where messages come from.
#[derive(Debug)]
pub(super) struct Reader {
    stream: OwnedReadHalf,
    received: Vec<u8>,
    budget: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    tickets: mpsc::UnboundedSender<Ticket>,
    permits: Vec<OwnedSemaphorePermit>,
    /// The first 16 bytes of the message, as far as they have come.
    header: Vec<u8>,
    /// What is left of the message after those.
    left: usize,
}

impl Reader {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.received.is_empty() {
            return self.stream.read(buffer).await;
        }
        let some = buffer.len().min(self.received.len());
        buffer[..some].copy_from_slice(&self.received[..some]);
        self.received.drain(..some);
        Ok(some)
    }

    /// The header is whole: how long is the rest, and may it come?
    async fn admit(&mut self) -> io::Result<()> {
        let total = length(&self.header).filter(|total| *total <= LONGEST);
        let total = total.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no message, or one too long"))?;
        self.left = total - 16;
        if total > SMALL {
            let units = u32::try_from(total.div_ceil(SMALL)).unwrap_or(u32::MAX);
            let permit = Arc::clone(&self.budget).acquire_many_owned(units).await;
            self.permits.push(permit.map_err(io::Error::other)?);
        }
        Ok(())
    }

    fn complete(&mut self) {
        self.header.clear();
        // Nobody takes it: the connection is ending.
        let _ = self.tickets.send(Ticket(std::mem::take(&mut self.permits)));
    }
}

/// The length of the message that has this header, padding included.
pub(in super::super) fn length(header: &[u8]) -> Option<usize> {
    let number = |at: usize| {
        let bytes: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
        let number = if header[0] == b'B' { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        usize::try_from(number).ok()
    };
    if !matches!(header.first(), Some(b'l' | b'B')) {
        return None;
    }
    let fields = number(12)?.checked_next_multiple_of(8)?;
    fields.checked_add(number(4)?)?.checked_add(16)
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        if self.header.len() < 16 {
            if self.header.is_empty() && self.permits.is_empty() {
                let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
                self.permits.push(slot);
            }
            let some = buffer.len().min(16 - self.header.len());
            let read = self.read(&mut buffer[..some]).await?;
            self.header.extend_from_slice(&buffer[..read]);
            if self.header.len() == 16 {
                self.admit().await?;
                if self.left == 0 {
                    self.complete();
                }
            }
            return Ok((read, Vec::new()));
        }
        let some = buffer.len().min(self.left);
        // Who holds a part of the budget must use it.
        let read = match self.permits.len() {
            0 | 1 => self.read(&mut buffer[..some]).await?,
            _ => tokio::time::timeout(STALL, self.read(&mut buffer[..some])).await??,
        };
        self.left -= read;
        if self.left == 0 {
            self.complete();
        }
        Ok((read, Vec::new()))
    }
}

/// Where answers and signals go.
#[derive(Debug)]
pub(super) struct Writer(OwnedWriteHalf);

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, buffer: &[u8], _: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let stalled = |_| io::Error::new(io::ErrorKind::TimedOut, "it does not read what it is sent");
        tokio::time::timeout(STALL, self.0.write(buffer)).await.map_err(stalled)?
    }

    async fn close(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn lengths_are_those_of_messages() {
        let message = zbus::Message::method_call("/a/b", "Do").unwrap_body();
        assert_eq!(length(&message.data()[..16]), Some(message.data().len()));
        assert_eq!(length(&[b'x'; 16]), None);
        assert_eq!(length(b"l\x01\0\x01"), None);
        let huge = [b'l', 1, 0, 1, 255, 255, 255, 255, 1, 0, 0, 0, 255, 255, 255, 255];
        assert!(length(&huge).is_none_or(|n| n > super::LONGEST));
    }

    trait Built {
        fn unwrap_body(self) -> zbus::Message;
    }
    impl Built for zbus::message::Builder<'_> {
        fn unwrap_body(self) -> zbus::Message {
            self.build(&("text", 7u32)).unwrap()
        }
    }
}
