//! How the words that are strings are told in JSON Schema.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{ServiceId, Signal, UnitName};

macro_rules! string {
    ($type:ty, $name:literal, $pattern:literal, $about:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern, "description": $about})
            }
        }
    };
}

string!(ServiceId, "ServiceId", "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", "the id of a service");
string!(UnitName, "UnitName", "^[A-Za-z0-9:_.@\\\\-]{1,255}$", "the name of a unit");
impl JsonSchema for Signal {
    fn schema_name() -> Cow<'static, str> {
        "Signal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": Signal::words(), "description": "the name of a signal, or its number"})
    }
}
