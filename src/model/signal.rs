//! Signals and the ladder of signals by which a process is stopped.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Malformed;

/// A signal that can be sent: 1 to 31, or a realtime one up to 64 (signal(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signal(i32);

/// Names by number, as on every Linux architecture that Rust's standard library calls common;
/// the numbers are checked against the C library in the tests.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
/// `SIGRTMIN` and `SIGRTMAX` as glibc hands them out (the first two are its own).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Signal {
    /// Ends a process politely.
    pub const TERM: Self = Self(15);
    /// Ends a process at once; it cannot be caught.
    pub const KILL: Self = Self(9);
    /// By custom: read the configuration again.
    pub const HUP: Self = Self(1);
    /// Stops a process where it is; it cannot be caught.
    pub const STOP: Self = Self(19);
    /// Wakes a stopped process.
    pub const CONT: Self = Self(18);

    /// The number, as kill(2) takes it.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The signal with this number.
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=31).contains(&number).then_some(Self(number)).or((RTMIN..=RTMAX).contains(&number).then_some(Self(number)))
    }
}

impl Signal {
    /// All names, with SIG and without, and all numbers, as a regular expression.
    #[cfg(test)]
    pub(crate) fn pattern() -> String {
        let all: Vec<Self> = (1..=RTMAX).filter_map(Self::from_number).collect();
        let names: Vec<String> =
            all.iter().map(|signal| signal.to_string().trim_start_matches("SIG").replace('+', "\\+")).collect();
        let numbers: Vec<String> = all.iter().map(|signal| signal.0.to_string()).collect();
        format!("^((SIG)?({})|{})$", names.join("|"), numbers.join("|"))
    }
}

impl FromStr for Signal {
    type Err = Malformed;

    /// Takes `TERM`, `SIGTERM`, `term`, `15`, `RTMIN+3`.
    fn from_str(s: &str) -> Result<Self, Malformed> {
        let wrong = || {
            Malformed(format!(
                "'{}' is no signal: give a name such as TERM, HUP, USR1, or a number from 1 to 31 or {RTMIN} to {RTMAX}",
                crate::text::clip(s)
            ))
        };
        if let Ok(number) = s.parse::<i32>() {
            return Self::from_number(number).ok_or_else(wrong);
        }
        let upper = s.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let realtime = |base: i32, rest: &str, sign: i32| -> Option<Self> {
            let offset = if rest.is_empty() { 0 } else { rest.get(1..)?.parse::<i32>().ok()? };
            let number = base.checked_add(sign.checked_mul(offset)?)?;
            Some(number).filter(|n| (RTMIN..=RTMAX).contains(n)).map(Self)
        };
        if let Some(rest) = name.strip_prefix("RTMIN").filter(|r| r.is_empty() || r.starts_with('+')) {
            return realtime(RTMIN, rest, 1).ok_or_else(wrong);
        }
        if let Some(rest) = name.strip_prefix("RTMAX").filter(|r| r.is_empty() || r.starts_with('-')) {
            return realtime(RTMAX, rest, -1).ok_or_else(wrong);
        }
        let name = match name {
            "POLL" => "IO",
            "IOT" => "ABRT",
            "CLD" => "CHLD",
            name => name,
        };
        NAMES.iter().position(|n| *n == name).map(|i| Self(i as i32 + 1)).ok_or_else(wrong)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match usize::try_from(self.0 - 1).ok().and_then(|i| NAMES.get(i)) {
            Some(name) => write!(f, "SIG{name}"),
            None if self.0 == RTMIN => f.write_str("SIGRTMIN"),
            None => write!(f, "SIGRTMIN+{}", self.0 - RTMIN),
        }
    }
}

impl From<Signal> for String {
    fn from(signal: Signal) -> String {
        signal.to_string()
    }
}

impl TryFrom<String> for Signal {
    type Error = Malformed;
    fn try_from(s: String) -> Result<Self, Malformed> {
        s.parse()
    }
}

/// One signal and how long to wait for the end before the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rung {
    /// What is sent.
    pub signal: Signal,
    /// How long the processes may take to end.
    pub wait: Duration,
}

/// The signals by which processes without a unit are stopped, in order: `TERM:3s,INT:3s,KILL`.
///
/// The default is SIGTERM, 5 s, SIGKILL. A rung without a wait has 5 s; after the last one,
/// whoever carries the ladder out looks once more and reports what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ladder(pub Vec<Rung>);

impl Ladder {
    /// How long a rung waits where nothing else is said.
    pub const WAIT: Duration = Duration::from_secs(5);

    /// SIGKILL at once (`--force`).
    pub fn force() -> Self {
        Self(vec![Rung { signal: Signal::KILL, wait: Self::WAIT }])
    }

    /// As it is written in a config or an option, with every wait: `TERM:5s,KILL:5s`.
    pub fn written(&self) -> String {
        let rung = |rung: &Rung| {
            let signal = rung.signal.to_string();
            let signal = signal.strip_prefix("SIG").unwrap_or(&signal).to_owned();
            format!("{signal}:{}", humantime::format_duration(rung.wait))
        };
        self.0.iter().map(rung).collect::<Vec<_>>().join(",")
    }
}

impl Default for Ladder {
    fn default() -> Self {
        let rung = |signal| Rung { signal, wait: Self::WAIT };
        Self(vec![rung(Signal::TERM), rung(Signal::KILL)])
    }
}

impl FromStr for Ladder {
    type Err = Malformed;

    fn from_str(s: &str) -> Result<Self, Malformed> {
        let rungs = s.split(',').map(|part| {
            let (signal, wait) = match part.split_once(':') {
                None => (part, Self::WAIT),
                Some((signal, wait)) => (
                    signal,
                    humantime::parse_duration(wait).map_err(|_| {
                        Malformed(format!("'{}' is no wait: write 3s or 500ms", crate::text::clip(wait)))
                    })?,
                ),
            };
            Ok(Rung { signal: signal.trim().parse()?, wait })
        });
        rungs.collect::<Result<Vec<_>, _>>().map(Self)
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, rung) in self.0.iter().enumerate() {
            let last = i + 1 == self.0.len();
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{}", rung.signal)?;
            if !last {
                write!(f, ", {}", humantime::format_duration(rung.wait))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_c_library() {
        for number in 1..=31 {
            let ours = Signal::from_number(number).unwrap().to_string();
            assert_eq!(nix::sys::signal::Signal::try_from(number).unwrap().as_str(), ours);
            assert_eq!(ours.parse::<Signal>().unwrap().number(), number);
        }
    }

    #[test]
    fn forms_and_errors() {
        for (word, number) in [("term", 15), ("SIGHUP", 1), ("9", 9), ("RTMIN", 34), ("RTMIN+3", 37), ("rtmax-1", 63)] {
            assert_eq!(word.parse::<Signal>().unwrap().number(), number, "{word}");
        }
        for word in [
            "0",
            "99",
            "-1",
            "32",
            "TERMINATE",
            "",
            "RTMIN+99",
            "RTMIN+2147483647",
            "RTMAX-2147483648",
            "RTMAX-40",
            "RTMINé",
        ] {
            assert!(word.parse::<Signal>().is_err(), "{word}");
        }
    }

    #[test]
    fn a_ladder_reads_and_prints() {
        let ladder: Ladder = "TERM:3s,INT:3s,KILL".parse().unwrap();
        assert_eq!(ladder.to_string(), "SIGTERM, 3s, SIGINT, 3s, SIGKILL");
        assert!("TERM:x".parse::<Ladder>().is_err());
        assert!("".parse::<Ladder>().is_err());
        assert_eq!(Ladder::default().to_string(), "SIGTERM, 5s, SIGKILL");
        for ladder in [ladder, Ladder::default(), "RTMIN+3:1m 30s,KILL:1500ms".parse().unwrap()] {
            assert_eq!(ladder.written().parse::<Ladder>().unwrap(), ladder);
        }
    }
}
