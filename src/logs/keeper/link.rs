//! The daemon's side: finds the keeper, or makes one, and tells it what to hold.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, bind, connect, listen, recv, sendmsg, socket_with,
};

use super::{HOLD, LET_GO, Make, NUMBERS, numbers, path};
use crate::paths::Places;
use crate::sys::spawn::Child;
use crate::sys::watched::Watched;

/// How often, and how long each time, a keeper is waited for that does not come to reading.
const TRIES: usize = 100;
const TRY: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// A connection to the keeper.
#[derive(Debug)]
pub(in crate::logs) struct Link {
    socket: Watched,
    /// The keeper, if this process started it.
    child: Option<Child>,
}

impl Link {
    /// Connects to the keeper that there is.
    ///
    /// # Errors
    /// It is another user's, or cannot be spoken to.
    pub(in crate::logs) fn find(places: &Places) -> io::Result<Option<Self>> {
        let found = reach(places)?;
        found.map(|socket| Ok(Self { socket: Watched::new(socket)?, child: None })).transpose()
    }

    /// Makes one where there is none.
    ///
    /// # Errors
    /// Its socket cannot be made, or it cannot be executed.
    pub(in crate::logs) fn make(places: &Places, make: Make) -> io::Result<Self> {
        let path = path(places.make_runtime()?);
        // A keeper that was killed has left it.
        let _not_there = std::fs::remove_file(&path);
        let listener = new()?;
        bind(&listener, &SocketAddrUnix::new(&path)?)?;
        listen(&listener, 4)?;
        let made = reach(places).and_then(|socket| {
            let socket = socket.ok_or(io::ErrorKind::NotConnected)?;
            Ok(Self { socket: Watched::new(socket)?, child: make(listener, places)? })
        });
        made.inspect_err(|_| drop(std::fs::remove_file(&path)))
    }

    /// Has it hold pipes. From its return on they are held.
    pub(in crate::logs) fn hold(&self, pipes: &[OwnedFd; 2]) -> io::Result<()> {
        let fds = [pipes[0].as_fd(), pipes[1].as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        rights.push(SendAncillaryMessage::ScmRights(&fds));
        self.send(&[HOLD], &mut rights)
    }

    /// Has it hold them no more.
    pub(in crate::logs) fn let_go(&self, pipes: &[OwnedFd; 2]) -> io::Result<()> {
        let mut bytes = [LET_GO; 1 + 2 * NUMBERS];
        for (place, pipe) in bytes[1..].chunks_mut(NUMBERS).zip(pipes) {
            place.copy_from_slice(&numbers(&rustix::fs::fstat(pipe)?));
        }
        self.send(&bytes, &mut SendAncillaryBuffer::default())
    }

    fn send(&self, bytes: &[u8], rights: &mut SendAncillaryBuffer<'_, '_, '_>) -> io::Result<()> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let mut left = TRIES;
        loop {
            match sendmsg(self.socket.get(), &[IoSlice::new(bytes)], rights, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                // It has much to read, or so many descriptors are on their way.
                Err(Errno::AGAIN | Errno::TOOMANYREFS) if left > 0 => {
                    left -= 1;
                    let _waited = poll(&mut [], Some(&TRY));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the keeper is gone; it should not go as long as this lives.
    pub(in crate::logs) async fn ended(&self) {
        let heard = |socket: &OwnedFd| match recv(socket, &mut [0_u8; 64], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => Err(io::ErrorKind::BrokenPipe.into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        };
        while self.socket.drain(heard).await.is_ok() {}
        if let Some(child) = &self.child {
            child.ended().await;
        }
    }
}

/// A connection to who listens; `None` where nobody does.
fn reach(places: &Places) -> io::Result<Option<OwnedFd>> {
    let (path, socket) = (path(&places.runtime), new()?);
    match connect(&socket, &SocketAddrUnix::new(&path)?) {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    if getsockopt(&socket, sockopt::PeerCredentials)?.uid() != places.uid {
        let why = format!("{} is another user's", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(Some(socket))
}

fn new() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}
