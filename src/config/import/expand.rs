//! `%(name)s` of supervisord, and its `A="b",C=d`.

use super::input::{Notes, Spot};
use super::{Around, Files, words};

/// What the names in an expression stand for.
pub(super) struct Names<'a> {
    here: String,
    program: Option<(String, i64, i64)>,
    files: &'a dyn Files,
}

impl<'a> Names<'a> {
    pub(super) fn new(around: &Around<'a>) -> Self {
        Self { here: around.folder.to_string_lossy().into_owned(), program: None, files: around.files }
    }

    /// Of a program, its process of this number, of so many.
    pub(super) fn of(self, name: &str, number: i64, count: i64) -> Self {
        Self { program: Some((name.to_owned(), number, count)), ..self }
    }
}

/// A text with its expressions replaced; as a text of our config where `ours` is set.
pub(super) fn value(text: &str, names: &Names<'_>, spot: &Spot, notes: &mut Notes, ours: bool) -> String {
    let plain = |text: &str| if ours { words::literal(text) } else { text.to_owned() };
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&plain(&rest[..at]));
        let after = &rest[at + 1..];
        if let Some(more) = after.strip_prefix('%') {
            out.push('%');
            rest = more;
            continue;
        }
        let Some((name, form)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) else {
            out.push('%');
            rest = after;
            continue;
        };
        let end = form.find(|c: char| c.is_ascii_alphabetic()).map_or(form.len(), |end| end + 1);
        let (form, more) = form.split_at(end);
        match one(name, form, names, ours) {
            Some(text) => out.push_str(&text),
            None => {
                let shown = crate::text::clip(name);
                notes.say(
                    spot,
                    match name.strip_prefix("ENV_") {
                        Some(_) => format!(
                            "not replaced: the variable of %({shown})s is not set here; set it and import again"
                        ),
                        None => format!("not replaced: %({shown})s is nothing here"),
                    },
                );
                out.push_str(&plain(&rest[at..rest.len() - more.len()]));
            }
        }
        rest = more;
    }
    out.push_str(&plain(rest));
    out
}

fn one(name: &str, form: &str, names: &Names<'_>, ours: bool) -> Option<String> {
    let plain = |text: &str| if ours { words::literal(text) } else { text.to_owned() };
    if let Some(variable) = name.strip_prefix("ENV_") {
        // What is no text of ours must be known now.
        return if ours { Some(format!("${{{variable}}}")) } else { names.files.variable(variable) };
    }
    let (program, number, count) = match &names.program {
        Some((program, number, count)) => (Some(program), Some(*number), Some(*count)),
        None => (None, None, None),
    };
    match name {
        "here" => Some(plain(&names.here)),
        "program_name" | "group_name" => program.map(|name| plain(name)),
        "process_num" => number.map(|number| padded(number, form)),
        "numprocs" => count.map(|number| padded(number, form)),
        "host_node_name" if ours => Some("${HOSTNAME:-localhost}".to_owned()),
        _ => None,
    }
}

/// `02d`: at least two digits.
fn padded(number: i64, form: &str) -> String {
    let width = form.trim_end_matches(char::is_alphabetic);
    match width.strip_prefix('0').and_then(|width| width.parse::<usize>().ok()) {
        Some(width) if width < 20 => format!("{number:0width$}"),
        _ => number.to_string(),
    }
}

/// The pairs of an `environment=`; a value may be in quotes.
pub(super) fn pairs(text: &str, spot: &Spot, notes: &mut Notes) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            notes.say(spot, "not carried over: a part of it is no NAME=VALUE");
            break;
        };
        let after = after.trim_start();
        let (value, more) = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => match quoted(&after[1..], quote) {
                Some((value, used)) => (value, &after[1 + used..]),
                None => {
                    notes.say(spot, "not carried over: a quote has no end");
                    break;
                }
            },
            _ => {
                let end = after.find([',', '\n']).unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        // What follows a quote up to the comma is a part of no value.
        let end = more.find([',', '\n']).unwrap_or(more.len());
        let behind = more[..end].trim();
        let value = format!("{value}{behind}");
        all.push((name.trim().to_owned(), value));
        rest = more[end..].trim_start_matches([',', '\n', ' ', '\t', '\r']);
    }
    all
}

/// The text up to the closing quote, and how many bytes that was with it.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' if quote == '"' => match rest.next()?.1 {
                c @ ('"' | '\\') => out.push(c),
                c => out.extend(['\\', c]),
            },
            c if c == quote => return Some((out, at + c.len_utf8())),
            c => out.push(c),
        }
    }
    None
}
