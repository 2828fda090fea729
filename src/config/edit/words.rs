//! Keys and values as a command line has them.

use serde_json::Value;

use super::super::keys::{FILE, Key, Kind};
use super::super::read::{self, Format};
use super::super::tree::Data;
use crate::model::Malformed;

/// The steps of `service.web.env.A`; a step that is not plain is in quotes.
///
/// # Errors
/// It is no such path.
pub(crate) fn key_path(text: &str) -> Result<Vec<String>, Malformed> {
    match toml_edit::Key::parse(text) {
        Ok(keys) if !keys.is_empty() => Ok(keys.iter().map(|key| key.get().to_owned()).collect()),
        _ => {
            let text = crate::text::clip(text);
            Err(Malformed::new(format!("'{text}' is no key: service.ID.env.NAME, with quotes where a part has dots")))
        }
    }
}

/// What a text is as the value of this key: of what takes a text, that; else as TOML has it, or a text.
pub(crate) fn value_of(path: &[String], text: &str) -> Value {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let takes_text = matches!(kind(FILE, &path), Some(Kind::Word | Kind::Text(_) | Kind::Choice(_) | Kind::Signal));
    let parsed = || {
        let (tree, faults) = read::read(Format::Toml, &format!("value = {text}"));
        match tree.filter(|_| faults.is_empty())?.data {
            Data::Table(mut entries) if entries.len() == 1 => match entries.pop()?.1.data {
                Data::Date(_) => None,
                data => data.to_json(),
            },
            _ => None,
        }
    };
    let value = if takes_text { None } else { parsed() };
    value.unwrap_or_else(|| Value::from(text))
}

/// What stands at this path of a config.
fn kind(keys: &'static [Key], path: &[&str]) -> Option<&'static Kind> {
    let (first, rest) = path.split_first()?;
    below(&keys.iter().find(|key| key.name == *first)?.kind, rest)
}

fn below(of: &'static Kind, path: &[&str]) -> Option<&'static Kind> {
    match (of, path) {
        (of, []) => Some(of),
        (Kind::Table(keys), path) => kind(keys, path),
        (Kind::Names(_, of), [_, rest @ ..]) => below(of, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_what_their_keys_take() {
        for (text, value) in [
            ("service.web.env.A=1.10", json!("1.10")),
            ("service.web.env.A=", json!("")),
            ("service.web.env.A=a=b", json!("a=b")),
            ("service.web.port=8080", json!(8080)),
            ("service.web.port=50000-60000", json!("50000-60000")),
            ("service.\"a.b\".command=[\"x\", \"y\"]", json!(["x", "y"])),
            ("service.web.command=sleep 1", json!("sleep 1")),
            ("service.web.meta.x={ a = 1 }", json!({"a": 1})),
            ("service.web.restart.base=5s", json!("5s")),
            ("service.web.enabled=false", json!(false)),
            ("daemon.on_stop=keep", json!("keep")),
            ("service.web.cwd=/srv", json!("/srv")),
        ] {
            let (key, text) = text.split_once('=').unwrap();
            assert_eq!(value_of(&key_path(key).unwrap(), text), value, "{key}");
        }
        assert_eq!(key_path("service.\"a.b\".x").unwrap(), ["service", "a.b", "x"]);
        assert!(key_path("").is_err() && key_path("a..b").is_err() && key_path("a b").is_err());
    }
}
