//! Durations, sizes and shares as people write them: `"30s"`, `"2G"`, `"150%"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Malformed;
use crate::text::clip;

/// A duration: `"200ms"`, `"1s"`, `"2min"`, `"1h 30min"`; a plain number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl Span {
    /// Of whole seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// Of milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }
}

impl FromStr for Span {
    type Err = Malformed;

    fn from_str(s: &str) -> Result<Self, Malformed> {
        let seconds = s.parse::<f64>().ok().and_then(|n| Duration::try_from_secs_f64(n).ok());
        let span = seconds.or_else(|| humantime::parse_duration(s).ok());
        span.map(Self).ok_or_else(|| Malformed(format!("'{}' is no duration: write \"1s\" or \"500ms\"", clip(s))))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A number of bytes: `"512M"`, `"2G"`; K, M, G and T are powers of 1024, as systemd has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = Malformed;

    fn from_str(s: &str) -> Result<Self, Malformed> {
        let wrong = || Malformed(format!("'{}' is no size: write \"512M\" or \"2G\"", clip(s)));
        let word = s.trim();
        let plain = word.strip_suffix("iB").or_else(|| word.strip_suffix('B')).unwrap_or(word);
        let (number, shift) = match plain.char_indices().next_back() {
            Some((at, 'k' | 'K')) => (&plain[..at], 10),
            Some((at, 'm' | 'M')) => (&plain[..at], 20),
            Some((at, 'g' | 'G')) => (&plain[..at], 30),
            Some((at, 't' | 'T')) => (&plain[..at], 40),
            _ => (plain, 0),
        };
        let number: u64 = number.trim().parse().map_err(|_| wrong())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')].into_iter();
        match found.into_iter().find(|(shift, _)| self.0 > 0 && self.0.is_multiple_of(1 << shift)) {
            Some((shift, letter)) => write!(f, "{}{letter}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A share of one processor: `"150%"` is one and a half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(pub u32);

impl FromStr for Percent {
    type Err = Malformed;

    fn from_str(s: &str) -> Result<Self, Malformed> {
        let number = s.trim().strip_suffix('%').and_then(|n| n.trim().parse().ok());
        let wrong = || Malformed(format!("'{}' is no share of a processor: write \"150%\"", clip(s)));
        number.filter(|n| *n > 0).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

macro_rules! as_string {
    ($($t:ty),*) => {$(
        impl TryFrom<String> for $t {
            type Error = Malformed;
            fn try_from(s: String) -> Result<Self, Malformed> {
                s.parse()
            }
        }
        impl From<$t> for String {
            fn from(value: $t) -> Self {
                value.to_string()
            }
        }
    )*};
}
as_string!(Span, Size, Percent);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        for (word, bytes) in [("2G", 2 << 30), ("512MiB", 512 << 20), ("100", 100), ("1K", 1024)] {
            assert_eq!(word.parse::<Size>().unwrap().0, bytes);
            assert_eq!(Size(bytes).to_string().parse::<Size>().unwrap().0, bytes);
        }
        assert_eq!("1.5".parse::<Span>().unwrap(), Span::millis(1500));
        assert_eq!("1min 30s".parse::<Span>().unwrap().to_string(), "1m 30s");
        assert_eq!("150%".parse::<Percent>().unwrap().0, 150);
        for word in ["", "-1", "G", "99999999T", "1.5G"] {
            assert!(word.parse::<Size>().is_err(), "{word}");
        }
        for word in ["", "-1s", "-1", "inf", "1e30", "soon"] {
            assert!(word.parse::<Span>().is_err(), "{word}");
        }
        for word in ["", "50", "0%", "-5%", "x%"] {
            assert!(word.parse::<Percent>().is_err(), "{word}");
        }
    }
}
