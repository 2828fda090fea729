//! An http address: TCP or, in the form `http://unix:/path/to/socket:/request`, a Unix socket.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;

use super::address::{Endpoint, parse_port};
use crate::model::Malformed;
use crate::text::clip;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Over TCP.
    Tcp(Endpoint),
    /// Over a Unix socket.
    Unix(PathBuf),
}

/// A checked http URL without user, password and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    to: To,
    path: String,
}

impl HttpUrl {
    /// A path (with its query) at an address; the path starts with '/'.
    pub fn new(to: To, path: &str) -> Result<Self, Malformed> {
        Ok(Self { to, path: check_path(path)? })
    }

    /// Where it leads.
    pub fn to(&self) -> &To {
        &self.to
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The URL without its path, as people would use it.
    pub fn base(&self) -> String {
        match &self.to {
            To::Tcp(endpoint) => format!("http://{endpoint}"),
            To::Unix(path) => format!("http://unix:{}", path.display()),
        }
    }

    /// What stands in the Host header.
    pub(super) fn authority(&self) -> String {
        match &self.to {
            To::Tcp(endpoint) => endpoint.to_string(),
            To::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl FromStr for HttpUrl {
    type Err = Malformed;

    fn from_str(s: &str) -> Result<Self, Malformed> {
        let wrong = |why: &str| Err(Malformed(format!("URL '{}': {why}", clip(s))));
        if s.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
            return wrong("https is not spoken; tcp:HOST:PORT checks that the server accepts connections");
        }
        let Some(rest) = s.get(..7).filter(|p| p.eq_ignore_ascii_case("http://")).and(s.get(7..)) else {
            return wrong("it does not start with http://");
        };
        if let Some(rest) = rest.strip_prefix("unix:") {
            let (socket, path) = rest.split_once(':').unwrap_or((rest, "/"));
            if !socket.starts_with('/') || socket.chars().any(char::is_control) {
                return wrong(
                    "a socket's path starts with '/', as http://unix:/run/x.sock:/health, without control characters",
                );
            }
            return Ok(Self { to: To::Unix(socket.into()), path: check_path(path)? });
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or_default();
        if authority.contains('@') {
            return wrong("user and password are not supported");
        }
        if authority.is_empty() || authority.starts_with(':') {
            return wrong("the host is missing");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, parse_port(port)),
            _ => (authority, Ok(80)),
        };
        let endpoint = port.and_then(|port| Endpoint::new(host, port));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        match (endpoint, check_path(&path)) {
            (Ok(endpoint), Ok(path)) => Ok(Self { to: To::Tcp(endpoint), path }),
            (Err(error), _) | (_, Err(error)) => wrong(&error.0),
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if matches!(self.to, To::Unix(_)) { ":" } else { "" };
        write!(f, "{}{colon}{}", self.base(), self.path)
    }
}

/// Whether the HTTP library takes it as the target of a request.
fn check_path(path: &str) -> Result<String, Malformed> {
    let good = path.starts_with('/') && path.is_ascii() && Uri::builder().path_and_query(path).build().is_ok();
    if good {
        return Ok(path.to_owned());
    }
    Err(Malformed(format!("path '{}' must start with '/' and be of visible ASCII (else %-encoded)", clip(path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_read_back() {
        for (written, shown) in [
            ("http://localhost:8080/health", "http://localhost:8080/health"),
            ("HTTP://localhost", "http://localhost:80/"),
            ("http://[::]:9?x=1#part", "http://[::1]:9/?x=1"),
            ("http://0.0.0.0:1", "http://127.0.0.1:1/"),
            ("http://[::1]", "http://[::1]:80/"),
            ("http://unix:/run/x.sock:/_ping", "http://unix:/run/x.sock:/_ping"),
            ("http://unix:/run/x.sock", "http://unix:/run/x.sock:/"),
        ] {
            assert_eq!(written.parse::<HttpUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn malformed_urls_name_the_part() {
        for (word, part) in [
            ("https://x/", "tcp:HOST:PORT"),
            ("ftp://x/", "http://"),
            ("http://", "host is missing"),
            ("http://:80/", "host is missing"),
            ("http://u:p@x/", "user and password"),
            ("http://x:70000/", "'70000'"),
            ("http://x:/", "TCP port"),
            ("http://x/a b", "'/a b'"),
            ("http://x/a\r\nHost: y", "\\r\\n"),
            ("http://unix:run/x", "starts with '/'"),
        ] {
            let error = word.parse::<HttpUrl>().unwrap_err().to_string();
            assert!(error.contains(part), "{word:?}: {error}");
        }
    }
}
