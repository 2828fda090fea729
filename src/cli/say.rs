//! How results and errors are said: text on standard output and error, or one JSON document.

use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::render::{ACCENT, BAD, DIM};
use crate::error::Error;

/// In what form things are said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Say {
    /// One JSON document on standard output.
    pub(super) json: bool,
    /// Errors only.
    pub(super) quiet: bool,
}

impl Say {
    /// The JSON document. A closed pipe is no reason to fail.
    pub(super) fn json(&self, value: &impl Serialize) {
        let mut out = std::io::stdout().lock();
        if serde_json::to_writer_pretty(&mut out, value).is_ok() {
            let _ = out.write_all(b"\n");
        }
    }

    /// Text for people.
    pub(super) fn text(&self, text: &str) {
        if !self.quiet {
            let _ = anstream::stdout().write_all(text.as_bytes());
        }
    }

    /// A word besides the result, on standard error.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            let _ = anstream::stderr().write_all(format!("{text}\n").as_bytes());
        }
    }

    /// An error, with the exit code for it. With JSON it is a document too.
    pub(super) fn error(&self, error: &Error) -> ExitCode {
        let code = error.exit_code();
        self.complain(error);
        if self.json {
            self.json(&error_json(error));
        }
        ExitCode::from(code)
    }

    /// The error for people, on standard error.
    pub(super) fn complain(&self, error: &Error) {
        self.complain_about("", error, None);
    }

    /// The same with what it is about in front, and what would help behind.
    pub(super) fn complain_about(&self, before: &str, error: &Error, unlock: Option<&str>) {
        let mut text = format!("{BAD}provost:{BAD:#} {before}{}\n", crate::text::escape(&error.to_string()));
        if let Error::Ambiguous { choices, .. } = error {
            text.push_str("choose one of these, or --all:\n");
            let width = choices.iter().map(|(exact, _)| exact.chars().count()).max().unwrap_or(0);
            for (exact, what) in choices {
                text.push_str(&format!(
                    "  {ACCENT}{:width$}{ACCENT:#}  {}\n",
                    crate::text::escape(exact),
                    crate::text::escape(what)
                ));
            }
        }
        if let Some(unlock) = unlock {
            text.push_str(&format!("{DIM}  {}{DIM:#}\n", crate::text::escape(unlock)));
        }
        let _ = anstream::stderr().write_all(text.as_bytes());
    }
}

/// `{"error": {"message", "code", "choices"}}`.
pub(super) fn error_json(error: &Error) -> serde_json::Value {
    let choices: Option<Vec<_>> = match error {
        Error::Ambiguous { choices, .. } => {
            Some(choices.iter().map(|(exact, what)| json!({"target": exact, "what": what})).collect())
        }
        _ => None,
    };
    let nearest = match error {
        Error::NotFound { nearest, .. } => nearest.clone(),
        _ => Vec::new(),
    };
    json!({"error": {"message": error.to_string(), "code": error.exit_code(), "choices": choices, "nearest": nearest}})
}
