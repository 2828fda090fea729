//! A config file as it was written, whatever its format: values with their places in the text.

use serde_json::{Map, Value};

/// Deeper than any config; what reads and walks trees is recursive.
pub(super) const DEPTH: usize = 64;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// In bytes.
    pub(super) at: usize,
    pub(super) data: Data,
}

/// A key and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) at: usize,
    pub(super) name: String,
}

/// A value; numbers with their text, because `1.10` may be meant as a word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Whole(i64, String),
    Float(f64, String),
    Text(String),
    /// Of TOML.
    Date(String),
    List(Vec<Node>),
    /// In the order of the file; no name twice.
    Table(Vec<(Key, Node)>),
}

impl Data {
    /// What it is, for messages.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Null => "nothing (null)",
            Self::Bool(_) => "a boolean",
            Self::Whole(..) => "a whole number",
            Self::Float(..) => "a number with a fraction",
            Self::Text(_) => "a string",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// As JSON; `None` for what JSON cannot say.
    pub(super) fn to_json(&self) -> Option<Value> {
        Some(match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Whole(number, _) => Value::from(*number),
            Self::Float(number, _) => Value::Number(serde_json::Number::from_f64(*number)?),
            Self::Text(text) | Self::Date(text) => Value::String(text.clone()),
            Self::List(items) => Value::Array(items.iter().map(|n| n.data.to_json()).collect::<Option<_>>()?),
            Self::Table(entries) => {
                let entry = |(key, node): &(Key, Node)| Some((key.name.clone(), node.data.to_json()?));
                Value::Object(entries.iter().map(entry).collect::<Option<Map<_, _>>>()?)
            }
        })
    }
}

/// A key as a step of a path: quoted where it is not plain.
pub(super) fn step(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if !name.is_empty() && name.bytes().all(plain) {
        name.to_owned()
    } else {
        format!("\"{}\"", crate::text::clip(name))
    }
}

/// The message for a key that is there a second time.
pub(super) const TWICE: &str = "it is there twice; keep one of them";
