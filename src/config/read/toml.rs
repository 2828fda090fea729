//! TOML, by the `toml` crate, which limits how deep it nests and goes on after an error.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::Fault;
use crate::config::tree::{Data, Key, Node, TWICE, step};
use crate::gather::Arrange as _;

const DEEP: &str = "it is nested too deep";

pub(super) fn read(text: &str) -> (Option<Node>, Vec<Fault>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut whole = true;
    let mut header: Option<usize> = None;
    let fault = |error: ::toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        if error.message().starts_with("duplicate key") {
            let between = |from: usize| text.get(from..span.start).unwrap_or_default();
            // The keys of a table that is there twice are said with it.
            if header.is_some_and(|from| !between(from).contains("\n[")) {
                return None;
            }
            let line = between(0).rfind('\n').map_or(0, |end| end + 1);
            header = text[line..].starts_with('[').then_some(span.start);
            let name = text.get(span.clone()).unwrap_or_default().trim_matches(['"', '\'']);
            return Some(Fault::new(span.start, step(name), TWICE));
        }
        whole = false;
        if error.message().contains("recurs") {
            return Some(Fault::new(span.start, "", DEEP));
        }
        Some(Fault::new(span.start, "", error.message()))
    };
    let mut faults: Vec<Fault> = errors.into_iter().filter_map(fault).collect();
    // What is said behind it is of what was not read.
    if let Some(deep) = faults.iter().position(|fault| fault.message == DEEP) {
        return (None, vec![faults.swap_remove(deep)]);
    }
    let tree = whole.then(|| Node { at: 0, data: entries(table.get_ref(), text) });
    (tree, faults)
}

fn entries(table: &DeTable<'_>, text: &str) -> Data {
    let mut entries: Vec<(Key, Node)> = table
        .iter()
        .map(|(key, value)| {
            let name = key.get_ref().to_string();
            (Key { at: key.span().start, name }, node(value, text))
        })
        .collect();
    // The crate sorts them by name.
    entries.arrange_by_key(|(key, _)| key.at);
    Data::Table(entries)
}

fn node(value: &Spanned<DeValue<'_>>, text: &str) -> Node {
    let at = value.span().start;
    let written = || text.get(value.span()).unwrap_or_default().to_owned();
    let data = match value.get_ref() {
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Boolean(flag) => Data::Bool(*flag),
        DeValue::Datetime(date) => Data::Date(date.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Data::Whole(number, written()),
            // Nothing takes one so large, and says so.
            Err(_) => Data::Float(number.as_str().parse().unwrap_or(f64::INFINITY), written()),
        },
        DeValue::Float(number) => Data::Float(number.as_str().parse().unwrap_or(f64::NAN), written()),
        DeValue::Array(items) => Data::List(items.iter().map(|item| node(item, text)).collect()),
        DeValue::Table(table) => entries(table, text),
    };
    Node { at, data }
}
