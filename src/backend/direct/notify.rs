//! The socket on which services say how they are: sd_notify(3).

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::Inner;
use crate::model::ServiceId;
use crate::sys::watched::Watched;

/// The socket.
pub(super) struct Notify {
    socket: Watched,
    path: PathBuf,
}

/// Longer messages are cut, as systemd does.
const LONGEST: usize = 4096;

impl Notify {
    /// A new socket in the place of one that an earlier daemon left.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = std::os::unix::net::UnixDatagram::bind(path)?;
        socket.set_nonblocking(true)?;
        rustix::net::sockopt::set_socket_passcred(&socket, true)?;
        Ok(Self { socket: Watched::new(OwnedFd::from(socket))?, path: path.to_owned() })
    }

    /// What it is heard on.
    #[cfg(test)]
    pub(super) fn socket(&self) -> &OwnedFd {
        self.socket.get()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Listens as long as the backend lives.
pub(super) async fn listen(inner: Weak<Inner>) {
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let Some(notify) = &strong.notify else { return };
        if let Err(error) = notify.socket.drain(|socket| take(&strong, socket)).await {
            tracing::error!("what services say cannot be read: {error}");
            return;
        }
    }
}

/// As much is taken in one go: somebody may say something without end.
const TURN: usize = 1000;

/// Takes notice of what was said until now.
pub(super) fn take_all(inner: &Rc<Inner>) {
    let Some(notify) = &inner.notify else { return };
    let _read = (0..TURN).find(|_| take(inner, notify.socket.get()).is_err());
}

/// Takes notice of one message.
pub(super) fn take(inner: &Rc<Inner>, socket: &OwnedFd) -> io::Result<()> {
    let (sender, message) = receive(socket)?;
    if let Some(pid) = sender {
        hear(inner, pid, &message);
    }
    Ok(())
}

/// One message and the process that sent it, as the kernel has it.
fn receive(socket: &OwnedFd) -> io::Result<(Option<u32>, Vec<u8>)> {
    let mut buffer = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1), ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut buffer)], &mut ancillary, flags)?;
    let mut sender = None;
    // To its end: what is left of a drain that was begun is not at the start of a message, where it is
    // read again when the buffer goes. Descriptors (`systemd-notify` sends one to see it closed) are closed.
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmCredentials(creds) = message {
            sender = u32::try_from(creds.pid.as_raw_nonzero().get()).ok();
        }
    }
    buffer.truncate(received.bytes);
    Ok((sender, buffer))
}

fn hear(inner: &Rc<Inner>, pid: u32, message: &[u8]) {
    let Some(id) = service_of(inner, pid) else {
        tracing::debug!(pid, "a message of somebody who is no service");
        return;
    };
    inner.says(&id, message);
}

/// Of which service a process is: the main process, a descendant of one, or one with the mark.
pub(super) fn service_of(inner: &Inner, pid: u32) -> Option<ServiceId> {
    let mut at = pid;
    for _ in 0..64 {
        if let Some(id) = inner.mains.borrow().get(&at) {
            return Some(id.clone());
        }
        match inner.proc.stat(at) {
            Ok(stat) if stat.ppid > 1 => at = stat.ppid,
            _ => break,
        }
    }
    super::look::service_of(inner, pid)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixDatagram;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    #[test]
    fn descriptors_that_come_with_a_message_are_closed() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        rustix::net::sockopt::set_socket_passcred(&ours, true).unwrap();
        let ours = OwnedFd::from(ours);
        for n in 0..20 {
            let (read, write) = rustix::pipe::pipe().unwrap();
            let fds = [write.as_fd(), write.as_fd(), write.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds[..1 + n % 3])));
            let text = [std::io::IoSlice::new(b"WATCHDOG=1")];
            sendmsg(&theirs, &text, &mut ancillary, SendFlags::empty()).unwrap();
            drop(write);
            assert_eq!(receive(&ours).unwrap(), (Some(std::process::id()), b"WATCHDOG=1".to_vec()));
            // Its end: nobody holds the other side any more.
            assert_eq!(rustix::io::read(&read, &mut [0; 1]).unwrap(), 0);
        }
    }
}
