//! The names of models out of a server's JSON, which may be anything.

use serde_json::Value;

use super::known::Models;
use crate::text::clip_to;

/// As many names as are kept of one server.
const MAX: usize = 1000;

/// The names that a listing gives, and of each whether the model is loaded. What is not as it
/// should be is left out.
pub(super) fn read(listing: &Models, body: &[u8]) -> Vec<(String, bool)> {
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let (items, field) = match listing.names.split_once("[]") {
        Some((list, field)) => {
            let list = at(&json, list).and_then(Value::as_array);
            (list.map(Vec::as_slice).unwrap_or_default(), field.trim_start_matches('.'))
        }
        None => (std::slice::from_ref(&json), listing.names.as_str()),
    };
    let named = items.iter().filter_map(|item| {
        let name = at(item, field)?.as_str().filter(|name| !name.is_empty())?;
        Some((clip_to(name, 200), loaded(listing, item)))
    });
    named.take(MAX).collect()
}

fn loaded(listing: &Models, item: &Value) -> bool {
    let Some((field, value)) = listing.loaded_if.as_ref().and_then(|condition| condition.split_once('=')) else {
        return listing.loaded;
    };
    match at(item, field) {
        Some(found) => found.as_str() == Some(value),
        None => listing.loaded,
    }
}

/// What stands at `a.b`; the value itself for an empty path.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|key| !key.is_empty()).try_fold(value, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &str, loaded: bool, loaded_if: Option<&str>) -> Models {
        Models { path: "/".to_owned(), names: names.to_owned(), loaded, loaded_if: loaded_if.map(str::to_owned) }
    }

    #[test]
    fn names_are_found_where_they_are() {
        let read = |l: &Models, body: &str| {
            read(l, body.as_bytes())
                .into_iter()
                .map(|(n, l)| format!("{n}{}", if l { "+" } else { "" }))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            read(&listing("models[].name", true, None), r#"{"models":[{"name":"a"},{"name":"b"}]}"#),
            ["a+", "b+"]
        );
        assert_eq!(read(&listing("[].title", false, None), r#"[{"title":"a"}]"#), ["a"]);
        assert_eq!(read(&listing("model_id", true, None), r#"{"model_id":"a"}"#), ["a+"]);
        let routed = listing("data[].id", true, Some("status.value=loaded"));
        let body =
            r#"{"data":[{"id":"a","status":{"value":"loaded"}},{"id":"b","status":{"value":"unloaded"}},{"id":"c"}]}"#;
        assert_eq!(read(&routed, body), ["a+", "b", "c+"]);
    }

    #[test]
    fn hostile_json_is_left_out() {
        let names = listing("data[].id", true, None);
        for body in [
            "",
            "null",
            "[]",
            "{\"data\":3}",
            "{\"data\":{\"id\":\"a\"}}",
            "{\"data\":[null,3,\"x\",{},{\"id\":null},{\"id\":3},{\"id\":\"\"},{\"id\":[]}]}",
            "{\"data\":[{\"id\":\"a\"}",
            "\u{0}",
        ] {
            assert!(read(&names, body.as_bytes()).is_empty(), "{body}");
        }
        assert!(read(&names, &[0xff, 0xfe]).is_empty());
        assert!(read(&names, "[".repeat(200_000).as_bytes()).is_empty());
        let evil = read(&names, br#"{"data":[{"id":"\u001b[2Ja\nb"}]}"#);
        assert_eq!(evil[0].0, "\\u{1b}[2Ja\\nb");
        let long = format!(r#"{{"data":[{{"id":"{}"}}]}}"#, "x".repeat(10_000));
        assert!(read(&names, long.as_bytes())[0].0.chars().count() <= 200);
    }
}
