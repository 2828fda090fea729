//! One entry, as `journalctl -o json` writes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::Source;
use crate::logs::{Line, Stream};
use crate::model::Manager;

/// The fields that are wanted; cursor and time come always.
pub(super) const FIELDS: &str = "--output-fields=MESSAGE,PRIORITY,MESSAGE_ID,UNIT,USER_UNIT,\
    _SYSTEMD_UNIT,_SYSTEMD_USER_UNIT,OBJECT_SYSTEMD_UNIT,OBJECT_SYSTEMD_USER_UNIT";

#[derive(Debug)]
pub(super) struct Entry {
    fields: Map<String, Value>,
    pub(super) cursor: Option<String>,
}

impl Entry {
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let cursor = fields.get("__CURSOR").and_then(Value::as_str).map(str::to_owned);
        Some(Self { fields, cursor })
    }

    /// The line, if it is one of this source.
    pub(super) fn line_of(&self, source: &Source) -> Option<Line> {
        let is_unit = |field: &str| self.text(field) == Some(source.unit.as_str());
        let (own, said, dropped) = match source.manager {
            Manager::System => ("_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT"),
            Manager::User(_) => ("_SYSTEMD_USER_UNIT", "USER_UNIT", "OBJECT_SYSTEMD_USER_UNIT"),
        };
        let stream = if is_unit(own) {
            self.stream()
        } else if is_unit(said) || is_unit(dropped) {
            Stream::Note
        } else if ["_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT"].iter().any(|field| self.fields.contains_key(*field)) {
            // Another's, with the same identifier.
            return None;
        } else {
            self.stream()
        };
        Some(Line { at: self.time(), stream, text: bytes(self.fields.get("MESSAGE")?) })
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    fn stream(&self) -> Stream {
        match self.text("PRIORITY").and_then(|priority| priority.parse::<u8>().ok()) {
            Some(0..=3) => Stream::Err,
            _ => Stream::Out,
        }
    }

    fn time(&self) -> SystemTime {
        let micros = self.text("__REALTIME_TIMESTAMP").and_then(|micros| micros.parse().ok()).unwrap_or(0);
        UNIX_EPOCH.checked_add(Duration::from_micros(micros)).unwrap_or(UNIX_EPOCH)
    }
}

/// A text; the bytes of what is none; the first of several.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(all) if all.iter().all(Value::is_u64) => {
            all.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect()
        }
        Value::Array(all) => all.first().map(bytes).unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Option<(Stream, String)> {
        let source = Source {
            manager: Manager::User(7),
            unit: "provost-a.service".parse().unwrap(),
            service: Some("a".parse().unwrap()),
        };
        let line = Entry::parse(json.as_bytes())?.line_of(&source)?;
        Some((line.stream, String::from_utf8(line.text).unwrap()))
    }

    #[test]
    fn entries_of_all_kinds() {
        let own = r#"{"MESSAGE":"x","PRIORITY":"6","_SYSTEMD_USER_UNIT":"provost-a.service"}"#;
        assert_eq!(line(own), Some((Stream::Out, "x".to_owned())));
        let err = r#"{"MESSAGE":[195,169],"PRIORITY":"3","_SYSTEMD_USER_UNIT":"provost-a.service"}"#;
        assert_eq!(line(err), Some((Stream::Err, "é".to_owned())));
        let said = r#"{"MESSAGE":"Started","USER_UNIT":"provost-a.service","_SYSTEMD_USER_UNIT":"init.scope"}"#;
        assert_eq!(line(said), Some((Stream::Note, "Started".to_owned())));
        let dropped = r#"{"MESSAGE":"Suppressed 5 messages","OBJECT_SYSTEMD_USER_UNIT":"provost-a.service"}"#;
        assert_eq!(line(dropped), Some((Stream::Note, "Suppressed 5 messages".to_owned())));
        let lost = r#"{"MESSAGE":["a","b"],"PRIORITY":"3"}"#;
        assert_eq!(line(lost), Some((Stream::Err, "a".to_owned())));
        let others = r#"{"MESSAGE":"x","_SYSTEMD_USER_UNIT":"b.service"}"#;
        assert_eq!(line(others), None);
        assert_eq!(line("no json"), None);
        let at = Entry::parse(br#"{"__REALTIME_TIMESTAMP":"1500000000000001"}"#).unwrap().time();
        assert_eq!(at.duration_since(UNIX_EPOCH).unwrap().as_micros(), 1_500_000_000_000_001);
    }
}
