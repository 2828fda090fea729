//! What a server was told about its address: by its command line, then its environment, then nobody.

use std::cell::OnceCell;
use std::path::PathBuf;

use super::address::Endpoint;
use super::known::Server;
use super::recognise::{option, port_of};
use crate::model::Process;

/// Reads the environment of a process: names and values, `None` where it cannot be read.
pub type Environ<'e> = dyn Fn(u32) -> Option<Vec<(String, String)>> + 'e;

/// The settings of one server, read when they are asked for.
pub(super) struct Settings<'a> {
    server: &'a Server,
    process: Option<&'a Process>,
    environ: Option<&'a Environ<'a>>,
    variables: OnceCell<Option<Vec<(String, String)>>>,
    /// An address was given as https.
    pub(super) tls: bool,
}

/// HOST:PORT in one, as `OLLAMA_HOST` and `--address` have it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Address {
    host: String,
    port: Option<u16>,
    tls: bool,
}

impl<'a> Settings<'a> {
    pub(super) fn new(server: &'a Server, process: Option<&'a Process>, environ: Option<&'a Environ<'a>>) -> Self {
        let mut settings = Self { server, process, environ, variables: OnceCell::new(), tls: false };
        settings.tls = settings.address().is_some_and(|address| address.tls);
        settings
    }

    /// The port that it was told, or its default.
    pub(super) fn port(&self) -> u16 {
        self.said_port().unwrap_or(self.server.port)
    }

    /// Whether anybody told it a port.
    pub(super) fn port_is_said(&self) -> bool {
        self.said_port().is_some()
    }

    /// Whether it could have been told another port where this cannot be read.
    pub(super) fn may_be_elsewhere(&self) -> bool {
        let by_environ = !(self.server.port_env.is_empty() && self.server.address_env.is_empty());
        self.process.is_none_or(|p| p.cmdline.is_empty()) || (by_environ && self.variables().is_none())
    }

    /// Where it listens, going by settings alone.
    pub(super) fn endpoint(&self) -> Endpoint {
        let host = self.host().unwrap_or_default();
        // A list has its first address asked.
        let first = host.split([',', ' ']).next().unwrap_or_default();
        let port = self.port();
        Endpoint::new(first, port)
            .unwrap_or_else(|_| Endpoint::from(std::net::SocketAddr::from(([127, 0, 0, 1], port))))
    }

    /// Whether the host, if one was said, is loopback or all interfaces of this host: nothing else
    /// is connected to, or resolved, on a setting's word.
    pub(super) fn stays_here(&self) -> bool {
        self.endpoint().is_loopback()
    }

    /// Whether the address is what it would be if nothing had been said.
    pub(super) fn is_default(&self) -> bool {
        let loopback = ["127.0.0.1", "::1", "localhost"].contains(&self.endpoint().host().as_str());
        loopback && self.port() == self.server.port && self.prefix().is_empty()
    }

    /// The Unix socket that stands in place of a host, as llama-server takes it.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        let host = self.host()?;
        (host.starts_with('/') && host.ends_with(".sock")).then(|| host.into())
    }

    /// The prefix of all paths: empty, or with a slash before it and none behind.
    pub(super) fn prefix(&self) -> String {
        let said = self.option(&self.server.prefix_options).or_else(|| self.variable(&self.server.prefix_env));
        match said.unwrap_or_default().trim_matches('/') {
            "" => String::new(),
            prefix => format!("/{prefix}"),
        }
    }

    fn said_port(&self) -> Option<u16> {
        let from_options = || port_of(self.server, self.process?);
        let from_environ = || self.variable(&self.server.port_env)?.parse().ok();
        from_options().or_else(from_environ).or_else(|| self.address()?.port).filter(|port| *port > 0)
    }

    fn host(&self) -> Option<String> {
        self.option(&self.server.host_options)
            .or_else(|| self.variable(&self.server.host_env))
            .or_else(|| self.address().map(|address| address.host))
            .filter(|host| !host.is_empty())
    }

    fn address(&self) -> Option<Address> {
        self.option(&self.server.address_options)
            .or_else(|| self.variable(&self.server.address_env))
            .map(|said| address(&said))
    }

    fn option(&self, names: &[String]) -> Option<String> {
        option(&self.process?.cmdline, names).map(str::to_owned)
    }

    fn variable(&self, names: &[String]) -> Option<String> {
        if names.is_empty() {
            return None;
        }
        let variables = self.variables()?;
        let value = |name: &String| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
        names.iter().find_map(value).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    fn variables(&self) -> Option<&Vec<(String, String)>> {
        self.variables.get_or_init(|| (self.environ?)(self.process?.pid())).as_ref()
    }
}

/// Reads `[SCHEME://]HOST[:PORT][/…]` as ollama does: with a scheme and no port it is the scheme's.
fn address(said: &str) -> Address {
    let (scheme, rest) = said.split_once("://").unwrap_or(("", said));
    let authority = rest.split('/').next().unwrap_or_default();
    let scheme_port = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let (host, port) = match authority.rsplit_once(':') {
        // An IPv6 address without a port.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => (authority, None),
        Some((host, port)) => (host, port.parse().ok()),
        None => (authority, None),
    };
    Address { host: host.to_owned(), port: port.or(scheme_port).filter(|port| *port > 0), tls: scheme == "https" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_ollama_reads_them() {
        for (said, host, port) in [
            ("", "", None),
            ("0.0.0.0", "0.0.0.0", None),
            ("0.0.0.0:11500", "0.0.0.0", Some(11500)),
            (":8080", "", Some(8080)),
            ("http://10.0.0.1", "10.0.0.1", Some(80)),
            ("http://10.0.0.1:1234/x", "10.0.0.1", Some(1234)),
            ("[::1]:1234", "[::1]", Some(1234)),
            ("::1", "::1", None),
            ("host:99999", "host", None),
        ] {
            assert_eq!(address(said), Address { host: host.to_owned(), port, tls: false }, "{said}");
        }
        assert!(address("https://x").tls);
    }
}
