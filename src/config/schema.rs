//! The JSON Schema of a config file, made from the table of keys: for editors.

use serde_json::{Map, Value, json};

use super::keys::{FILE, Key, Kind, READY_CHECKS, SERVICE, Shape};

/// What durations look like: seconds, or numbers with units.
const SPAN: &str = "^ *([0-9]+(\\.[0-9]*)?|([0-9]+ *[A-Za-z\u{b5}]+ *)+)$";
const SIZE: &str = "^ *[0-9]+ *([kKmMgGtT](iB|B)?|B)? *$";
const PERCENT: &str = "^ *[0-9]+ *% *$";
const PORT: &str = "^ *[0-9]{1,5} *(- *[0-9]{1,5} *)?$";
const ID: &str = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$";
const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

/// The schema, of draft 2020-12.
pub fn schema() -> Value {
    let mut service = table(SERVICE);
    service["not"] = json!({"required": ["command", "script"]});
    let mut file = table(FILE);
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "provost",
        "description": "Services that provost starts and supervises",
        "$defs": {"service": service},
    });
    if let (Value::Object(file), Value::Object(head)) = (&mut file, head) {
        file.extend(head);
    }
    file
}

fn table(keys: &'static [Key]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn property(key: &'static Key) -> Value {
    let mut value = of(&key.kind);
    value["description"] = json!(key.about);
    if let Ok(default) = serde_json::from_str::<Value>(key.default) {
        value["default"] = default;
    }
    if key.name == "ready" {
        // A service may take its check from the defaults: at most one is all that can be asked.
        value["dependentSchemas"] = at_most_one(&READY_CHECKS);
    }
    value
}

fn at_most_one(keys: &[&str]) -> Value {
    let others = |key: &str| -> Vec<Value> {
        keys.iter().filter(|other| **other != key).map(|other| json!({"required": [other]})).collect()
    };
    keys.iter().map(|key| ((*key).to_owned(), json!({"not": {"anyOf": others(key)}}))).collect::<Map<_, _>>().into()
}

fn of(kind: &'static Kind) -> Value {
    let words = |items: Value| json!({"type": "array", "items": items});
    match kind {
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Yes => json!({"const": true}),
        Kind::Whole(min, i64::MAX) => json!({"type": "integer", "minimum": min}),
        Kind::Whole(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Share => json!({"type": "number", "minimum": 0, "maximum": 1}),
        Kind::Text(Shape::User) => json!({"type": ["string", "integer"], "minLength": 1}),
        Kind::Text(Shape::Id) => json!({"type": "string", "pattern": ID}),
        Kind::Text(_) => json!({"type": "string", "minLength": 1}),
        Kind::Word => json!({"type": ["string", "number", "boolean"]}),
        Kind::Choice(words) => json!({"enum": words}),
        Kind::Span { .. } => json!({"type": ["string", "number"], "minimum": 0, "pattern": SPAN}),
        Kind::Size => json!({"type": ["string", "integer"], "minimum": 1, "pattern": SIZE}),
        Kind::Percent => json!({"type": "string", "pattern": PERCENT}),
        Kind::Port => json!({"type": ["integer", "string"], "minimum": 1, "maximum": 65535, "pattern": PORT}),
        Kind::Signal => json!({"type": ["string", "integer"]}),
        Kind::Ladder => json!({"type": ["array", "string"], "items": {"type": ["string", "integer"]}, "minItems": 1}),
        Kind::Command => json!({
            "type": ["array", "string"],
            "items": of(&Kind::Word),
            "minItems": 1,
            "minLength": 1,
        }),
        Kind::List(kind) => words(of(kind)),
        // The keys of a service are there twice; they are told once.
        Kind::Table(keys) if std::ptr::eq(*keys, SERVICE) => json!({"$ref": "#/$defs/service"}),
        Kind::Table(keys) => table(keys),
        Kind::Names(shape, kind) => {
            let pattern = match shape {
                Shape::Id => ID,
                Shape::Variable => VARIABLE,
                _ => "",
            };
            json!({"type": "object", "propertyNames": {"pattern": pattern}, "additionalProperties": of(kind)})
        }
        Kind::Properties => crate::backend::systemd::properties::schema(),
        Kind::Any => json!({}),
    }
}

#[cfg(test)]
mod tests;
