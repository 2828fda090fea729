//! A draft as a config that somebody reads: TOML, one table a service, keys in the order in which
//! one thinks of them.

use serde_json::{Map, Value};

use super::draft::Draft;
use crate::config::written::{inline, key};

/// Longer lines are broken.
const WIDTH: usize = 100;

const ORDER: [&str; 16] = [
    "name",
    "kind",
    "command",
    "script",
    "interpreter",
    "args",
    "cwd",
    "env",
    "env_file",
    "port",
    "socket",
    "config_file",
    "after",
    "enabled",
    "instances",
    "user",
];

/// The text of a config.
pub(super) fn toml(head: &str, draft: &Draft) -> String {
    let mut out = String::new();
    for line in head.lines() {
        out.push_str(&format!("# {}\n", crate::text::escape(line)));
    }
    if !draft.defaults.is_empty() {
        out.push('\n');
        table(&mut out, "defaults", &draft.defaults);
    }
    for service in &draft.services {
        out.push('\n');
        table(&mut out, &format!("service.{}", key(&service.id)), &service.keys);
    }
    out
}

fn table(out: &mut String, head: &str, keys: &Map<String, Value>) {
    out.push_str(&format!("[{head}]\n"));
    let rest = keys.keys().map(String::as_str).filter(|name| !ORDER.contains(name));
    let mut later = Vec::new();
    for name in ORDER.into_iter().chain(rest) {
        let Some(value) = keys.get(name) else { continue };
        let Some(text) = inline(value) else { continue };
        let name = key(name);
        if name.len() + text.len() + 3 <= WIDTH {
            out.push_str(&format!("{name} = {text}\n"));
            continue;
        }
        match value {
            Value::Object(inner) => later.push((format!("{head}.{name}"), inner)),
            Value::Array(items) => {
                out.push_str(&format!("{name} = [\n"));
                for item in items.iter().filter_map(inline) {
                    out.push_str(&format!("  {item},\n"));
                }
                out.push_str("]\n");
            }
            _ => out.push_str(&format!("{name} = {text}\n")),
        }
    }
    // Tables of their own end that of the service.
    for (head, inner) in later {
        table(out, &head, inner);
    }
}
