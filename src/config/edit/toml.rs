//! TOML, by `toml_edit`: comments, blanks and order stay.

use serde_json::Value;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value as Toml};

use super::ops::Op;

/// A text with one key changed.
///
/// # Errors
/// TOML has no such value, or something that is no table is in the way.
pub(super) fn apply(text: &str, op: &Op) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    let Some((last, tables)) = op.path.split_last() else { return Err("name a key".to_owned()) };
    let mut at: &mut dyn TableLike = document.as_table_mut();
    for (depth, key) in tables.iter().enumerate() {
        if at.get(key).is_none() {
            if op.value.is_none() {
                return Ok(text.to_owned());
            }
            at.insert(key, empty(&op.path, depth));
        }
        let table = at.get_mut(key).and_then(Item::as_table_like_mut);
        at = table.ok_or_else(|| format!("{} is no table", op.path[..=depth].join(".")))?;
    }
    match &op.value {
        Some(value) => put(at, last, value, &op.path)?,
        None => {
            at.remove(last);
        }
    }
    Ok(document.to_string())
}

/// `[service.ID]` and `[daemon]` are sections of their own, what is inside them stands on one line.
fn is_section(path: &[String], depth: usize) -> bool {
    depth == 0 || depth == 1 && path[0] == "service"
}

/// A table that is not there yet, and will hold something.
fn empty(path: &[String], depth: usize) -> Item {
    if !is_section(path, depth) {
        return Item::Value(Toml::InlineTable(InlineTable::new()));
    }
    let mut table = Table::new();
    // Only what it holds is written: no line for [service].
    table.set_implicit(depth == 0);
    Item::Table(table)
}

fn put(table: &mut dyn TableLike, key: &str, value: &Value, path: &[String]) -> Result<(), String> {
    if let (Value::Object(entries), true) = (value, is_section(path, path.len() - 1)) {
        let mut section = Table::new();
        section.set_implicit(path.len() == 1 && path[0] == "service");
        for (name, value) in entries {
            let inner: Vec<String> = path.iter().chain([name]).cloned().collect();
            put(&mut section, name, value, &inner)?;
        }
        table.insert(key, Item::Table(section));
        return Ok(());
    }
    let mut new = written(value)?;
    match table.get_mut(key) {
        // A comment behind it stays.
        Some(Item::Value(old)) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        Some(item) => *item = Item::Value(new),
        None => {
            table.insert(key, Item::Value(new));
        }
    }
    Ok(())
}

fn written(value: &Value) -> Result<Toml, String> {
    Ok(match value {
        Value::Null => return Err("TOML has no null: take the key away instead".to_owned()),
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) if number.fract() != 0.0 || number.abs() < 9e15 => number.into(),
            _ => return Err(format!("{number} is larger than any number of TOML")),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(written).collect::<Result<Array, _>>()?.into(),
        Value::Object(entries) => {
            let mut table = InlineTable::new();
            for (key, value) in entries {
                table.insert(key, written(value)?);
            }
            table.into()
        }
    })
}
