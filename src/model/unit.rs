//! Unit names: the rules of systemd for what a unit may be called, and what kind it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Malformed;

/// Longest unit name, in bytes (`UNIT_NAME_MAX` of systemd).
const MAX: usize = 255;

/// What a unit is, by the suffix of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are systemd's, see systemd.unit(5)")]
pub enum UnitKind {
    Service,
    Socket,
    Target,
    Device,
    Mount,
    Automount,
    Swap,
    Timer,
    Path,
    Slice,
    Scope,
}

impl UnitKind {
    const ALL: [(&'static str, UnitKind); 11] = [
        ("service", Self::Service),
        ("socket", Self::Socket),
        ("target", Self::Target),
        ("device", Self::Device),
        ("mount", Self::Mount),
        ("automount", Self::Automount),
        ("swap", Self::Swap),
        ("timer", Self::Timer),
        ("path", Self::Path),
        ("slice", Self::Slice),
        ("scope", Self::Scope),
    ];

    /// The kind with this suffix (without the dot).
    pub fn from_suffix(suffix: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == suffix).map(|(_, kind)| *kind)
    }

    /// The suffix, which is also how systemd calls the kind.
    pub fn suffix(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// A valid unit name with its suffix, as `ollama.service` or `getty@tty1.service`.
///
/// The rules are those of systemd (`unit_name_is_valid`): at most 255 bytes, a known suffix, and
/// only letters, digits and `:-_.\@` before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(String);

impl UnitName {
    /// The name as systemd writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the suffix says.
    pub fn kind(&self) -> UnitKind {
        // The suffix was checked when the name was made.
        self.0.rsplit_once('.').and_then(|(_, s)| UnitKind::from_suffix(s)).unwrap_or(UnitKind::Service)
    }

    /// The name without its suffix.
    pub fn stem(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(stem, _)| stem)
    }

    /// Whether this is a template (`name@.service`), which cannot be started itself.
    pub fn is_template(&self) -> bool {
        self.stem().ends_with('@')
    }

    /// Reads a word as a unit name; `.service` is added where no known suffix is there.
    pub fn from_word(word: &str) -> Result<Self, Malformed> {
        match Self::from_str(word) {
            Ok(name) => Ok(name),
            Err(error) => {
                let has_suffix = word.rsplit_once('.').is_some_and(|(_, s)| UnitKind::from_suffix(s).is_some());
                if has_suffix { Err(error) } else { Self::from_str(&format!("{word}.service")) }
            }
        }
    }

    /// The object path of the unit: bytes outside `[A-Za-z0-9]`, and a leading digit, become `_xx`.
    pub fn object_path(&self) -> String {
        let mut path = String::from("/org/freedesktop/systemd1/unit/");
        for (i, b) in self.0.bytes().enumerate() {
            if b.is_ascii_alphabetic() || (i > 0 && b.is_ascii_digit()) {
                path.push(b as char);
            } else {
                path.push_str(&format!("_{b:02x}"));
            }
        }
        path
    }
}

impl FromStr for UnitName {
    type Err = Malformed;

    fn from_str(s: &str) -> Result<Self, Malformed> {
        let wrong = |why: &str| Err(Malformed(format!("'{}' is no unit name: {why}", crate::text::clip(s))));
        if s.len() > MAX {
            return wrong("it is longer than 255 bytes");
        }
        let Some((stem, suffix)) = s.rsplit_once('.') else {
            return wrong("it has no suffix such as .service");
        };
        if UnitKind::from_suffix(suffix).is_none() {
            return wrong("its suffix is no kind of unit (service, socket, scope, timer, …)");
        }
        if stem.is_empty() || stem.starts_with('@') {
            return wrong("nothing stands before the suffix or the @");
        }
        let valid = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
        match stem.bytes().find(|b| !valid(*b)) {
            Some(b'/') => wrong("a unit name has no '/' (see systemd-escape)"),
            Some(_) => wrong("only letters, digits and :-_.\\@ are allowed (see systemd-escape)"),
            None => Ok(Self(s.to_owned())),
        }
    }
}

impl TryFrom<String> for UnitName {
    type Error = Malformed;
    fn try_from(s: String) -> Result<Self, Malformed> {
        s.parse()
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> String {
        name.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One unit by name, or all that a shell glob matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitPattern {
    /// Exactly this unit.
    Name(UnitName),
    /// Every loaded unit whose name matches (`*`, `?`, `[…]`).
    Glob(String),
}

impl FromStr for UnitPattern {
    type Err = Malformed;

    fn from_str(s: &str) -> Result<Self, Malformed> {
        if !s.contains(['*', '?', '[']) {
            return UnitName::from_word(s).map(Self::Name);
        }
        if s.len() > MAX || s.contains(['/', '\0']) || s.chars().any(char::is_control) {
            return Err(Malformed(format!("'{}' is no pattern for unit names", crate::text::clip(s))));
        }
        // As with a name: without a suffix, services are meant.
        let has_suffix = s.rsplit_once('.').is_some_and(|(_, suffix)| UnitKind::from_suffix(suffix).is_some());
        Ok(Self::Glob(if has_suffix { s.to_owned() } else { format!("{s}.service") }))
    }
}

impl fmt::Display for UnitPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Glob(glob) => f.write_str(glob),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_systemds_rules() {
        for good in ["a.service", "getty@tty1.service", "dev-disk-by\\x2duuid.swap", "-.slice", "x:y_z.scope"] {
            assert!(good.parse::<UnitName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "ollama",
            ".service",
            "@x.service",
            "a/../b.service",
            "a\0.service",
            "a b.service",
            "x.exe",
            "é.service",
        ] {
            assert!(bad.parse::<UnitName>().is_err(), "{bad:?}");
        }
        assert!(format!("{}.service", "a".repeat(250)).parse::<UnitName>().is_err());
    }

    #[test]
    fn the_suffix_may_be_left_out() {
        assert_eq!(UnitName::from_word("ollama").unwrap().as_str(), "ollama.service");
        assert_eq!(UnitName::from_word("a.b").unwrap().as_str(), "a.b.service");
        assert_eq!(UnitName::from_word("x.socket").unwrap().kind(), UnitKind::Socket);
    }

    #[test]
    fn object_paths_escape_as_systemd_does() {
        assert_eq!(
            "getty@tty1.service".parse::<UnitName>().unwrap().object_path(),
            "/org/freedesktop/systemd1/unit/getty_40tty1_2eservice"
        );
        assert!("9p.mount".parse::<UnitName>().unwrap().object_path().ends_with("/_39p_2emount"));
    }
}
