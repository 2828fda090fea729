//! YAML 1.2 (core schema), from the events of `granit-parser`; aliases are copies, of which there
//! are only so many, and `<<` merges.

use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, Tag};

use super::Fault;
use crate::config::tree::{DEPTH, Data, Key, Node, TWICE, step};

/// Aliases may add this many values: a config of thousands of services has fewer, and a bomb,
/// whose aliases double each other, ends here.
const COPIES: usize = 100_000;

pub(super) fn read(text: &str) -> (Option<Node>, Vec<Fault>) {
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
        emit_comments: false,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let done = match event {
            Ok((event, span)) => builder.event(event, &span),
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or_else(|| byte_of(text, error.marker().index()));
                let deep = matches!(error.kind(), ErrorKind::RecursionLimitExceeded);
                Err(Fault::new(at, "", if deep { too_deep() } else { error.info() }))
            }
        };
        if let Err(fault) = done {
            builder.faults.push(fault);
            return (None, builder.faults);
        }
    }
    let empty = Node { at: 0, data: Data::Null };
    (Some(builder.root.unwrap_or(empty)), builder.faults)
}

fn too_many() -> String {
    format!("its anchors and aliases stand for more than {COPIES} values")
}

fn too_deep() -> String {
    format!("it is nested deeper than {DEPTH}")
}

fn byte_of(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}

/// A collection that is not at its end yet.
struct Open {
    at: usize,
    anchor: usize,
    /// How many values it holds, with those inside of them.
    size: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Table { entries: Vec<(Key, Node)>, seen: HashSet<String>, key: Option<Key>, merged: Vec<(Key, Node)> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    /// What each anchor stands for: the value, how many it holds, how deep it is.
    anchors: HashMap<usize, (Node, usize, usize)>,
    copies: usize,
    documents: usize,
    faults: Vec<Fault>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Fault> {
        let at = span.start.byte_offset().unwrap_or(0);
        let wrong = |message: String| Err(Fault::new(at, "", message));
        let deep = || wrong(too_deep());
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return wrong("a second document begins here: a config is one".to_owned());
                }
            }
            Event::SequenceStart(_, anchor, tag) => {
                known_tag(at, tag.as_deref(), &["seq"])?;
                if self.open.len() >= DEPTH {
                    return deep();
                }
                self.open.push(Open { at, anchor, size: 1, items: Items::List(Vec::new()) });
            }
            Event::MappingStart(_, anchor, tag) => {
                known_tag(at, tag.as_deref(), &["map"])?;
                if self.open.len() >= DEPTH {
                    return deep();
                }
                let items = Items::Table { entries: Vec::new(), seen: HashSet::new(), key: None, merged: Vec::new() };
                self.open.push(Open { at, anchor, size: 1, items });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let data = match open.items {
                    Items::List(items) => Data::List(items),
                    Items::Table { mut entries, mut seen, merged, .. } => {
                        // What is written here comes before what is merged, and of that the first.
                        entries.extend(merged.into_iter().filter(|(key, _)| seen.insert(key.name.clone())));
                        Data::Table(entries)
                    }
                };
                return self.add(Node { at: open.at, data }, open.anchor, open.size, false);
            }
            Event::Scalar(text, style, anchor, tag) => {
                known_tag(at, tag.as_deref(), &["str", "int", "float", "bool", "null"])?;
                let plain = style == ScalarStyle::Plain;
                let text_wanted = tag.as_deref().is_some_and(|tag| tag.core_suffix() == Some("str"));
                let merge = plain && text == "<<";
                let data = if plain && !text_wanted { scalar(&text) } else { Data::Text(text.into_owned()) };
                let data = if self.wants_key() { key_of(data) } else { data };
                return self.add(Node { at, data }, anchor, 1, merge);
            }
            Event::Alias(anchor) => {
                let Some((node, size, depth)) = self.anchors.get(&anchor) else {
                    return wrong("this alias stands for a value that holds it".to_owned());
                };
                self.copies += size;
                if self.copies > COPIES {
                    return wrong(too_many());
                }
                if self.open.len() + depth > DEPTH {
                    return deep();
                }
                let (node, size) = (node.clone(), *size);
                return self.add(node, 0, size, false);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the next value is the key of a table.
    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { items: Items::Table { key: None, .. }, .. }))
    }

    fn add(&mut self, node: Node, anchor: usize, size: usize, merge: bool) -> Result<(), Fault> {
        if anchor != 0 {
            let deep = depth(&node.data);
            self.copies += size;
            if self.copies > COPIES {
                return Err(Fault::new(node.at, "", too_many()));
            }
            self.anchors.insert(anchor, (node.clone(), size, deep));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.size += size;
        match &mut open.items {
            Items::List(items) => items.push(node),
            Items::Table { key: place @ None, .. } => match node.data {
                // No key can be called this by accident: a quoted one is no merge.
                Data::Text(_) if merge => *place = Some(Key { at: node.at, name: MERGE.to_owned() }),
                Data::Text(name) => *place = Some(Key { at: node.at, name }),
                other => return Err(Fault::new(node.at, "", format!("{} cannot be a key", other.what()))),
            },
            Items::Table { entries, seen, key, merged } => {
                let Some(key) = key.take() else { return Ok(()) };
                if key.name == MERGE {
                    merged.extend(tables(node)?);
                } else if seen.insert(key.name.clone()) {
                    entries.push((key, node));
                } else {
                    self.faults.push(Fault::new(key.at, step(&key.name), TWICE));
                }
            }
        }
        Ok(())
    }
}

/// How the key of a merge is marked: no key that means something holds a NUL.
const MERGE: &str = "\0<<";

/// The entries that `<<` merges: of a table, or of a list of them.
fn tables(node: Node) -> Result<Vec<(Key, Node)>, Fault> {
    match node.data {
        Data::Table(entries) => Ok(entries),
        Data::List(items) => items.into_iter().map(tables).collect::<Result<Vec<_>, _>>().map(|all| all.concat()),
        other => Err(Fault::new(node.at, "<<", format!("expected a table to merge, found {}", other.what()))),
    }
}

fn depth(data: &Data) -> usize {
    match data {
        Data::List(items) => 1 + items.iter().map(|n| depth(&n.data)).max().unwrap_or(0),
        Data::Table(entries) => 1 + entries.iter().map(|(_, n)| depth(&n.data)).max().unwrap_or(0),
        _ => 0,
    }
}

fn known_tag(at: usize, tag: Option<&Tag>, known: &[&str]) -> Result<(), Fault> {
    match tag {
        Some(tag) if !tag.core_suffix().is_some_and(|suffix| known.contains(&suffix)) => {
            Err(Fault::new(at, "", format!("the tag {} means nothing here", crate::text::clip(&tag.original()))))
        }
        _ => Ok(()),
    }
}

/// Numbers and words as keys are their text.
fn key_of(data: Data) -> Data {
    match data {
        Data::Whole(_, text) | Data::Float(_, text) => Data::Text(text),
        Data::Bool(flag) => Data::Text(flag.to_string()),
        other => other,
    }
}

/// A plain scalar, by the core schema of YAML 1.2.
fn scalar(text: &str) -> Data {
    let whole = || -> Option<i64> {
        if let Some(digits) = text.strip_prefix("0x") {
            return i64::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        }
        if let Some(digits) = text.strip_prefix("0o") {
            return i64::from_str_radix(digits, 8).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
        }
        text.parse().ok()
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" => Data::Float(f64::INFINITY, text.to_owned()),
        "-.inf" | "-.Inf" | "-.INF" => Data::Float(f64::NEG_INFINITY, text.to_owned()),
        ".nan" | ".NaN" | ".NAN" => Data::Float(f64::NAN, text.to_owned()),
        _ => match whole() {
            Some(number) => Data::Whole(number, text.to_owned()),
            None => match text.parse() {
                // Rust reads "inf" and "nan" too, which are words here.
                Ok(number) if text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) => {
                    Data::Float(number, text.to_owned())
                }
                _ => Data::Text(text.to_owned()),
            },
        },
    }
}
