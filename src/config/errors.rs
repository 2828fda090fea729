//! What is wrong in a config file, and where: all of it, in the order of the file.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::gather::Arrange as _;
use crate::text::escape;

/// More than these are only counted: a file with so many has one cause.
const MOST: usize = 100;

/// More than these are not kept.
const KEPT: usize = 1000;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The line, from 1; `None` where it is the file as a whole.
    pub line: Option<usize>,
    /// The character in the line, from 1.
    pub column: Option<usize>,
    /// The key, as `service.agent.port`; empty where there is none.
    pub key: String,
    /// What is wrong, and what was meant.
    pub message: String,
}

impl Problem {
    /// Of a file as a whole.
    pub(super) fn of_file(path: &Path, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, column: None, key: String::new(), message: message.into() }
    }
}

/// `provost.toml:12:3: service.agent.prot: unknown key; did you mean "port"?`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.path.to_string_lossy()))?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", escape(&self.key))?;
        }
        write!(f, ": {}", escape(&self.message))
    }
}

/// All that is wrong in a file; at least one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Errors(pub Vec<Problem>);

/// One a line.
impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().take(MOST).enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "\n" })?;
        }
        match self.0.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl From<Problem> for Errors {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// A problem by its place in the text, before lines are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// In bytes.
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(at: usize, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at, key: key.into(), message: message.into() }
    }
}

/// Faults as problems of a file: each once, in the order of its text.
pub(super) fn located(path: &Path, text: &str, mut faults: Vec<Fault>) -> Vec<Problem> {
    faults.arrange_by(|a, b| a.at.cmp(&b.at).then_with(|| a.key.cmp(&b.key)));
    faults.dedup();
    faults.truncate(KEPT);
    let (mut line, mut start) = (1, 0);
    let place = |fault: Fault| {
        let at = (0..=fault.at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        // Sorted: each part of the text is walked through once.
        while let Some(length) = text[start..at].find('\n') {
            start += length + 1;
            line += 1;
        }
        let column = text[start..at].chars().count() + 1;
        let (line, column) = (Some(line), Some(column));
        Problem { path: path.to_owned(), line, column, key: fault.key, message: fault.message }
    };
    faults.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_characters() {
        let text = "é = 1\n\nab = é ü\n";
        let faults = [(0, "a"), (3, "b"), (text.find("ü").unwrap(), "c"), (7, "d"), (999, "e"), (0, "a")];
        let faults = faults.into_iter().map(|(at, key)| Fault::new(at, key, "m")).collect();
        let found: Vec<String> = located(Path::new("f.toml"), text, faults).iter().map(Problem::to_string).collect();
        assert_eq!(
            found,
            ["f.toml:1:1: a: m", "f.toml:1:3: b: m", "f.toml:2:1: d: m", "f.toml:3:8: c: m", "f.toml:4:1: e: m"]
        );
    }

    #[test]
    fn a_terminal_obeys_nothing_of_it() {
        let problem = Problem { key: "a\x1b[2J".into(), ..Problem::of_file(Path::new("f"), "x\ny") };
        assert_eq!(problem.to_string(), "f: a\\u{1b}[2J: x\\ny");
        let many = Errors(vec![problem; 103]);
        assert_eq!(many.to_string().lines().count(), 101);
        assert!(many.to_string().ends_with("and 3 more"));
    }
}
