//! A stream into the journal: what sd_journal_stream_fd(3) gives, without libsystemd.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

const SOCKET: &str = "/run/systemd/journal/stdout";

/// The priority of standard error in the journal (`LOG_ERR` of syslog(3)); that of standard output
/// is 6, as systemd has it.
pub(crate) const ERR: u8 = 3;

/// Lines written into it stand in the journal with this identifier and priority. Prefixes such
/// as `<6>` are left as they are: the priority says which stream it was.
///
/// Never waits for the journal: one that takes no connections is an error.
pub(crate) fn journal_stream(identifier: &str, priority: u8) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(SOCKET)?)?;
    rustix::net::shutdown(&socket, rustix::net::Shutdown::Read)?;
    // Identifier, unit (only root may say one), priority, prefixes, and three kinds of forwarding.
    let head = format!("{identifier}\n\n{priority}\n0\n0\n0\n0\n");
    if rustix::net::send(&socket, head.as_bytes(), rustix::net::SendFlags::NOSIGNAL)? != head.len() {
        return Err(io::Error::other("the journal took only a part"));
    }
    // A program does not expect that writing to its standard error fails because it would wait.
    let flags = fcntl_getfl(&socket)?;
    fcntl_setfl(&socket, flags - OFlags::NONBLOCK)?;
    Ok(socket)
}
