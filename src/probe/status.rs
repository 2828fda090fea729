//! Which HTTP statuses are good news.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::model::Malformed;
use crate::text::clip;

/// A set of HTTP statuses, written as `200`, `2xx`, `200-399` or several of them with commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// Whether a status is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl Default for StatusSet {
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl FromStr for StatusSet {
    type Err = Malformed;

    fn from_str(s: &str) -> Result<Self, Malformed> {
        s.split(',').map(|part| status_range(part.trim())).collect::<Result<_, _>>().map(Self)
    }
}

fn status_range(part: &str) -> Result<RangeInclusive<u16>, Malformed> {
    let number = |s: &str| s.parse::<u16>().ok().filter(|n| s.len() == 3 && (100..=599).contains(n));
    let range = match (part.as_bytes(), part.split_once('-')) {
        (&[class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'], _) => {
            let first = u16::from(class - b'0') * 100;
            Some(first..=first + 99)
        }
        (_, Some((from, to))) => number(from).zip(number(to)).map(|(from, to)| from..=to).filter(|r| !r.is_empty()),
        _ => number(part).map(|n| n..=n),
    };
    range.ok_or_else(|| Malformed(format!("'{}' is no HTTP status: as 200, 2xx, 200-399 or 200,401", clip(part))))
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|r| if r.start() == r.end() { r.start().to_string() } else { format!("{}-{}", r.start(), r.end()) })
            .collect();
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_sets() {
        let set: StatusSet = "2xx,401,500-503".parse().unwrap();
        assert!(set.contains(204) && set.contains(401) && set.contains(503) && !set.contains(404));
        assert_eq!(set.to_string(), "200-299,401,500-503");
        for bad in ["", "20", "600", "0200", "300-200", "2xx-3xx", "+20", "200,", "é"] {
            assert!(bad.parse::<StatusSet>().is_err(), "{bad}");
        }
    }
}
