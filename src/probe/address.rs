//! Where to connect: a host and a port, as written by people, options, variables and the kernel.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::model::Malformed;
use crate::text::clip;

/// A host and a TCP port that can be connected to.
///
/// An address that only means "all interfaces" to a listener (`0.0.0.0`, `::`, `*`, nothing) becomes
/// the loopback address of its family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

impl Endpoint {
    /// From a host as it stands in an option or a URL (`localhost`, `0.0.0.0`, `::1`, `[::1]`, empty).
    pub fn new(host: &str, port: u16) -> Result<Self, Malformed> {
        if port == 0 {
            return Err(Malformed("port '0' is no TCP port: a whole number from 1 to 65535".to_owned()));
        }
        Ok(Self { host: parse_host(host)?, port })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The addresses that need no resolver; `None` for a name that does.
    pub(super) fn literal(&self) -> Option<Vec<SocketAddr>> {
        let at = |ip: IpAddr| SocketAddr::new(ip, self.port);
        match &self.host {
            Host::Ip(ip) => Some(vec![at(*ip)]),
            Host::Name(name) if name.eq_ignore_ascii_case("localhost") => {
                Some(vec![at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())])
            }
            Host::Name(_) => None,
        }
    }

    /// Whether it can only lead to this host, without asking a resolver.
    pub(super) fn is_loopback(&self) -> bool {
        self.literal().is_some_and(|all| all.iter().all(|address| address.ip().to_canonical().is_loopback()))
    }

    /// The host without brackets.
    pub(super) fn host(&self) -> String {
        match &self.host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Ip(connectable(address.ip())), port: address.port() }
    }
}

impl FromStr for Endpoint {
    type Err = Malformed;

    /// `HOST:PORT`, `[V6]:PORT`, `:PORT` or `PORT` alone, which is this host's.
    fn from_str(s: &str) -> Result<Self, Malformed> {
        let (host, port) = match s.rsplit_once(':') {
            Some((host, _)) if host.contains(':') && !host.starts_with('[') => {
                return Err(Malformed(format!("'{}': an IPv6 address stands in brackets, as [::1]:80", clip(s))));
            }
            Some(parts) => parts,
            None => ("", s),
        };
        if s.starts_with('[') && !host.ends_with(']') {
            return Err(Malformed(format!("'{}': no port follows the address", clip(s))));
        }
        Self::new(host, parse_port(port)?)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Reads a TCP port; digits only, so that `+80` is none.
pub(super) fn parse_port(s: &str) -> Result<u16, Malformed> {
    let digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match s.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(Malformed(format!("'{}' is no TCP port: a whole number from 1 to 65535", clip(s)))),
    }
}

/// What a listener calls "every interface" is reached at the loopback address of its family.
fn connectable(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

fn parse_host(host: &str) -> Result<Host, Malformed> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if matches!(host, "" | "*") {
        return Ok(Host::Ip(Ipv4Addr::LOCALHOST.into()));
    }
    if let Ok(ip) = bare.unwrap_or(host).parse::<IpAddr>() {
        return Ok(Host::Ip(connectable(ip)));
    }
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if bare.is_none() && host.len() <= 253 && host.bytes().all(valid) {
        return Ok(Host::Name(host.to_owned()));
    }
    Err(Malformed(format!("'{}' is no host: a name, an IPv4 address, or an IPv6 address in brackets", clip(host))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_interfaces_are_reached_at_loopback() {
        let shown = |s: &str| s.parse::<Endpoint>().unwrap().to_string();
        assert_eq!(shown("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(shown("[::]:80"), "[::1]:80");
        assert_eq!(shown(":80"), "127.0.0.1:80");
        assert_eq!(shown("80"), "127.0.0.1:80");
        assert_eq!(shown("*:80"), "127.0.0.1:80");
        assert_eq!(shown("[::ffff:10.0.0.1]:80"), "10.0.0.1:80");
        assert_eq!(shown("gpu-1.example:80"), "gpu-1.example:80");
        let mapped: SocketAddr = "[::ffff:0.0.0.0]:1".parse().unwrap();
        assert_eq!(Endpoint::from(mapped).to_string(), "127.0.0.1:1");
    }

    #[test]
    fn malformed_addresses_name_the_part() {
        for (word, part) in [
            ("localhost", "TCP port"),
            ("localhost:", "TCP port"),
            ("localhost:70000", "'70000'"),
            ("localhost:0", "'0'"),
            ("localhost:+80", "'+80'"),
            ("::1:80", "brackets"),
            ("[::1]", "no port"),
            ("[zz]:80", "'[zz]'"),
            ("a b:80", "'a b'"),
            ("a\u{1b}:80", "\\u{1b}"),
        ] {
            let error = word.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(part), "{word:?}: {error}");
        }
    }
}
