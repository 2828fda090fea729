//! From what the user wrote, in TOML, YAML or JSON, to the type that D-Bus wants.

use serde_json::Value;
use zbus::Variant;

use super::Converted;
use super::lists;
use super::table::Entry;
use crate::model::service::{Size, Span};
use crate::model::{Malformed, UnitName};
use crate::text::clip;

/// What a property takes, and its type on D-Bus.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// b
    Bool,
    /// s
    Text,
    /// s, one of these
    Word(&'static [&'static str]),
    /// s: yes, no, or one of these
    BoolOr(&'static [&'static str]),
    /// as
    Words,
    /// as, of unit names
    Units,
    /// t, in microseconds
    Time,
    /// t, in nanoseconds
    Nanoseconds,
    /// t
    Bytes,
    /// t, 1 to 10000
    Weight,
    /// u
    Unsigned,
    /// u, written in octal
    Mode,
    /// i, within these
    Int(i32, i32),
    /// i, by name
    Numbered(&'static [(&'static str, i32)]),
    /// i, a priority of syslog(3)
    LogLevel,
    /// i, a facility of syslog(3)
    LogFacility,
    /// t, twice: the hard limit, and under this name the soft one
    LimitSize(&'static str),
    /// the same of what is counted
    LimitCount(&'static str),
    /// ay, a bit for each number
    Cpus,
    /// t, a bit for each capability
    Capabilities,
    /// t, a bit for each kind of namespace that stays allowed
    Namespaces,
    /// (bas): whether these are allowed, or all others
    Filter,
    /// a(ssbt), "SOURCE[:DESTINATION[:rbind|norbind]]"
    Binds,
    /// a(ss), "LEFT[:RIGHT]"
    Pairs,
    /// a(ss), "DEVICE [rwm]"
    Devices,
    /// a(st), "DEVICE SIZE"
    DeviceSizes,
    /// a(st), "DEVICE TIME"
    DeviceTimes,
    /// a(iayu)
    Addresses,
}

pub(super) fn convert(entry: &Entry, value: &Value) -> Result<Converted, Malformed> {
    let wrong =
        |expected: &str| Malformed::new(format!("{} takes {expected}, not {}", entry.name, clip(&value.to_string())));
    let one = |variant: Option<Variant<'static>>, expected: &str| {
        variant.map(|variant| vec![(entry.dbus, variant)]).ok_or_else(|| wrong(expected))
    };
    let list = || words(value).ok_or_else(|| wrong("words: \"A B\" or [\"A\", \"B\"]"));
    let text = || text(value).ok_or_else(|| wrong("one word"));
    let try_list = |made: fn(&[String]) -> Result<Variant<'static>, Malformed>| {
        let made = made(&list()?).map_err(|error| Malformed::new(format!("{}: {error}", entry.name)))?;
        Ok(vec![(entry.dbus, made)])
    };
    match entry.kind {
        Kind::Bool => one(boolean(value).map(Variant::from), "true or false"),
        Kind::Text => one(Some(text()?.into()), ""),
        Kind::Word(of) => {
            let word = text().ok().filter(|word| of.contains(&word.as_str()));
            one(word.map(Variant::from), &of.join(", "))
        }
        Kind::BoolOr(of) => {
            let word = match boolean(value) {
                Some(yes) => Some(if yes { "yes" } else { "no" }.to_owned()),
                None => text().ok().filter(|word| of.contains(&word.as_str())),
            };
            one(word.map(Variant::from), &format!("true, false, {}", of.join(", ")))
        }
        Kind::Words => one(Some(list()?.into()), ""),
        Kind::Units => {
            let units = list()?;
            if let Some(error) = units.iter().find_map(|unit| unit.parse::<UnitName>().err()) {
                return Err(Malformed::new(format!("{}: {error}", entry.name)));
            }
            one(Some(units.into()), "")
        }
        Kind::Time => one(time(value).map(Variant::from), "a duration such as \"30s\""),
        Kind::Nanoseconds => one(time(value).map(|t| t.saturating_mul(1000).into()), "a duration such as \"50us\""),
        Kind::Bytes => one(size(value).map(Variant::from), "a size such as \"2G\", or infinity"),
        Kind::Weight => one(number(value).filter(|n| (1..=10_000).contains(n)).map(Variant::from), "1 to 10000"),
        Kind::Unsigned => one(number(value).and_then(|n| u32::try_from(n).ok()).map(Variant::from), "a number"),
        Kind::Mode => {
            let octal = text().ok().and_then(|digits| u32::from_str_radix(&digits, 8).ok());
            one(octal.filter(|mode| *mode <= 0o7777).map(Variant::from), "an octal mode such as \"0750\"")
        }
        Kind::Int(from, to) => {
            let number = text().ok().and_then(|text| text.parse::<i32>().ok()).filter(|n| (from..=to).contains(n));
            one(number.map(Variant::from), &format!("{from} to {to}"))
        }
        Kind::Numbered(of) => one(text().ok().and_then(|word| numbered(of, &word)), &first(of)),
        Kind::LogLevel => one(text().ok().and_then(|word| numbered(LEVELS, &word)), &first(LEVELS)),
        Kind::LogFacility => one(text().ok().and_then(|word| numbered(FACILITIES, &word)), &first(FACILITIES)),
        Kind::LimitSize(soft) => limit(entry.dbus, soft, value, size).ok_or_else(|| wrong("a size, or SOFT:HARD")),
        Kind::LimitCount(soft) => limit(entry.dbus, soft, value, count).ok_or_else(|| wrong("a number, or SOFT:HARD")),
        Kind::Namespaces => match boolean(value) {
            Some(restricted) => one(Some(lists::all_namespaces(!restricted)), ""),
            None => try_list(lists::namespaces),
        },
        Kind::Cpus => try_list(lists::cpus),
        Kind::Capabilities => try_list(lists::capabilities),
        Kind::Filter => try_list(lists::filter),
        Kind::Binds => try_list(lists::binds),
        Kind::Pairs => try_list(lists::pairs),
        Kind::Devices => try_list(lists::devices),
        Kind::DeviceSizes => try_list(lists::device_sizes),
        Kind::DeviceTimes => try_list(lists::device_times),
        Kind::Addresses => try_list(lists::addresses),
    }
}

const LEVELS: &[(&str, i32)] =
    &[("emerg", 0), ("alert", 1), ("crit", 2), ("err", 3), ("warning", 4), ("notice", 5), ("info", 6), ("debug", 7)];
const FACILITIES: &[(&str, i32)] = &[
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

fn first(of: &[(&str, i32)]) -> String {
    of.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn numbered(of: &[(&str, i32)], word: &str) -> Option<Variant<'static>> {
    of.iter().find(|(name, number)| *name == word || number.to_string() == word).map(|(_, number)| (*number).into())
}

/// As unit files have them.
fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(yes) => Some(*yes),
        Value::String(word) => match word.as_str() {
            "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
            "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A word or a number, as text without characters that would end a line of a unit file.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
}

/// `"A B"`, or a list; an entry of a list may hold spaces.
fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(_) => Some(text(value)?.split_whitespace().map(str::to_owned).collect()),
        Value::Array(all) => all.iter().map(text).collect(),
        Value::Number(_) => Some(vec![text(value)?]),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    text(value)?.parse().ok()
}

fn is_infinite(value: &Value) -> bool {
    value.as_str() == Some("infinity")
}

pub(super) fn time(value: &Value) -> Option<u64> {
    if is_infinite(value) {
        return Some(u64::MAX);
    }
    u64::try_from(text(value)?.parse::<Span>().ok()?.0.as_micros()).ok()
}

pub(super) fn size(value: &Value) -> Option<u64> {
    if is_infinite(value) { Some(u64::MAX) } else { Some(text(value)?.parse::<Size>().ok()?.0) }
}

fn count(value: &Value) -> Option<u64> {
    if is_infinite(value) { Some(u64::MAX) } else { number(value) }
}

fn limit(hard: &'static str, soft: &'static str, value: &Value, of: fn(&Value) -> Option<u64>) -> Option<Converted> {
    let (low, high) = match value.as_str().and_then(|text| text.split_once(':')) {
        Some((low, high)) => (of(&low.into())?, of(&high.into())?),
        None => (of(value)?, of(value)?),
    };
    (low <= high).then(|| vec![(hard, high.into()), (soft, low.into())])
}
