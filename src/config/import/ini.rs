//! INI as Python's configparser reads it (supervisord.conf, circus.ini), and unit files of systemd.

use super::input::{Notes, Spot, Table};
use crate::config::errors::Fault;
use crate::config::tree::{Data, Key, Node};

/// A `[section]`.
pub(super) struct Section {
    pub(super) name: String,
    pub(super) at: usize,
    pub(super) entries: Vec<(Key, Node)>,
}

impl Section {
    pub(super) fn spot(&self, source: usize) -> Spot {
        Spot { source, at: self.at, key: format!("[{}]", self.name) }
    }

    pub(super) fn table(self, source: usize) -> Table {
        Table::new(self.spot(source), self.entries)
    }
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Keys are lower case, a value goes on in indented lines, ` ;` begins a comment.
    Supervisord,
    /// The same without comments behind values.
    Circus,
    /// Keys as they are, a value goes on behind a backslash.
    Unit,
}

/// The sections of a text in its order; what is no part of one is reported.
pub(super) fn sections(text: &str, kind: Kind, source: usize, notes: &mut Notes) -> Vec<Section> {
    let mut all: Vec<Section> = Vec::new();
    let mut lines = Lines { text, at: 0 };
    while let Some((at, line)) = lines.next() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let wrong = |notes: &mut Notes, what: &str| {
            notes.fault(source, Fault::new(at, "", format!("not carried over: {what}")))
        };
        let indented = line.starts_with([' ', '\t']) && kind != Kind::Unit;
        if let Some(rest) = trimmed.strip_prefix('[').filter(|_| !indented || all.is_empty()) {
            match rest.split_once(']') {
                Some((name, _)) => all.push(Section { name: name.trim().to_owned(), at, entries: Vec::new() }),
                None => wrong(notes, "a section without its ']'"),
            }
            continue;
        }
        let Some(section) = all.last_mut() else {
            wrong(notes, "it stands before the first [section]");
            continue;
        };
        if indented && let Some((_, node)) = section.entries.last_mut() {
            // A value goes on.
            if let Data::Text(value) = &mut node.data {
                value.push('\n');
                value.push_str(clean(trimmed, kind));
            }
            continue;
        }
        let end = if kind == Kind::Unit { trimmed.find('=') } else { trimmed.find(['=', ':']) };
        let Some(end) = end else {
            wrong(notes, "it is no KEY=VALUE");
            continue;
        };
        let mut value = clean(trimmed[end + 1..].trim_start(), kind).to_owned();
        if kind == Kind::Unit {
            go_on(&mut value, &mut lines);
        }
        let name = trimmed[..end].trim();
        let name = if kind == Kind::Unit { name.to_owned() } else { name.to_lowercase() };
        let node = Node { at, data: Data::Text(value) };
        section.entries.push((Key { at, name }, node));
    }
    for section in &mut all {
        for (_, node) in &mut section.entries {
            if let Data::Text(value) = &mut node.data {
                *value = value.trim().to_owned();
            }
        }
    }
    all
}

/// Joins what follows a backslash at the end of a line; comments between are left out, as
/// systemd.syntax(7) says.
fn go_on(value: &mut String, lines: &mut Lines<'_>) {
    while value.ends_with('\\') {
        value.pop();
        value.push(' ');
        let next = std::iter::from_fn(|| lines.next()).find(|(_, line)| !line.trim_start().starts_with(['#', ';']));
        let Some((_, line)) = next else { return };
        value.push_str(line.trim());
    }
}

/// A value without the comment behind it.
fn clean(value: &str, kind: Kind) -> &str {
    if kind != Kind::Supervisord {
        return value;
    }
    let end = value.match_indices([';', '#']).map(|(at, _)| at);
    let end = end.into_iter().find(|at| *at == 0 || value[..*at].ends_with([' ', '\t']));
    value[..end.unwrap_or(value.len())].trim_end()
}

struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<(usize, &'a str)> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let at = self.at;
        let end = rest.find('\n').map_or(rest.len(), |end| end + 1);
        self.at += end;
        Some((at, rest[..end].trim_end_matches(['\n', '\r'])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, kind: Kind) -> Vec<(String, String, String)> {
        let mut notes = Notes::default();
        let source = notes.source("f".as_ref(), text);
        let all = sections(text, kind, source, &mut notes).into_iter().flat_map(|section| {
            let name = section.name.clone();
            section.entries.into_iter().map(move |(key, node)| {
                let Data::Text(value) = node.data else { unreachable!() };
                (name.clone(), key.name, value)
            })
        });
        all.collect()
    }

    fn is(section: &str, key: &str, value: &str) -> (String, String, String) {
        (section.to_owned(), key.to_owned(), value.to_owned())
    }

    #[test]
    fn values_go_on() {
        let text = "; c\r\n[program:a b]\r\nCommand = run --x ; c\r\nenv=A=1,\r\n  # c\r\n  B=\"x;y\"\r\nk: v\r\n";
        let found = read(text, Kind::Supervisord);
        let name = "program:a b";
        assert_eq!(found, [is(name, "command", "run --x"), is(name, "env", "A=1,\nB=\"x;y\""), is(name, "k", "v")]);
        let text = "[Service]\nExecStart=/x a \\\n# c\n  b \\\n  c\nA=b ; c\n[Install]\nX=\n";
        let found = read(text, Kind::Unit);
        assert_eq!(
            found,
            [is("Service", "ExecStart", "/x a  b  c"), is("Service", "A", "b ; c"), is("Install", "X", "")]
        );
        let mut notes = Notes::default();
        let source = notes.source("f".as_ref(), "x\n[a\n[b]\ny\n");
        sections("x\n[a\n[b]\ny\n", Kind::Circus, source, &mut notes);
        assert_eq!(notes.problems().len(), 3);
    }
}
