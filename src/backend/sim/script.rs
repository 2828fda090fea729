//! What a service of the sim backend does, in words: `exit 1 after 2s`, `ready`, `ignore TERM`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::Signal;
use crate::model::service::{Exit, Span};

/// The variable of a service in which its script stands; without one it runs until it is stopped.
pub(crate) const VARIABLE: &str = "PROVOST_SIM";

/// What a run does. It is written as words with `;` between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// `exit N [after SPAN]`, `signal N [after SPAN]`: it ends by itself.
    pub(crate) end: Option<(Exit, Duration)>,
    /// `ready [after SPAN]`: it says READY=1.
    pub(crate) ready: Option<Duration>,
    /// `children N`: processes besides the main one; they outlive it.
    pub(crate) children: u32,
    /// `on SIG exit N`: what a signal does to it.
    pub(crate) on: BTreeMap<Signal, Exit>,
    /// `ignore SIG`.
    pub(crate) ignore: Vec<Signal>,
    /// `stuck`: nothing can kill it.
    pub(crate) stuck: bool,
    /// `fails WHY`: the start fails, and another may not.
    pub(crate) fails: Option<String>,
    /// `slow SPAN`: the start takes this long.
    pub(crate) slow: Duration,
    /// `release SPAN`: forgetting it takes this long.
    pub(crate) release: Duration,
    /// `warns WHAT`: the start is to be told with this.
    pub(crate) warns: Option<String>,
}

impl Script {
    /// Reads the words; the error is the part that means nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            script.add(part).ok_or_else(|| format!("'{}' means nothing in {VARIABLE}", crate::text::clip(part)))?;
        }
        Ok(script)
    }

    fn add(&mut self, part: &str) -> Option<()> {
        let span = |word: &str| word.parse::<Span>().ok().map(|span| span.0);
        let words: Vec<&str> = part.split_whitespace().collect();
        match words[..] {
            ["exit", code] => self.end = Some((Exit::Code(code.parse().ok()?), Duration::ZERO)),
            ["exit", code, "after", time] => self.end = Some((Exit::Code(code.parse().ok()?), span(time)?)),
            ["signal", number] => self.end = Some((Exit::Signal(number.parse().ok()?), Duration::ZERO)),
            ["signal", number, "after", time] => self.end = Some((Exit::Signal(number.parse().ok()?), span(time)?)),
            ["ready"] => self.ready = Some(Duration::ZERO),
            ["ready", "after", time] => self.ready = Some(span(time)?),
            ["children", number] => self.children = number.parse().ok()?,
            ["on", signal, "exit", code] => {
                self.on.insert(signal.parse().ok()?, Exit::Code(code.parse().ok()?));
            }
            ["ignore", signal] => self.ignore.push(signal.parse().ok()?),
            ["stuck"] => self.stuck = true,
            ["slow", time] => self.slow = span(time)?,
            ["release", time] => self.release = span(time)?,
            ["fails", ..] => self.fails = Some(part.trim_start_matches("fails").trim().to_owned()),
            ["warns", ..] => self.warns = Some(part.trim_start_matches("warns").trim().to_owned()),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_read() {
        let script = Script::parse("exit 3 after 2s; ready; children 2; on USR1 exit 5; ignore TERM").unwrap();
        assert_eq!(script.end, Some((Exit::Code(3), Duration::from_secs(2))));
        assert_eq!((script.ready, script.children), (Some(Duration::ZERO), 2));
        assert_eq!(script.ignore, [Signal::TERM]);
        assert_eq!(Script::parse("").unwrap(), Script::default());
        for wrong in ["exit", "exit x", "sleep 1", "exit 1 after noon"] {
            assert!(Script::parse(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }
}
