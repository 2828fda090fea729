//! News of TCP sockets that are gone: sock_diag(7)'s multicast groups, which anybody may hear.

use std::io;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink, recv, socket_with};

use crate::sys::watched::Watched;

/// `SKNLGRP_INET_TCP_DESTROY` (1) and `SKNLGRP_INET6_TCP_DESTROY` (3) of linux/sock_diag.h, since
/// Linux 4.5, as bits.
const GROUPS: u32 = 1 | 1 << 2;

/// Hears of every TCP socket of this network namespace that goes away, whoever's it was. On a busy
/// host that is often: who listens looks for what matters to them, and not too often.
#[derive(Debug)]
pub(crate) struct Closings(Watched);

impl Closings {
    /// From now on. Needs a tokio runtime with I/O.
    pub(crate) fn watch() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::SOCK_DIAG))?;
        rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self(Watched::new(socket)?))
    }

    /// Returns when at least one has gone since the last time.
    pub(crate) async fn some(&self) -> io::Result<()> {
        let mut buffer = [0; 1024];
        let next = |socket: &_| match recv(socket, &mut buffer, RecvFlags::empty()) {
            // What did not fit into the queue is lost, and was news all the same.
            Ok(_) | Err(Errno::NOBUFS) => Ok(()),
            Err(error) => Err(error.into()),
        };
        self.0.drain(next).await
    }
}
