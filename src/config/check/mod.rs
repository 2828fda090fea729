//! The walker: a tree beside the table of keys. What is right comes out as JSON in the form of
//! [`crate::model::service`], what is wrong as faults, all of them.

mod number;
mod text;

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::errors::Fault;
use super::keys::{Key, Kind, Shape, meant};
use super::tree::{Data, Key as Written, Node, step};
use crate::backend::systemd::properties;
use crate::text::clip;

/// What a value depends on besides itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// The system instance reads it.
    pub(super) system: bool,
    /// What `~/` stands for.
    pub(super) home: Option<&'a Path>,
}

/// Where each key stands, by its path.
#[derive(Debug, Default)]
pub(super) struct Spots(HashMap<String, usize>);

impl Spots {
    /// Whether the key was written, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Where the key stands, or else what holds it.
    pub(super) fn near(&self, key: &str) -> usize {
        let mut key = key;
        loop {
            match (self.0.get(key), key.rfind(['.', '['])) {
                (Some(at), _) => return *at,
                (None, Some(end)) => key = &key[..end],
                (None, None) => return 0,
            }
        }
    }
}

/// What came of a tree.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// All that is right; what is wrong is left out.
    pub(super) value: Map<String, Value>,
    pub(super) faults: Vec<Fault>,
    pub(super) spots: Spots,
}

/// Checks a whole file.
pub(super) fn check(root: &Node, keys: &'static [Key], rules: Rules<'_>) -> Checked {
    let mut walk = Walk { rules, path: String::new(), faults: Vec::new(), spots: Spots::default() };
    let value = match &root.data {
        Data::Table(entries) => walk.table(keys, entries),
        _ => Map::new(),
    };
    Checked { value, faults: walk.faults, spots: walk.spots }
}

struct Walk<'a> {
    rules: Rules<'a>,
    path: String,
    faults: Vec<Fault>,
    spots: Spots,
}

impl Walk<'_> {
    fn wrong(&mut self, at: usize, message: impl Into<String>) {
        self.faults.push(Fault::new(at, self.path.clone(), message));
    }

    /// Goes one step down for as long as `then` runs.
    fn below<T>(&mut self, step: &str, at: usize, then: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        self.spots.0.insert(self.path.clone(), at);
        let result = then(self);
        self.path.truncate(length);
        result
    }

    fn value(&mut self, kind: &'static Kind, node: &Node) -> Option<Value> {
        match (kind, &node.data) {
            (Kind::Table(keys), Data::Table(entries)) => Some(Value::Object(self.table(keys, entries))),
            (Kind::Names(shape, kind), Data::Table(entries)) => Some(self.names(*shape, kind, entries)),
            (Kind::Properties, Data::Table(entries)) => Some(self.properties(entries)),
            // `env:` with nothing behind it is how YAML writes an empty table.
            (Kind::Table(_) | Kind::Names(..) | Kind::Properties, Data::Null) => Some(Value::Object(Map::new())),
            (Kind::List(kind), Data::List(items)) => Some(Value::Array(self.list(items, |w, n| w.value(kind, n)))),
            (Kind::Command, Data::List(items)) => {
                let before = self.faults.len();
                let words = self.list(items, |w, n| w.value(&Kind::Word, n));
                (before == self.faults.len()).then(|| self.scalar(node, |rules| text::command(words, rules)))?
            }
            (Kind::Ladder, Data::List(items)) => {
                let before = self.faults.len();
                let rungs = self.list(items, |w, n| w.scalar(n, |_| number::rung(&n.data)));
                (before == self.faults.len()).then(|| self.scalar(node, |_| number::ladder(rungs)))?
            }
            (Kind::Any, data) => self.scalar(node, |_| data.to_json().ok_or_else(|| "JSON has no such number".into())),
            (kind, Data::Null) => {
                self.wrong(node.at, format!("nothing is written here: expected {}, or no such key", kind.expected()));
                None
            }
            (kind, data) => self.scalar(node, |rules| scalar(kind, data, rules)),
        }
    }

    fn scalar(&mut self, node: &Node, read: impl FnOnce(Rules<'_>) -> Result<Value, String>) -> Option<Value> {
        read(self.rules).map_err(|message| self.wrong(node.at, message)).ok()
    }

    fn list(&mut self, items: &[Node], mut read: impl FnMut(&mut Self, &Node) -> Option<Value>) -> Vec<Value> {
        let items = items.iter().enumerate();
        items.filter_map(|(i, node)| self.below(&format!("[{i}]"), node.at, |walk| read(walk, node))).collect()
    }

    fn table(&mut self, keys: &'static [Key], entries: &[(Written, Node)]) -> Map<String, Value> {
        let mut table = Map::new();
        for (name, node) in entries {
            self.below(&step(&name.name), name.at, |walk| match keys.iter().find(|key| key.name == name.name) {
                Some(key) => {
                    if let Some(value) = walk.value(&key.kind, node) {
                        table.insert(name.name.clone(), value);
                    }
                }
                None => walk.unknown(name, keys),
            });
        }
        table
    }

    fn unknown(&mut self, name: &Written, keys: &[Key]) {
        let message = match meant(&name.name, keys) {
            Some(key) => format!("unknown key; did you mean \"{key}\"?"),
            None => {
                let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
                format!("unknown key; there are: {}", names.join(", "))
            }
        };
        self.wrong(name.at, message);
    }

    fn names(&mut self, shape: Shape, kind: &'static Kind, entries: &[(Written, Node)]) -> Value {
        let mut table = Map::new();
        for (name, node) in entries {
            self.below(&step(&name.name), name.at, |walk| {
                if let Err(message) = text::name(shape, &name.name) {
                    walk.wrong(name.at, message);
                }
                if let Some(value) = walk.value(kind, node) {
                    table.insert(name.name.clone(), value);
                }
            });
        }
        Value::Object(table)
    }

    fn properties(&mut self, entries: &[(Written, Node)]) -> Value {
        let mut table = Map::new();
        for (name, node) in entries {
            let read = |_: Rules<'_>| {
                let value = node.data.to_json().filter(|value| !value.is_object() && !value.is_null());
                let value = value.ok_or_else(|| format!("expected a value or a list, found {}", node.data.what()))?;
                super::check_property(&name.name, &value).map_err(|error| error.to_string())?;
                Ok(value)
            };
            let value = self.below(&step(&name.name), name.at, |walk| match properties::known(&name.name) {
                Ok(()) => walk.scalar(node, read),
                Err(error) => {
                    walk.wrong(name.at, error.to_string());
                    None
                }
            });
            table.extend(value.map(|value| (name.name.clone(), value)));
        }
        Value::Object(table)
    }
}

fn scalar(kind: &Kind, data: &Data, rules: Rules<'_>) -> Result<Value, String> {
    let expected = || {
        let found = match data {
            Data::Text(text) => format!("\"{}\"", clip(text)),
            Data::Whole(_, text) | Data::Float(_, text) => clip(text),
            Data::Bool(flag) => flag.to_string(),
            other => other.what().to_owned(),
        };
        format!("expected {}, found {found}", kind.expected())
    };
    match (kind, data) {
        (Kind::Flag, Data::Bool(flag)) => Ok(Value::Bool(*flag)),
        (Kind::Yes, Data::Bool(true)) => Ok(Value::Bool(true)),
        (Kind::Whole(min, max), Data::Whole(number, _)) if (min..=max).contains(&number) => Ok(Value::from(*number)),
        (Kind::Share, Data::Whole(number @ 0..=1, _)) => Ok(Value::from(*number as f64)),
        (Kind::Share, Data::Float(number, _)) if (0.0..=1.0).contains(number) => Ok(Value::from(*number)),
        (Kind::Text(shape), Data::Text(text)) => text::text(*shape, text, rules),
        // A number is no user's name, but it is a user.
        (Kind::Text(Shape::User), Data::Whole(_, text)) => text::text(Shape::User, text, rules),
        (Kind::Word, Data::Text(text) | Data::Whole(_, text) | Data::Float(_, text)) => text::word(text),
        (Kind::Word, Data::Bool(flag)) => text::word(&flag.to_string()),
        (Kind::Choice(words), Data::Text(text)) if words.contains(&text.as_str()) => Ok(Value::from(text.as_str())),
        (Kind::Span { positive }, _) => number::span(*positive, data).unwrap_or_else(|| Err(expected())),
        (Kind::Size | Kind::Percent | Kind::Port | Kind::Signal, _) => {
            number::units(kind, data).unwrap_or_else(|| Err(expected()))
        }
        (Kind::Ladder, Data::Text(text)) => {
            let rungs = text.split(',').map(|rung| number::rung(&Data::Text(rung.trim().to_owned())));
            number::ladder(rungs.collect::<Result<_, _>>()?)
        }
        (Kind::Command, Data::Text(text)) => text::split(text, rules),
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests;
