//! A service as its config would say it, with all that the defaults gave it: for `config show`.

use serde_json::{Map, Value, json};

use crate::model::Ladder;
use crate::model::service::{PortSpec, Program, ServiceSpec};

/// The keys of a service, as in a file; keys that say what is so anyway are there too, keys
/// without a value are not.
pub fn written(spec: &ServiceSpec) -> Map<String, Value> {
    let Ok(Value::Object(mut keys)) = serde_json::to_value(spec) else { return Map::new() };
    for inner in ["id", "project", "instance_of", "program"] {
        keys.remove(inner);
    }
    match &spec.program {
        Program::Command(command) => keys.insert("command".to_owned(), json!(command)),
        Program::Script { path, interpreter } => {
            let interpreter = interpreter.as_deref().unwrap_or("auto");
            keys.insert("interpreter".to_owned(), json!(interpreter));
            keys.insert("script".to_owned(), json!(path))
        }
    };
    match spec.port {
        Some(PortSpec::Fixed(port)) => keys.insert("port".to_owned(), json!(port)),
        Some(PortSpec::Range(first, last)) => keys.insert("port".to_owned(), json!(format!("{first}-{last}"))),
        None => None,
    };
    keys.insert("stop".to_owned(), json!({"signals": rungs(&spec.stop)}));
    strip(&mut keys);
    keys
}

fn rungs(ladder: &Ladder) -> Vec<String> {
    let rung = |rung: &crate::model::Rung| format!("{}:{}", rung.signal, humantime::format_duration(rung.wait));
    ladder.0.iter().map(|r| rung(r).replace(' ', "")).collect()
}

/// Leaves out what is nothing.
fn strip(keys: &mut Map<String, Value>) {
    // In `meta` a null is what the user says.
    keys.iter_mut().filter(|(name, _)| *name != "meta").for_each(|(_, value)| {
        if let Value::Object(inner) = value {
            inner.retain(|_, value| !value.is_null());
        }
    });
    keys.retain(|_, value| match value {
        Value::Null => false,
        Value::Object(inner) => !inner.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
}

/// A table of services as TOML.
pub(crate) fn toml(id: &str, keys: &Map<String, Value>) -> String {
    let mut out = format!("[service.{}]\n", key(id));
    // What it is comes first, then the rest by the alphabet.
    let first = ["name", "command", "script", "interpreter", "args"];
    let rest = keys.keys().map(String::as_str).filter(|name| !first.contains(name));
    for name in first.into_iter().chain(rest) {
        if let Some(value) = keys.get(name).and_then(inline) {
            out.push_str(&format!("{name} = {value}\n"));
        }
    }
    out
}

pub(super) fn key(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if !name.is_empty() && name.bytes().all(plain) { name.to_owned() } else { string(name) }
}

/// A basic string of TOML, on one line and without anything that a terminal obeys.
fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if crate::text::is_visible(c) => out.push(c),
            c => out.push_str(&format!("\\U{:08X}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// A value on one line; `None` for null, which TOML has not.
pub(super) fn inline(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => string(text),
        Value::Array(items) => format!("[{}]", items.iter().filter_map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entry = |(name, value): (&String, &Value)| Some(format!("{} = {}", key(name), inline(value)?));
            let entries: Vec<String> = entries.iter().filter_map(entry).collect();
            if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
        }
    })
}
