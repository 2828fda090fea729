//! What a change comes to, whatever the format: keys that are put and keys that are taken away.

use serde_json::{Map, Value};

/// One key that changes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Op {
    /// Where it is, from the root; never empty.
    pub(super) path: Vec<String>,
    /// What it becomes; `None`: it goes.
    pub(super) value: Option<Value>,
}

impl Op {
    pub(super) fn put(path: &[&str], value: Value) -> Self {
        Self { path: path.iter().map(|key| (*key).to_owned()).collect(), value: Some(value) }
    }

    pub(super) fn remove(path: &[&str]) -> Self {
        Self { path: path.iter().map(|key| (*key).to_owned()).collect(), value: None }
    }
}

/// The steps of a merge patch (RFC 7396) at a path: only what differs.
pub(super) fn merge(document: &Value, path: &[&str], patch: &Value) -> Vec<Op> {
    let mut all = Vec::new();
    let current = path.iter().try_fold(document, |value, key| value.as_object()?.get(*key));
    let mut path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
    walk(current, &mut path, patch, &mut all);
    all
}

fn walk(current: Option<&Value>, path: &mut Vec<String>, patch: &Value, all: &mut Vec<Op>) {
    match (patch, current) {
        (Value::Object(patch), Some(Value::Object(current))) => {
            for (key, value) in patch {
                path.push(key.clone());
                walk(current.get(key), path, value, all);
                path.pop();
            }
        }
        (Value::Null, None) => {}
        (Value::Null, Some(_)) => all.push(Op { path: path.clone(), value: None }),
        (patch, current) if current != Some(patch) => {
            all.push(Op { path: path.clone(), value: Some(without_nulls(patch)) });
        }
        _ => {}
    }
}

/// A patch for what is not there yet: what it takes away is nothing.
fn without_nulls(patch: &Value) -> Value {
    match patch {
        Value::Object(entries) => {
            let kept = entries.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        other => other.clone(),
    }
}

/// Does it to a value.
///
/// # Errors
/// The root itself is meant, or something that is no table is in the way.
pub(super) fn apply(document: &mut Value, op: &Op) -> Result<(), String> {
    let Some((last, tables)) = op.path.split_last() else {
        return Err("name a key: the whole file is not replaced".to_owned());
    };
    let mut at = document;
    for (depth, key) in tables.iter().enumerate() {
        let table = at.as_object_mut().ok_or_else(|| no_table(&op.path[..depth]))?;
        if op.value.is_none() && !table.contains_key(key) {
            return Ok(());
        }
        at = table.entry(key.clone()).or_insert(Value::Null);
        // `env:` with nothing behind it is how YAML writes an empty table.
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
    }
    let table = at.as_object_mut().ok_or_else(|| no_table(tables))?;
    match &op.value {
        Some(value) => {
            table.insert(last.clone(), value.clone());
        }
        None => {
            table.remove(last);
        }
    }
    Ok(())
}

fn no_table(path: &[String]) -> String {
    format!("{} is no table, and has no keys", path.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7396, appendix A, whose target is an object.
    #[test]
    fn a_merge_is_that_of_the_standard() {
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let [mut target, patch, result]: [Value; 3] =
                [target, patch, result].map(|t| serde_json::from_str(t).unwrap());
            for op in merge(&target.clone(), &[], &patch) {
                apply(&mut target, &op).unwrap();
            }
            assert_eq!(target, result, "{patch}");
        }
    }
}
