//! Listeners by /proc/net/tcp and tcp6: what is left where netlink is forbidden.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Listener;

/// `TCP_LISTEN`, as the file writes it.
const LISTEN: &str = "0A";

pub(super) fn listeners() -> io::Result<Vec<Listener>> {
    let mut all = parse(&std::fs::read_to_string("/proc/net/tcp")?);
    // Absent where the kernel has no IPv6.
    all.extend(parse(&std::fs::read_to_string("/proc/net/tcp6").unwrap_or_default()));
    Ok(all)
}

fn parse(text: &str) -> Vec<Listener> {
    text.lines().skip(1).filter_map(listener).collect()
}

fn listener(line: &str) -> Option<Listener> {
    let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let addr = address(fields.get(1)?)?;
    Some(Listener { addr, uid: fields.get(7)?.parse().ok()?, inode: fields.get(9)?.parse().ok()?, cgroup_id: None })
}

/// `0100007F:1F90`: the address as numbers of 32 bits in the byte order of the machine.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let mut bytes = Vec::with_capacity(16);
    for at in (0..ip.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(&bytes[..]) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[..]).ok()?)),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn lines() {
        let text = "head\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 4711 1 0 100\n\
            1: 0100007F:A825 0100007F:C67C 06 00000000:00000000 03:00001431 00000000     0        0 0 3 0\n\
            2: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 9 1\n";
        let found = parse(text);
        let addresses: Vec<String> = found.iter().map(|l| l.addr.to_string()).collect();
        assert_eq!(addresses, ["127.0.0.1:8080", "[::1]:80"]);
        assert_eq!((found[0].uid, found[0].inode), (998, 4711));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(line in "(\\PC|[0-9A-F: ]| 0A ){0,60}") {
            let _ = (listener(&line), address(&line));
        }
    }
}
