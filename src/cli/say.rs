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
        let mut out = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, Visible::default());
        if value.serialize(&mut serializer).is_ok() {
            out.push(b'\n');
            let _ = std::io::stdout().lock().write_all(&out);
        }
    }

    /// One JSON object on one line; false where nobody reads any more.
    pub(super) fn json_line(&self, value: &impl Serialize) -> bool {
        let mut out = std::io::stdout().lock();
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, VisibleLine);
        value.serialize(&mut serializer).is_ok() && out.write_all(b"\n").and_then(|()| out.flush()).is_ok()
    }

    /// The same into a buffer.
    pub(super) fn json_into(out: &mut Vec<u8>, value: &impl Serialize) {
        let mut serializer = serde_json::Serializer::with_formatter(&mut *out, VisibleLine);
        // Into memory, and what is made of texts alone: it cannot fail.
        let _ = value.serialize(&mut serializer);
        out.push(b'\n');
    }

    /// A line that was asked for: quiet does not silence it. False where nobody reads any more.
    pub(super) fn line(&self, text: &str) -> bool {
        let mut out = anstream::stdout();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
    }

    /// Text for people.
    pub(super) fn text(&self, text: &str) {
        if !self.quiet {
            // At once, not line by line.
            let plain = anstream::AutoStream::choice(&std::io::stdout()) == anstream::ColorChoice::Never;
            let text = if plain { anstream::adapter::strip_str(text).to_string() } else { text.to_owned() };
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
        }
    }

    /// A word besides the result, on standard error.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            let _ = anstream::stderr().write_all(format!("{text}\n").as_bytes());
        }
    }

    /// The same of what quiet does not silence.
    pub(super) fn note_always(&self, text: &str) {
        let _ = anstream::stderr().write_all(format!("{text}\n").as_bytes());
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

    /// What is wrong, as lines of its own form on standard error.
    pub(super) fn lines(&self, text: &impl std::fmt::Display) {
        let _ = anstream::stderr().write_all(format!("{text}\n").as_bytes());
    }

    /// The error for people, on standard error.
    pub(super) fn complain(&self, error: &Error) {
        self.complain_about("", error, None);
    }

    /// The same with what it is about in front, and what would help behind.
    pub(super) fn complain_about(&self, before: &str, error: &Error, unlock: Option<&str>) {
        let said = words(error);
        let mut text = format!("{BAD}provost:{BAD:#} {before}{said}\n");
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

/// Pretty JSON in which what a terminal would obey is written as `\u`: it may be looked at on one.
#[derive(Default)]
struct Visible(serde_json::ser::PrettyFormatter<'static>);

/// The same on one line.
struct VisibleLine;

impl serde_json::ser::Formatter for VisibleLine {
    fn write_string_fragment<W: ?Sized + std::io::Write>(&mut self, out: &mut W, text: &str) -> std::io::Result<()> {
        visible(out, text)
    }
}

fn visible<W: ?Sized + std::io::Write>(out: &mut W, text: &str) -> std::io::Result<()> {
    for c in text.chars() {
        if crate::text::is_visible(c) {
            out.write_all(c.encode_utf8(&mut [0; 4]).as_bytes())?;
        } else {
            c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?;
        }
    }
    Ok(())
}

impl serde_json::ser::Formatter for Visible {
    fn write_string_fragment<W: ?Sized + std::io::Write>(&mut self, out: &mut W, text: &str) -> std::io::Result<()> {
        visible(out, text)
    }

    fn begin_array<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.0.end_object_value(out)
    }
}

/// An error in words. Each problem of a config is a line of its own; those that a daemon found come as one
/// text.
fn words(error: &Error) -> String {
    match error {
        // They are escaped already.
        Error::Invalid(problems) => format!("the config is invalid:\n{problems}"),
        Error::Config(text) if text.contains('\n') => {
            let lines: Vec<String> = text.lines().map(crate::text::escape).collect();
            format!("the config is invalid:\n{}", lines.join("\n"))
        }
        _ => crate::text::escape(&error.to_string()),
    }
}

/// `{"error": {"message", "code", "choices", "nearest"}}`; of a config also "problems", each with
/// "path", "line", "column", "key", "message".
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
    let mut document =
        json!({"message": error.to_string(), "code": error.exit_code(), "choices": choices, "nearest": nearest});
    if let Error::Invalid(problems) = error {
        document["problems"] = json!(problems);
    }
    json!({"error": document})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_daemon_finds_wrong_is_a_line_each() {
        let two = Error::Config("/p/provost.toml:1:1: a\n/p/provost.toml:2:1: b\u{1b}[2J".to_owned());
        assert_eq!(words(&two), "the config is invalid:\n/p/provost.toml:1:1: a\n/p/provost.toml:2:1: b\\u{1b}[2J");
        assert_eq!(words(&Error::Config("one".to_owned())), "one");
    }

    #[test]
    fn json_on_a_terminal_moves_no_cursor() {
        let mut out = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, Visible::default());
        json!({"a": "x\u{9b}2J\u{202e}\u{e0041}\n", "b": [1, {}]}).serialize(&mut serializer).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r#""x\u009b2J\u202e\udb40\udc41\n""#), "{text}");
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["a"], "x\u{9b}2J\u{202e}\u{e0041}\n");
    }
}
