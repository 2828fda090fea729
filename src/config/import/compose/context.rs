//! What texts of a process-compose.yaml mean: variables, templates, processes that extend others.

use std::collections::BTreeMap;

use super::super::input::{Field, Notes, Spot};
use super::super::words;
use crate::config::tree::{Data, Node};
use crate::gather::Gather as _;

/// How texts are meant.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) shell: Vec<String>,
    /// `${NAME}` is replaced when the file is read.
    pub(super) expands: bool,
    /// `{{.NAME}}`.
    pub(super) vars: BTreeMap<String, String>,
}

/// The values of `vars`.
pub(super) fn variables(field: Field, notes: &mut Notes) -> BTreeMap<String, String> {
    let entries = field.table(notes).map(|mut table| table.rest()).unwrap_or_default();
    entries.into_iter().filter_map(|(name, field)| Some((name, field.text(notes)?))).gather()
}

/// A process that extends another has its keys, too.
pub(super) fn extended(field: Field) -> Field {
    let Field { spot, data: Data::Table(mut entries) } = field else { return field };
    // Of one that extends one that extends another.
    for _ in 0..8 {
        let all = entries.clone();
        for (_, node) in &mut entries {
            let Data::Table(own) = &mut node.data else { continue };
            let Some(at) = own.iter().position(|(key, _)| key.name == "extends") else { continue };
            let Data::Text(base) = own[at].1.data.clone() else { continue };
            let Some((_, Node { data: Data::Table(base), .. })) = all.iter().find(|(key, _)| key.name == base) else {
                continue;
            };
            own.remove(at);
            for (key, node) in base.iter().filter(|(key, _)| key.name != "disabled") {
                if !own.iter().any(|(own, _)| own.name == key.name) {
                    own.push((key.clone(), node.clone()));
                }
            }
        }
        if entries == all {
            break;
        }
    }
    Field { spot, data: Data::Table(entries) }
}

impl Context {
    /// A text with its templates filled in, as far as that is a matter of names.
    fn filled(&self, text: &str, spot: &Spot, notes: &mut Notes) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, (inner, after))) =
            rest.split_once("{{").and_then(|(before, more)| Some((before, more.split_once("}}")?)))
        {
            out.push_str(before);
            match inner.trim().strip_prefix('.').and_then(|name| self.vars.get(name)) {
                Some(value) => out.push_str(value),
                None => {
                    notes.say(spot, format!("not filled in: {{{{{}}}}}", crate::text::clip(inner)));
                    out.push_str(&format!("{{{{{inner}}}}}"));
                }
            }
            rest = after;
        }
        out + rest
    }

    pub(super) fn text(&self, text: &str, spot: &Spot, notes: &mut Notes) -> String {
        let text = self.filled(text, spot, notes);
        if self.expands { words::variables(&text, true, true) } else { words::literal(&text) }
    }

    /// A command for the shell, which sees the same variables.
    pub(super) fn command(&self, text: &str, spot: &Spot, notes: &mut Notes) -> Vec<String> {
        let text = self.filled(text, spot, notes);
        let text = if self.expands { text.replace("$$", "$") } else { text };
        let shell: Vec<&str> = self.shell.iter().map(String::as_str).collect();
        words::shell(&text, &shell)
    }
}

/// A table, or a list of NAME=VALUE.
pub(super) fn environment(field: Field, context: &Context, notes: &mut Notes) -> Vec<(String, String, Field)> {
    let mut all = Vec::new();
    if let Data::Table(_) = field.data {
        for (name, field) in field.table(notes).map(|mut table| table.rest()).unwrap_or_default() {
            if let Some(text) = field.text(notes) {
                all.push((name, context.text(&text, &field.spot, notes), field));
            }
        }
        return all;
    }
    for item in field.list() {
        let Some(text) = item.text(notes) else { continue };
        match words::pair(&text) {
            Some((name, value)) => all.push((name.to_owned(), context.text(value, &item.spot, notes), item)),
            None => notes.say(&item.spot, "not carried over: it is no NAME=VALUE"),
        }
    }
    all
}
