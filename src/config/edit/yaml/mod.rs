//! YAML, by the places that its parser gives: only the lines of the key that changes are written
//! anew, so that comments and the style of all else stay. The caller reads the result again: what
//! cannot be changed in this way (an alias, say) is found there.

mod spans;
mod words;

use serde_json::{Map, Value};

use super::ops::Op;
use spans::{Entry, Node, Shape};

/// A text with one key changed.
///
/// # Errors
/// Something that is no table is in the way.
pub(super) fn apply(text: &str, op: &Op) -> Result<String, String> {
    let root = spans::read(text)?;
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let edit = Edit { text, line_end };
    let Some(root) = root else {
        return Ok(match &op.value {
            Some(value) => edit.added(text, &words::block(&nested(&op.path, value), 0, line_end)),
            None => text.to_owned(),
        });
    };
    match &op.value {
        Some(value) => edit.put(&root, &op.path, value),
        None => edit.remove(&root, None, &op.path),
    }
}

/// `{a: {b: value}}` of a path.
fn nested(path: &[String], value: &Value) -> Map<String, Value> {
    let Some((first, rest)) = path.split_first() else { return Map::new() };
    let inner = if rest.is_empty() { value.clone() } else { Value::Object(nested(rest, value)) };
    [(first.clone(), inner)].into_iter().collect()
}

struct Edit<'a> {
    text: &'a str,
    line_end: &'static str,
}

impl Edit<'_> {
    fn put(&self, node: &Node, path: &[String], value: &Value) -> Result<String, String> {
        let Some((key, rest)) = path.split_first() else { return Err("name a key".to_owned()) };
        let (Shape::Block(entries) | Shape::Flow(entries)) = &node.shape else {
            return Err(format!("{key} has no table around it"));
        };
        let found = entries.iter().find(|entry| entry.name == *key);
        match (found, &node.shape) {
            (None, Shape::Flow(_)) => Ok(self.into_flow(node, path, value)),
            (None, _) => Ok(self.under(node, entries, path, value)),
            (Some(entry), _) if rest.is_empty() => Ok(self.replaced(node, entry, value)),
            // `env:` with nothing behind it.
            (Some(entry), _) if entry.value.is_empty() => {
                Ok(self.replaced(node, entry, &Value::Object(nested(rest, value))))
            }
            (Some(entry), _) => self.put(&entry.value, rest, value),
        }
    }

    /// What stands behind a key, written anew.
    fn replaced(&self, table: &Node, entry: &Entry, value: &Value) -> String {
        let old = &entry.value;
        let simple = |value: &Value| !value.as_object().is_some_and(|table| !table.is_empty());
        let in_flow = matches!(table.shape, Shape::Flow(_));
        if matches!(old.shape, Shape::Word | Shape::Flow(_)) && !old.is_empty() && (simple(value) || in_flow) {
            return self.cut(old.start, old.end, &words::inline(value));
        }
        let new = match value.as_object() {
            Some(inner) if !inner.is_empty() && !in_flow => {
                let indent = self.column(entry.start) + 2;
                format!("{}{}", self.line_end, words::block(inner, indent, self.line_end).trim_end())
            }
            _ => format!(" {}", words::inline(value)),
        };
        self.cut(entry.colon, old.end.max(entry.colon), &new)
    }

    /// A new key under the others of a table.
    fn under(&self, table: &Node, entries: &[Entry], path: &[String], value: &Value) -> String {
        let indent = entries.first().map_or(0, |entry| self.column(entry.start));
        let block = words::block(&nested(path, value), indent, self.line_end);
        let end = self.text[table.end..].find('\n').map_or(self.text.len(), |length| table.end + length + 1);
        let before = self.added(&self.text[..end], &block);
        format!("{before}{}", &self.text[end..])
    }

    /// Text at the end of a text, on a line of its own.
    fn added(&self, text: &str, block: &str) -> String {
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { self.line_end };
        format!("{text}{gap}{block}")
    }

    /// A new key before the closing brace.
    fn into_flow(&self, table: &Node, path: &[String], value: &Value) -> String {
        let close = table.end.saturating_sub(1);
        let before = self.text[table.start..close].trim_end();
        let gap = if before.ends_with(['{', ',']) { "" } else { ", " };
        let entry = words::inline(&Value::Object(nested(path, value)));
        let entry = entry.strip_prefix('{').and_then(|entry| entry.strip_suffix('}')).unwrap_or_default();
        let at = table.start + before.len();
        self.cut(at, at, &format!("{gap}{entry}"))
    }

    fn remove(&self, node: &Node, around: Option<&Entry>, path: &[String]) -> Result<String, String> {
        let (Some((key, rest)), Shape::Block(entries) | Shape::Flow(entries)) = (path.split_first(), &node.shape)
        else {
            return Ok(self.text.to_owned());
        };
        let Some(at) = entries.iter().position(|entry| entry.name == *key) else { return Ok(self.text.to_owned()) };
        let entry = &entries[at];
        if !rest.is_empty() {
            return self.remove(&entry.value, Some(entry), rest);
        }
        if let Shape::Flow(_) = node.shape {
            let before = at.checked_sub(1).and_then(|at| entries.get(at));
            return Ok(match (before, entries.get(at + 1)) {
                (_, Some(next)) => self.cut(entry.start, next.start, ""),
                (Some(before), None) => self.cut(before.value.end.max(before.colon), entry.end(), ""),
                (None, None) => self.cut(entry.start, entry.end(), ""),
            });
        }
        if let [_] = entries.as_slice() {
            // A table without keys is written as such, or it would be nothing.
            return Ok(match around {
                Some(around) => self.cut(around.colon, node.end, " {}"),
                None => self.cut(entry.start, entry.end(), "{}"),
            });
        }
        let start = self.text[..entry.start].rfind('\n').map_or(0, |at| at + 1);
        let end = entry.end();
        let end = self.text[end..].find('\n').map_or(self.text.len(), |length| end + length + 1);
        Ok(self.cut(start, end, ""))
    }

    fn column(&self, at: usize) -> usize {
        at - self.text[..at].rfind('\n').map_or(0, |line| line + 1)
    }

    fn cut(&self, start: usize, end: usize, new: &str) -> String {
        format!("{}{new}{}", &self.text[..start], &self.text[end..])
    }
}
