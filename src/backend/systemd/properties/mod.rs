//! `systemd = {…}`: further properties of a unit, by their names in unit files.
//!
//! On D-Bus names and types differ from unit files: `table` says how each is called there and
//! what it takes, `convert` turns what the user wrote into that. What is not in the table is refused:
//! a property that provost cannot type could not be sent, and some it sets itself.

mod convert;
mod lists;
mod schema;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::samples;

pub(crate) use schema::schema;
use serde_json::Value;
use zbus::Variant;

use crate::gather::Arrange as _;
use crate::model::Malformed;
use crate::text::clip;

/// What one entry becomes: one property, or two (a limit and its soft part).
pub(crate) type Converted = Vec<(&'static str, Variant<'static>)>;

/// Whether a property is known and its value is one that it takes; the error names what was meant.
pub(crate) fn check(name: &str, value: &Value) -> Result<(), Malformed> {
    convert(name, value).map(drop)
}

/// The names of all properties that are known, sorted.
fn names() -> impl Iterator<Item = &'static str> {
    table::ENTRIES.iter().map(|entry| entry.name)
}

/// Whether there is such a property; the error says what is near it, or where all are listed.
pub(crate) fn known(name: &str) -> Result<(), Malformed> {
    find(name).map(drop)
}

/// A property as it is sent.
pub(crate) fn convert(name: &str, value: &Value) -> Result<Converted, Malformed> {
    find(name).and_then(|entry| convert::convert(entry, value))
}

fn find(name: &str) -> Result<&'static table::Entry, Malformed> {
    if let Some(entry) = table::ENTRIES.iter().find(|entry| entry.name == name) {
        return Ok(entry);
    }
    if let Some((_, instead)) = table::OURS.iter().find(|(ours, _)| *ours == name) {
        return Err(Malformed::new(format!("{name} is set by provost: {instead}")));
    }
    let mut near: Vec<(f64, &str)> = names().map(|known| (nearness(known, name), known)).collect();
    near.arrange_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = near.into_iter().take(3).filter(|(near, _)| *near > 0.8).map(|(_, known)| known).collect();
    let near = match near.as_slice() {
        [] => "provost config schema lists them".to_owned(),
        near => format!("near it: {}", near.join(", ")),
    };
    Err(Malformed::new(format!("'{}' is no unit property that provost knows; {near}", clip(name))))
}

fn nearness(known: &str, name: &str) -> f64 {
    strsim::jaro_winkler(&known.to_ascii_lowercase(), &name.to_ascii_lowercase())
}
