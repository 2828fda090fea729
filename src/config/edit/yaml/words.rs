//! Values as YAML.

use serde_json::{Map, Value};

/// Words that some reader takes for something else.
const RESERVED: [&str; 11] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan"];

/// A table with a line for each key, each with this indentation, and a line end behind it.
pub(super) fn block(entries: &Map<String, Value>, indent: usize, line_end: &str) -> String {
    let mut out = String::new();
    for (name, value) in entries {
        let head = format!("{}{}:", " ".repeat(indent), word(name));
        match value.as_object().filter(|inner| !inner.is_empty()) {
            Some(inner) => out.push_str(&format!("{head}{line_end}{}", block(inner, indent + 2, line_end))),
            None => out.push_str(&format!("{head} {}{line_end}", inline(value))),
        }
    }
    out
}

/// A value on one line.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entry = |(name, value): (&String, &Value)| format!("{}: {}", word(name), inline(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A string, in quotes where somebody could read it as something else.
fn word(text: &str) -> String {
    let head = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b"_/".contains(&b));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_./-".contains(&b);
    let reserved = RESERVED.contains(&text.to_ascii_lowercase().as_str());
    if head && text.bytes().all(plain) && !reserved { text.to_owned() } else { Value::from(text).to_string() }
}
