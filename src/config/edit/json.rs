//! JSON: its keys stay in their order, its indentation as it was.

use serde_json::Value;

use super::ops::Op;
use crate::config::read::{self, Format};
use crate::config::tree::{Data, Key, Node};

/// A text with one key changed.
///
/// # Errors
/// It is no JSON, or something that is no table is in the way.
pub(super) fn apply(text: &str, op: &Op) -> Result<String, String> {
    let (tree, faults) = read::read(Format::Json, text);
    let Some(mut tree) = tree.filter(|_| faults.is_empty()) else { return Err("it is no JSON".to_owned()) };
    let Some((last, tables)) = op.path.split_last() else { return Err("name a key".to_owned()) };
    let mut at = &mut tree.data;
    for key in tables {
        let Data::Table(entries) = at else { return Err(format!("{key} has no table around it")) };
        let found = entries.iter().position(|(name, _)| name.name == *key);
        let index = match (found, &op.value) {
            (Some(index), _) => index,
            (None, None) => return Ok(text.to_owned()),
            (None, Some(_)) => {
                entries.push((Key { at: 0, name: key.clone() }, Node { at: 0, data: Data::Table(Vec::new()) }));
                entries.len() - 1
            }
        };
        at = &mut entries[index].1.data;
    }
    let Data::Table(entries) = at else { return Err(format!("{last} has no table around it")) };
    let found = entries.iter().position(|(name, _)| name.name == *last);
    match (&op.value, found) {
        (Some(value), Some(index)) => entries[index].1.data = of(value),
        (Some(value), None) => {
            entries.push((Key { at: 0, name: last.clone() }, Node { at: 0, data: of(value) }));
        }
        (None, Some(index)) => {
            entries.remove(index);
        }
        (None, None) => {}
    }
    let mut out = String::new();
    write(&tree.data, &indent(text), 0, &mut out);
    if text.ends_with('\n') {
        out.push('\n');
    }
    Ok(out)
}

/// What its first indented line begins with; of one that is on one line: two blanks.
fn indent(text: &str) -> String {
    let line = text.lines().skip(1).find(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty());
    let length = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    line.map_or_else(|| "  ".to_owned(), |line| line[..length(line)].to_owned())
}

/// A value as JSON knows it, as a tree.
fn of(value: &Value) -> Data {
    let node = |value: &Value| Node { at: 0, data: of(value) };
    match value {
        Value::Null => Data::Null,
        Value::Bool(flag) => Data::Bool(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Data::Whole(whole, number.to_string()),
            None => Data::Float(number.as_f64().unwrap_or_default(), number.to_string()),
        },
        Value::String(text) => Data::Text(text.clone()),
        Value::Array(items) => Data::List(items.iter().map(node).collect()),
        Value::Object(entries) => {
            let entry = |(name, value)| (Key { at: 0, name: String::clone(name) }, node(value));
            Data::Table(entries.iter().map(entry).collect())
        }
    }
}

fn write(data: &Data, indent: &str, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    };
    match data {
        Data::Null => out.push_str("null"),
        Data::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Data::Whole(_, text) | Data::Float(_, text) => out.push_str(text),
        Data::Text(text) | Data::Date(text) => out.push_str(&quoted(text)),
        Data::List(items) if items.is_empty() => out.push_str("[]"),
        Data::Table(entries) if entries.is_empty() => out.push_str("{}"),
        Data::List(items) => {
            // Words of a command stand on one line.
            let short = items.iter().all(|item| !matches!(item.data, Data::List(_) | Data::Table(_)));
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                match (short, i) {
                    (true, 0) => {}
                    (true, _) => out.push_str(", "),
                    (false, _) => {
                        out.push_str(if i == 0 { "" } else { "," });
                        line(depth + 1, out);
                    }
                }
                write(&item.data, indent, depth + 1, out);
            }
            if !short {
                line(depth, out);
            }
            out.push(']');
        }
        Data::Table(entries) => {
            out.push('{');
            for (i, (key, node)) in entries.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                line(depth + 1, out);
                out.push_str(&quoted(&key.name));
                out.push_str(": ");
                write(&node.data, indent, depth + 1, out);
            }
            line(depth, out);
            out.push('}');
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
