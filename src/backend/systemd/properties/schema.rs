//! The properties as a part of the JSON Schema of a config, for editors.

use serde_json::{Map, Value, json};

use super::convert::Kind;
use super::table::ENTRIES;

/// What unit files take for yes and no.
const FLAGS: [&str; 12] = ["1", "yes", "y", "true", "t", "on", "0", "no", "n", "false", "f", "off"];

/// The table of all properties that there are.
pub(crate) fn schema() -> Value {
    let properties: Map<String, Value> = ENTRIES.iter().map(|entry| (entry.name.to_owned(), of(entry.kind))).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn of(kind: Kind) -> Value {
    let flags = || [json!(true), json!(false)].into_iter().chain(FLAGS.map(Value::from));
    let one = json!({"type": ["string", "number"]});
    match kind {
        Kind::Bool => json!({"enum": flags().collect::<Vec<_>>()}),
        Kind::Word(words) => json!({"enum": words}),
        Kind::BoolOr(words) => {
            json!({"enum": flags().chain(words.iter().map(|word| json!(word))).collect::<Vec<_>>()})
        }
        Kind::Numbered(of) => {
            let both = of.iter().flat_map(|(name, number)| [json!(name), json!(number), json!(number.to_string())]);
            json!({"enum": both.collect::<Vec<_>>()})
        }
        Kind::Namespaces => json!({"type": ["boolean", "string", "array"], "items": one}),
        Kind::Words
        | Kind::Units
        | Kind::Cpus
        | Kind::Capabilities
        | Kind::Filter
        | Kind::Binds
        | Kind::Pairs
        | Kind::Devices
        | Kind::DeviceSizes
        | Kind::DeviceTimes
        | Kind::Addresses => json!({"type": ["string", "number", "array"], "items": one}),
        _ => one,
    }
}
