//! What to ask, as a person writes it: a URL, `tcp:HOST:PORT`, `unix:/path`, or a command.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::address::Endpoint;
use super::status::StatusSet;
use super::url::HttpUrl;
use crate::model::Malformed;
use crate::text::{clip, clip_to, escape, shell_quote};

/// One way to find out whether a service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeSpec {
    /// A GET request: available if status and body are as expected.
    Http(HttpSpec),
    /// A TCP connection that is accepted.
    Tcp(Endpoint),
    /// A connection to a Unix stream socket (`@name` is an abstract one).
    Unix(PathBuf),
    /// A command without a shell: available if it exits with 0.
    Exec(Vec<String>),
}

/// A GET request and what its answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSpec {
    /// Where.
    pub url: HttpUrl,
    /// The statuses that mean "available": 200-399 unless said.
    pub expect: StatusSet,
    /// Text that the body must contain.
    pub body_contains: Option<String>,
}

impl ProbeSpec {
    /// The command of `-- COMMAND…`.
    pub fn exec(argv: Vec<String>) -> Result<Self, Malformed> {
        match argv.first() {
            None => Err(Malformed("no command follows the --".to_owned())),
            Some(program) if program.is_empty() => Err(Malformed("the command's name is empty".to_owned())),
            Some(_) => match argv.iter().find(|word| word.contains('\0')) {
                Some(word) => Err(Malformed(format!("the command's word '{}' contains a NUL byte", clip(word)))),
                None => Ok(Self::Exec(argv)),
            },
        }
    }

    /// The words of a command line: one address, or `--` and a command.
    pub fn from_words(words: &[String]) -> Result<Self, Malformed> {
        match words {
            [] => Err(Malformed("no probe is given: a URL, tcp:HOST:PORT, unix:/PATH or -- COMMAND".to_owned())),
            [dashes, command @ ..] if dashes == "--" => Self::exec(command.to_vec()),
            [one] => one.parse(),
            [_, next, ..] => Err(Malformed(format!("'{}' follows the probe; a command stands after --", clip(next)))),
        }
    }
}

impl FromStr for ProbeSpec {
    type Err = Malformed;

    fn from_str(s: &str) -> Result<Self, Malformed> {
        let wrong = |why: &str| Err(Malformed(format!("probe '{}': {why}", clip(s))));
        let Some((form, rest)) = s.split_once(':') else {
            return wrong("it is none of http://…, tcp:HOST:PORT, unix:/PATH");
        };
        match form.to_ascii_lowercase().as_str() {
            "http" | "https" => {
                s.parse().map(|url| Self::Http(HttpSpec { url, expect: StatusSet::default(), body_contains: None }))
            }
            "tcp" => {
                let address = rest.strip_prefix("//").unwrap_or(rest);
                match address.strip_suffix('/').unwrap_or(address).parse() {
                    Ok(endpoint) => Ok(Self::Tcp(endpoint)),
                    Err(Malformed(why)) => wrong(&why),
                }
            }
            "unix" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                match path {
                    _ if path.contains('\0') => wrong("the path contains a NUL byte"),
                    // sun_path holds 108 bytes, the last of which is a NUL.
                    _ if path.len() > 107 => wrong("the path is longer than the 107 bytes of a socket's address"),
                    _ if path.starts_with('/') || (path.starts_with('@') && path.len() > 1) => {
                        Ok(Self::Unix(path.into()))
                    }
                    _ => wrong("a socket's path starts with '/', an abstract socket's name with '@'"),
                }
            }
            _ => wrong("it is none of http://…, tcp:HOST:PORT, unix:/PATH"),
        }
    }
}

/// As [`crate::model::Availability::by`] says it, fit for a terminal.
impl fmt::Display for ProbeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => write!(f, "http GET {}", escape(&http.url.to_string())),
            Self::Tcp(endpoint) => write!(f, "tcp {endpoint}"),
            Self::Unix(path) => write!(f, "unix {}", escape(&path.to_string_lossy())),
            Self::Exec(argv) => {
                let words: Vec<String> = argv.iter().map(|word| shell_quote(word)).collect();
                write!(f, "exec {}", clip_to(&words.join(" "), 300))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_become_probes() {
        for (word, by) in [
            ("http://127.0.0.1:11434/api/version", "http GET http://127.0.0.1:11434/api/version"),
            ("tcp:localhost:22", "tcp localhost:22"),
            ("tcp://[::1]:22/", "tcp [::1]:22"),
            ("tcp:22", "tcp 127.0.0.1:22"),
            ("unix:/run/x.sock", "unix /run/x.sock"),
            ("unix:///run/x.sock", "unix /run/x.sock"),
            ("unix:@bus", "unix @bus"),
        ] {
            assert_eq!(word.parse::<ProbeSpec>().unwrap().to_string(), by);
        }
        let words = |w: &[&str]| w.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let exec = ProbeSpec::from_words(&words(&["--", "pg_isready", "-h", "a b"])).unwrap();
        assert_eq!(exec.to_string(), "exec pg_isready -h 'a b'");
        assert!(ProbeSpec::from_words(&words(&["tcp:22", "x"])).unwrap_err().to_string().contains("'x'"));
        assert!(ProbeSpec::from_words(&words(&["--"])).is_err());
        assert!(ProbeSpec::from_words(&[]).is_err());
    }

    #[test]
    fn malformed_probes_name_the_part() {
        for (word, part) in [
            ("", "none of"),
            ("ollama", "none of"),
            ("ftp://x", "none of"),
            ("tcp:host", "'host'"),
            ("tcp:host:70000", "'70000'"),
            ("unix:run", "'/'"),
            ("unix:", "'/'"),
            ("https://x", "tcp:HOST:PORT"),
            ("http://x:99999", "'99999'"),
        ] {
            let error = word.parse::<ProbeSpec>().unwrap_err().to_string();
            assert!(error.contains(part), "{word:?}: {error}");
        }
        let long = format!("unix:/{}", "x".repeat(200)).parse::<ProbeSpec>().unwrap_err().to_string();
        assert!(long.contains("107"), "{long}");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(word in "\\PC*", form in "(http://|tcp:|unix:|http://unix:/|tcp://\\[)?", raw: String) {
            for word in [format!("{form}{word}"), format!("{form}{raw}")] {
                if let Ok(spec) = word.parse::<ProbeSpec>() {
                    prop_assert!(!spec.to_string().chars().any(char::is_control));
                } else if let Err(error) = word.parse::<ProbeSpec>() {
                    prop_assert!(!error.to_string().chars().any(char::is_control), "{}", error);
                    prop_assert!(error.to_string().len() < 2000);
                }
                let _ = word.parse::<StatusSet>();
            }
        }
    }
}
