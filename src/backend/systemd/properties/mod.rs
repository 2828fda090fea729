//! `systemd = {…}`: further properties of a unit, by their names in unit files.
//!
//! On D-Bus names and types differ from unit files: `table` says how each is called there and
//! what it takes, `convert` turns what the user wrote into that. What is not in the table is refused:
//! a property that provost cannot type could not be sent, and some it sets itself.

mod convert;
mod lists;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::samples;

use serde_json::Value;
use zbus::Variant;

use crate::model::Malformed;
use crate::text::clip;

/// What one entry becomes: one property, or two (a limit and its soft part).
pub(crate) type Converted = Vec<(&'static str, Variant<'static>)>;

/// Whether a property is known and its value is one that it takes; the error names what was meant.
pub(crate) fn check(name: &str, value: &Value) -> Result<(), Malformed> {
    convert(name, value).map(drop)
}

/// The names of all properties that are known, sorted: for the schema.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    table::ENTRIES.iter().map(|entry| entry.name)
}

/// A property as it is sent.
pub(crate) fn convert(name: &str, value: &Value) -> Result<Converted, Malformed> {
    if let Some(entry) = table::ENTRIES.iter().find(|entry| entry.name == name) {
        return convert::convert(entry, value);
    }
    if let Some((_, instead)) = table::OURS.iter().find(|(ours, _)| *ours == name) {
        return Err(Malformed::new(format!("{name} is set by provost: {instead}")));
    }
    let mut near: Vec<(f64, &str)> = names().map(|known| (nearness(known, name), known)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = near.into_iter().take(3).filter(|(near, _)| *near > 0.8).map(|(_, known)| known).collect();
    let near = if near.is_empty() { String::new() } else { format!("; near it: {}", near.join(", ")) };
    Err(Malformed::new(format!("'{}' is no unit property that provost knows{near}", clip(name))))
}

fn nearness(known: &str, name: &str) -> f64 {
    strsim::jaro_winkler(&known.to_ascii_lowercase(), &name.to_ascii_lowercase())
}
