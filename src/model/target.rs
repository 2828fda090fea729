//! What the user named: the exact forms and the bare word.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Malformed, UnitPattern};
use crate::text::clip;

/// Longest word that is taken as a target, in bytes. Longer than any path (4096).
const MAX: usize = 4096;

/// The id of a service that provost starts itself: `[A-Za-z0-9][A-Za-z0-9_.-]{0,62}`, or a glob over ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceId(String);

impl ServiceId {
    /// The id as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of what has no better one.
    pub(crate) fn fallback() -> Self {
        Self("service".to_owned())
    }

    /// Whether this is a pattern over ids instead of one id.
    pub fn is_glob(&self) -> bool {
        self.0.contains(['*', '?', '['])
    }
}

impl FromStr for ServiceId {
    type Err = Malformed;

    fn from_str(s: &str) -> Result<Self, Malformed> {
        // What a set of characters is made of counts only where there is one.
        let set = s.contains('[');
        let glob = |b: u8| b"*?".contains(&b) || set && b"[]!".contains(&b);
        let tail = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b) || glob(b);
        let head = |b: u8| b.is_ascii_alphanumeric() || glob(b);
        if (1..=63).contains(&s.len()) && s.bytes().next().is_some_and(head) && s.bytes().all(tail) {
            return Ok(Self(s.to_owned()));
        }
        Err(Malformed(format!(
            "'{}' is no service id: a letter or digit, then up to 62 letters, digits, '_', '.' or '-'",
            clip(s)
        )))
    }
}

impl TryFrom<String> for ServiceId {
    type Error = Malformed;

    fn try_from(s: String) -> Result<Self, Malformed> {
        s.parse()
    }
}

impl From<ServiceId> for String {
    fn from(id: ServiceId) -> Self {
        id.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a verb works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `service:ID`: a service that provost started.
    Service(ServiceId),
    /// `unit:NAME`: a unit of the system manager; takes globs.
    Unit(UnitPattern),
    /// `user-unit:NAME`: a unit of the caller's user manager; takes globs.
    UserUnit(UnitPattern),
    /// `pid:N`: one process.
    Pid(u32),
    /// `name:COMM`: every process with this comm (the kernel keeps 15 bytes of it).
    Name(String),
    /// `exe:PATH`: every process that runs this executable.
    Exe(PathBuf),
    /// `cmd:TEXT`: every process whose command line contains this text.
    Cmd(String),
    /// `port:N` or `:N`: whoever listens on this TCP port.
    Port(u16),
    /// A bare word: a service id, a unit, or a process name, in this order.
    Word(String),
}

impl Target {
    /// Whether the user named several things on purpose.
    pub fn is_pattern(&self) -> bool {
        match self {
            Self::Unit(pattern) | Self::UserUnit(pattern) => matches!(pattern, UnitPattern::Glob(_)),
            Self::Service(id) => id.is_glob(),
            _ => false,
        }
    }
}

/// The prefixes of the exact forms, with what each takes: for messages and completions.
pub(crate) const FORMS: [(&str, &str); 8] = [
    ("service", "ID"),
    ("unit", "NAME"),
    ("user-unit", "NAME"),
    ("pid", "N"),
    ("name", "COMM"),
    ("exe", "PATH"),
    ("cmd", "TEXT"),
    ("port", "N"),
];

impl FromStr for Target {
    type Err = Malformed;

    fn from_str(s: &str) -> Result<Self, Malformed> {
        let wrong = |why: &str| Err(Malformed(format!("target '{}': {why}", clip(s))));
        if s.is_empty() {
            return wrong("it is empty");
        }
        if s.len() > MAX {
            return wrong("it is longer than 4096 bytes");
        }
        if s.contains('\0') {
            return wrong("it contains a NUL byte");
        }
        let Some((form, rest)) = s.split_once(':') else {
            return Ok(Self::Word(s.to_owned()));
        };
        if rest.is_empty() && (form.is_empty() || FORMS.iter().any(|(name, _)| *name == form)) {
            return wrong("nothing follows the colon");
        }
        match form {
            "service" => rest.parse().map(Self::Service),
            "unit" => rest.parse().map(Self::Unit),
            "user-unit" => rest.parse().map(Self::UserUnit),
            "pid" => match rest.parse::<u32>() {
                Ok(pid) if (1..=i32::MAX as u32).contains(&pid) => Ok(Self::Pid(pid)),
                _ => wrong(&format!("'{}' is no process id: a whole number from 1 on", clip(rest))),
            },
            "name" => Ok(Self::Name(rest.to_owned())),
            "exe" if !rest.starts_with('/') => wrong("exe: takes a path that starts with /"),
            "exe" => Ok(Self::Exe(PathBuf::from(rest))),
            "cmd" => Ok(Self::Cmd(rest.to_owned())),
            "port" | "" => match rest.parse::<u16>() {
                Ok(port) if port > 0 => Ok(Self::Port(port)),
                _ => wrong(&format!("'{}' is no TCP port: a whole number from 1 to 65535", clip(rest))),
            },
            // Unit names may contain colons, so an unknown prefix is still a word.
            _ => Ok(Self::Word(s.to_owned())),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(id) => write!(f, "service:{id}"),
            Self::Unit(unit) => write!(f, "unit:{unit}"),
            Self::UserUnit(unit) => write!(f, "user-unit:{unit}"),
            Self::Pid(pid) => write!(f, "pid:{pid}"),
            Self::Name(name) => write!(f, "name:{name}"),
            Self::Exe(path) => write!(f, "exe:{}", path.display()),
            Self::Cmd(text) => write!(f, "cmd:{text}"),
            Self::Port(port) => write!(f, "port:{port}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back() {
        for word in [
            "service:llm",
            "unit:ollama.service",
            "unit:ollama*.service",
            "user-unit:a.service",
            "pid:12",
            "name:python3",
            "exe:/usr/bin/x",
            "cmd:agent.py --port 3",
            "port:8080",
            "ollama",
            "a:b.service",
        ] {
            assert_eq!(word.parse::<Target>().unwrap().to_string(), word);
        }
        assert_eq!(":8080".parse::<Target>().unwrap(), Target::Port(8080));
        assert_eq!("unit:ollama".parse::<Target>().unwrap().to_string(), "unit:ollama.service");
    }

    #[test]
    fn malformed_targets_name_the_part() {
        for (word, part) in [
            ("", "empty"),
            ("pid:0", "'0'"),
            ("pid:-3", "'-3'"),
            ("pid:99999999999", "process id"),
            (":70000", "'70000'"),
            ("port:0", "'0'"),
            ("unit:a/../b.service", "'/'"),
            ("pid:", "colon"),
            ("exe:ls", "starts with /"),
            ("service:../x", "service id"),
            ("a\0b", "NUL"),
        ] {
            let error = word.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(part), "{word:?}: {error}");
        }
        assert!("x".repeat(10_000).parse::<Target>().unwrap_err().to_string().len() < 200);
    }
}
