//! Listeners by netlink: sock_diag(7).

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload, Nla};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::Nla as Attribute;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::Listener;

/// `INET_DIAG_CGROUP_ID` of linux/inet_diag.h, since Linux 5.9.
const CGROUP_ID: u16 = 21;

/// As much as the kernel puts into one answer.
const BUFFER: usize = 32 * 1024;

/// `NLM_F_DUMP_INTR`: the list changed while it was written, and may lack something.
const INTERRUPTED: u16 = 0x10;

/// How often an interrupted list is asked for again.
const TRIES: usize = 5;

pub(super) fn listeners() -> io::Result<Vec<Listener>> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    let mut all = dump(&socket, AF_INET, SocketId::new_v4())?;
    all.extend(dump(&socket, AF_INET6, SocketId::new_v6())?);
    Ok(all)
}

fn dump(socket: &Socket, family: u8, socket_id: SocketId) -> io::Result<Vec<Listener>> {
    let (protocol, states) = (IPPROTO_TCP, StateFlags::LISTEN);
    let request = InetRequest { family, protocol, extensions: ExtensionFlags::empty(), states, socket_id };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut packet = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    let mut tries = 1;
    loop {
        socket.send(&bytes, 0)?;
        let (listeners, complete) = receive(socket)?;
        if complete || tries == TRIES {
            return Ok(listeners);
        }
        tries += 1;
    }
}

/// The answer, and whether it is complete.
fn receive(socket: &Socket) -> io::Result<(Vec<Listener>, bool)> {
    let mut listeners = Vec::new();
    let mut complete = true;
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        buffer.clear();
        match socket.recv(&mut buffer, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            received => received?,
        };
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(io::Error::other)?;
            complete &= message.header.flags & INTERRUPTED == 0;
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    listeners.push(listener(&response));
                }
                NetlinkPayload::Done(_) => return Ok((listeners, complete)),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Overrun(_) => complete = false,
                _ => {}
            }
            // Messages are aligned to four bytes, the last one need not be.
            let length = (message.header.length as usize).max(1).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

fn listener(response: &InetResponse) -> Listener {
    let id = &response.header.socket_id;
    let addr = match id.source_address {
        // Only a link-local address means something else on each interface.
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            SocketAddr::V6(SocketAddrV6::new(ip, id.source_port, 0, id.interface_id))
        }
        ip => SocketAddr::new(ip, id.source_port),
    };
    let cgroup_id = response.nlas.iter().find_map(|attribute| match attribute {
        Attribute::Other(other) if other.kind() == CGROUP_ID => {
            let mut bytes = [0; 8];
            (other.value_len() == bytes.len()).then(|| other.emit_value(&mut bytes))?;
            Some(u64::from_ne_bytes(bytes))
        }
        _ => None,
    });
    Listener { addr, uid: response.header.uid, inode: response.header.inode.into(), cgroup_id }
}
