//! What is read: tables from which keys are taken. What nobody took is reported: nothing of an
//! input is dropped without a word.

use std::path::{Path, PathBuf};

use crate::config::errors::{Fault, Problem, located};
use crate::config::tree::{Data, Key, Node, step};

/// A text that was read.
struct Source {
    path: PathBuf,
    text: String,
}

/// The texts of an import, and what is to be said of them.
#[derive(Default)]
pub(super) struct Notes {
    sources: Vec<Source>,
    notes: Vec<(usize, Fault)>,
}

impl Notes {
    /// A further text; its number.
    pub(super) fn source(&mut self, path: &Path, text: &str) -> usize {
        self.sources.push(Source { path: path.to_owned(), text: text.to_owned() });
        self.sources.len() - 1
    }

    /// Something that is not carried over, or not as it was.
    pub(super) fn say(&mut self, spot: &Spot, message: impl Into<String>) {
        self.notes.push((spot.source, Fault::new(spot.at, spot.key.clone(), message)));
    }

    /// Something that is not carried over, and why.
    pub(super) fn lost(&mut self, spot: &Spot, why: &str) {
        self.say(spot, format!("not carried over: {why}"));
    }

    pub(super) fn fault(&mut self, source: usize, fault: Fault) {
        self.notes.push((source, fault));
    }

    /// All of it with lines, in the order of the texts.
    pub(super) fn problems(self) -> Vec<Problem> {
        let mut of: Vec<Vec<Fault>> = self.sources.iter().map(|_| Vec::new()).collect();
        for (source, fault) in self.notes {
            of[source].push(fault);
        }
        let texts = self.sources.iter().zip(of);
        texts.flat_map(|(source, faults)| located(&source.path, &source.text, faults)).collect()
    }
}

/// A place in a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spot {
    pub(super) source: usize,
    pub(super) at: usize,
    pub(super) key: String,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) spot: Spot,
    pub(super) data: Data,
}

impl Field {
    pub(super) fn new(source: usize, key: impl Into<String>, node: Node) -> Self {
        Self { spot: Spot { source, at: node.at, key: key.into() }, data: node.data }
    }

    fn wrong<T>(&self, notes: &mut Notes, expected: &str) -> Option<T> {
        // An explicit nothing says nothing.
        if self.data != Data::Null {
            notes.say(&self.spot, format!("not carried over: expected {expected}, found {}", self.data.what()));
        }
        None
    }

    /// A string; numbers and booleans as they are written.
    pub(super) fn text(&self, notes: &mut Notes) -> Option<String> {
        match &self.data {
            Data::Text(text) | Data::Whole(_, text) | Data::Float(_, text) => Some(text.clone()),
            Data::Bool(flag) => Some(flag.to_string()),
            _ => self.wrong(notes, "a string"),
        }
    }

    /// A boolean, as the formats have them: yes, on, 1.
    pub(super) fn flag(&self, notes: &mut Notes) -> Option<bool> {
        match &self.data {
            Data::Bool(flag) => Some(*flag),
            Data::Whole(number @ 0..=1, _) => Some(*number == 1),
            Data::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" | "y" | "t" => Some(true),
                "false" | "no" | "off" | "0" | "n" | "f" => Some(false),
                _ => self.wrong(notes, "yes or no"),
            },
            _ => self.wrong(notes, "yes or no"),
        }
    }

    /// A whole number, also as a string.
    pub(super) fn whole(&self, notes: &mut Notes) -> Option<i64> {
        let found = match &self.data {
            Data::Whole(number, _) => Some(*number),
            Data::Float(number, _) if number.fract() == 0.0 && number.abs() < 1e15 => Some(*number as i64),
            Data::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        found.or_else(|| self.wrong(notes, "a whole number"))
    }

    /// A number that is not negative, also as a string.
    pub(super) fn number(&self, notes: &mut Notes) -> Option<f64> {
        let found = match &self.data {
            Data::Whole(number, _) => Some(*number as f64),
            Data::Float(number, _) => Some(*number),
            Data::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        found.filter(|n| n.is_finite() && *n >= 0.0).or_else(|| self.wrong(notes, "a number"))
    }

    /// The members of a list; a single value is a list of one.
    pub(super) fn list(self) -> Vec<Self> {
        let Self { spot, data } = self;
        match data {
            Data::List(items) => {
                let item = |(i, node): (usize, Node)| Self::new(spot.source, format!("{}[{i}]", spot.key), node);
                items.into_iter().enumerate().map(item).collect()
            }
            Data::Null => Vec::new(),
            data => vec![Self { spot, data }],
        }
    }

    /// A table.
    pub(super) fn table(self, notes: &mut Notes) -> Option<Table> {
        match self.data {
            Data::Table(entries) => Some(Table::new(self.spot, entries)),
            _ => self.wrong(notes, "a table"),
        }
    }
}

/// A table whose keys are taken one after another.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) spot: Spot,
    entries: Vec<(usize, Key, Node)>,
}

impl Table {
    pub(super) fn new(spot: Spot, entries: Vec<(Key, Node)>) -> Self {
        let source = spot.source;
        Self { spot, entries: entries.into_iter().map(|(key, node)| (source, key, node)).collect() }
    }

    /// Entries of a further text.
    pub(super) fn add(&mut self, source: usize, entries: Vec<(Key, Node)>) {
        self.entries.extend(entries.into_iter().map(|(key, node)| (source, key, node)));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(_, key, _)| key.name == name)
    }

    fn field(&self, source: usize, key: &Key, node: Node) -> Field {
        let path = match self.spot.key.as_str() {
            "" => step(&key.name),
            own => format!("{own}.{}", step(&key.name)),
        };
        Field { spot: Spot { source, at: key.at, key: path }, data: node.data }
    }

    /// The value of a key, which is then done with; of several the last.
    pub(super) fn take(&mut self, name: &str) -> Option<Field> {
        self.take_all(name).pop()
    }

    /// The same of the first of these names that is there; the others stay.
    pub(super) fn take_any(&mut self, names: &[&str]) -> Option<Field> {
        names.iter().find(|name| self.has(name)).and_then(|name| self.take(name))
    }

    /// Every value of a key.
    pub(super) fn take_all(&mut self, name: &str) -> Vec<Field> {
        let entries = std::mem::take(&mut self.entries);
        let (taken, left) = entries.into_iter().partition(|(_, key, _)| key.name == name);
        self.entries = left;
        let taken: Vec<(usize, Key, Node)> = taken;
        taken.into_iter().map(|(source, key, node)| self.field(source, &key, node)).collect()
    }

    /// All that is left, with its names.
    pub(super) fn rest(&mut self) -> Vec<(String, Field)> {
        let entries = std::mem::take(&mut self.entries);
        let named = |(source, key, node): (usize, Key, Node)| (key.name.clone(), self.field(source, &key, node));
        entries.into_iter().map(named).collect()
    }

    /// Reports what nobody took, with the reason where there is one for it (a name that ends in `*`
    /// stands for all that begin so).
    pub(super) fn done(mut self, notes: &mut Notes, reasons: &[(&str, &str)]) {
        for (name, field) in self.rest() {
            let is = |wanted: &str| match wanted.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => wanted == name,
            };
            match reasons.iter().find(|(wanted, _)| is(wanted)) {
                Some((_, why)) => notes.lost(&field.spot, why),
                None => notes.lost(&field.spot, "provost has nothing like it"),
            }
        }
    }
}
