//! JSON as D-Bus values and back, so that both say the same fields.
//!
//! `null` is left out, numbers are `t`, `x` (negative) or `d`, an array is `as` if it holds only
//! strings and `av` if not, an object is `a{sv}`.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zbus::{OwnedVariant, Variant};

use super::Dict;

/// How deep objects and arrays may be nested: D-Bus allows 64 containers around a value, and each
/// level is two. What is deeper is given as JSON text.
const DEPTH: usize = 12;

/// The fields of a value that is an object in JSON.
pub(crate) fn to_dict<T: Serialize>(value: &T) -> Dict {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => from_object(fields),
        _ => Dict::new(),
    }
}

/// The value that has these fields.
pub(crate) fn from_dict<T: DeserializeOwned>(dict: &Dict) -> Result<T, serde_json::Error> {
    let fields = dict.iter().map(|(key, value)| (key.clone(), to_json(value))).collect();
    serde_json::from_value(Value::Object(fields))
}

fn from_object(fields: Map<String, Value>) -> Dict {
    let known = fields.into_iter().filter_map(|(key, value)| Some((clean(key), to_owned_variant(value)?)));
    known.collect()
}

/// One value; `None` for null.
pub(super) fn to_owned_variant(value: Value) -> Option<OwnedVariant> {
    to_variant(value, 0)?.try_into_owned().ok()
}

fn to_variant(value: Value, depth: usize) -> Option<Variant<'static>> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(b) => Variant::Bool(b),
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => Variant::U64(n),
            (_, Some(n)) => Variant::I64(n),
            _ => Variant::F64(n.as_f64().unwrap_or_default()),
        },
        Value::String(s) => Variant::from(clean(s)),
        deep if depth >= DEPTH => Variant::from(clean(deep.to_string())),
        Value::Array(all) if all.iter().all(Value::is_string) => {
            let strings = all.into_iter().filter_map(|v| if let Value::String(s) = v { Some(clean(s)) } else { None });
            Variant::from(strings.collect::<Vec<String>>())
        }
        Value::Array(all) => {
            let items = all.into_iter().filter_map(|v| to_variant(v, depth + 1));
            Variant::from(items.collect::<Vec<Variant<'static>>>())
        }
        Value::Object(fields) => {
            let fields = fields.into_iter().filter_map(|(k, v)| Some((clean(k), to_variant(v, depth + 1)?)));
            Variant::from(fields.collect::<HashMap<String, Variant<'static>>>())
        }
    })
}

/// A D-Bus string has no NUL.
fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// A D-Bus value as JSON; a file descriptor is null.
pub(super) fn to_json(value: &Variant<'_>) -> Value {
    match value {
        Variant::U8(n) => (*n).into(),
        Variant::Bool(b) => (*b).into(),
        Variant::I16(n) => (*n).into(),
        Variant::U16(n) => (*n).into(),
        Variant::I32(n) => (*n).into(),
        Variant::U32(n) => (*n).into(),
        Variant::I64(n) => (*n).into(),
        Variant::U64(n) => (*n).into(),
        Variant::F64(n) => (*n).into(),
        Variant::Str(s) => s.as_str().into(),
        Variant::Signature(s) => s.to_string().into(),
        Variant::ObjectPath(p) => p.as_str().into(),
        Variant::Variant(inner) => to_json(inner),
        Variant::Array(all) => all.inner().iter().map(to_json).collect(),
        Variant::Dict(fields) => {
            let name = |key: &Variant<'_>| match key {
                Variant::Str(s) => s.as_str().to_owned(),
                other => other.to_string(),
            };
            Value::Object(fields.iter().map(|(k, v)| (name(k), to_json(v))).collect())
        }
        Variant::Structure(s) => s.fields().iter().map(to_json).collect(),
        Variant::Fd(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::{Event, EventKind, Exit, ServiceSpec};
    use proptest::prelude::*;
    use serde_json::json;

    fn there_and_back(value: &Value) -> Value {
        to_owned_variant(value.clone()).map_or(Value::Null, |v| to_json(&v))
    }

    #[test]
    fn fields_survive_the_wire() {
        let spec = ServiceSpec::new("a.b-1".parse().unwrap(), vec!["sleep".to_owned(), "9".to_owned()], "/".into());
        let dict = to_dict(&spec);
        assert_eq!(dict["cwd"], OwnedVariant::try_from(Variant::from("/")).unwrap());
        assert!(!dict.contains_key("name"), "null is left out");
        assert_eq!(from_dict::<ServiceSpec>(&dict).unwrap(), spec);
        let event = Event {
            seq: 7,
            at: "2026-01-01T00:00:00Z".to_owned(),
            id: "x".parse().unwrap(),
            kind: EventKind::Exited { exit: Exit::Code(-3) },
            message: "ended".to_owned(),
        };
        assert_eq!(from_dict::<Event>(&to_dict(&event)).unwrap(), event);
    }

    #[test]
    fn what_is_nested_too_deep_becomes_text() {
        let deep = (0..60).fold(json!(1), |inner, n| if n % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) });
        let dict = to_dict(&json!({ "meta": deep }));
        let message = zbus::Message::method_call("/", "X").unwrap_builder(&vec![dict]);
        let back: Vec<Dict> = message.body().deserialize().unwrap();
        assert!(to_json(&back[0]["meta"]).to_string().contains("[[") || !to_json(&back[0]["meta"]).is_null());
    }

    trait Built {
        fn unwrap_builder<B: Serialize + zbus::DynamicType>(self, body: &B) -> zbus::Message;
    }
    impl Built for zbus::message::Builder<'_> {
        fn unwrap_builder<B: Serialize + zbus::DynamicType>(self, body: &B) -> zbus::Message {
            self.build(body).unwrap()
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            "[^\0]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_without_null_survives(value in json()) {
            prop_assert_eq!(there_and_back(&value), value);
        }
    }
}
