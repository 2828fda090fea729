//! The properties of a service: the fields of its report, in D-Bus's words and types.
//!
//! A property cannot be null: what is unknown is empty, or 0.

use serde_json::Value;
use zbus::Variant;

use super::Dict;
use super::dict::to_owned_variant;
use crate::model::service::ServiceReport;

/// The type of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    U16,
    U32,
    U64,
    Double,
    Texts,
    Dict,
}

impl Kind {
    pub(super) fn signature(self) -> &'static str {
        match self {
            Self::Text => "s",
            Self::Bool => "b",
            Self::U16 => "q",
            Self::U32 => "u",
            Self::U64 => "t",
            Self::Double => "d",
            Self::Texts => "as",
            Self::Dict => "a{sv}",
        }
    }

    fn value(self, json: Option<&Value>) -> Variant<'static> {
        let number = json.and_then(Value::as_u64).unwrap_or_default();
        match self {
            Self::Text => Variant::from(json.and_then(Value::as_str).unwrap_or_default().to_owned()),
            Self::Bool => Variant::from(json.and_then(Value::as_bool).unwrap_or_default()),
            Self::U16 => Variant::from(u16::try_from(number).unwrap_or_default()),
            Self::U32 => Variant::from(u32::try_from(number).unwrap_or_default()),
            Self::U64 => Variant::from(number),
            Self::Double => Variant::from(json.and_then(Value::as_f64).unwrap_or_default()),
            Self::Texts => {
                let all = json.and_then(Value::as_array).into_iter().flatten();
                let texts: Vec<String> = all.filter_map(|v| v.as_str().map(|s| s.replace('\0', "\u{fffd}"))).collect();
                Variant::from(texts)
            }
            Self::Dict => {
                let value =
                    json.filter(|v| v.is_object()).cloned().unwrap_or_else(|| Value::Object(Default::default()));
                to_owned_variant(value).map_or_else(|| Variant::from(0u8), Variant::from)
            }
        }
    }
}

/// When a change of a property is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It does not change.
    Const,
    /// At once.
    Yes,
    /// Never: it is measured when it is asked for.
    No,
}

/// (name, field of the report, type, when it is told)
pub(super) const PROPERTIES: [(&str, &str, Kind, Told); 36] = [
    ("Id", "id", Kind::Text, Told::Const),
    ("Name", "name", Kind::Text, Told::Yes),
    ("State", "state", Kind::Text, Told::Yes),
    ("Ready", "ready", Kind::Bool, Told::Yes),
    ("Desired", "desired", Kind::Text, Told::Yes),
    ("Enabled", "enabled", Kind::Bool, Told::Yes),
    ("Health", "health", Kind::Text, Told::Yes),
    ("Reason", "reason", Kind::Text, Told::Yes),
    ("Backend", "backend", Kind::Text, Told::Yes),
    ("Containment", "containment", Kind::Text, Told::Yes),
    ("Unit", "unit", Kind::Text, Told::Yes),
    ("Pid", "pid", Kind::U32, Told::Yes),
    ("Port", "port", Kind::U16, Told::Yes),
    ("Socket", "socket", Kind::Text, Told::Yes),
    ("CommandLine", "command_line", Kind::Texts, Told::Yes),
    ("Cwd", "cwd", Kind::Text, Told::Yes),
    ("Project", "project", Kind::Text, Told::Yes),
    ("After", "after", Kind::Texts, Told::Yes),
    ("Restarts", "restarts", Kind::U64, Told::Yes),
    ("Failures", "failures", Kind::U32, Told::Yes),
    ("NextStartAt", "next_start_at", Kind::Text, Told::Yes),
    ("HeldUp", "held_up", Kind::Bool, Told::Yes),
    ("CanReload", "can_reload", Kind::Bool, Told::Yes),
    ("CreatedAt", "created_at", Kind::Text, Told::Yes),
    ("StartedAt", "started_at", Kind::Text, Told::Yes),
    ("StoppedAt", "stopped_at", Kind::Text, Told::Yes),
    ("LastRestartAt", "last_restart_at", Kind::Text, Told::Yes),
    ("UpdatedAt", "updated_at", Kind::Text, Told::Yes),
    ("LastExit", "last_exit", Kind::Text, Told::Yes),
    ("LastError", "last_error", Kind::Text, Told::Yes),
    ("Warnings", "warnings", Kind::Texts, Told::Yes),
    ("Meta", "meta", Kind::Dict, Told::Yes),
    ("CpuPercent", "cpu_percent", Kind::Double, Told::No),
    ("MemoryBytes", "memory_bytes", Kind::U64, Told::No),
    ("Measured", "measured", Kind::Text, Told::No),
    ("Processes", "processes", Kind::U32, Told::No),
];

/// Whether reading a property needs a measurement.
pub(super) fn is_measured(name: &str) -> bool {
    PROPERTIES.iter().any(|(property, .., told)| *property == name && *told == Told::No)
}

/// The properties of a service that `wanted` takes.
pub(super) fn of(report: &ServiceReport, wanted: impl Fn(&str, Told) -> bool) -> Dict {
    let mut fields = serde_json::to_value(report).unwrap_or_default();
    // In words, as the log has it.
    fields["last_exit"] = report.last_exit.map(|exit| exit.to_string()).into();
    let taken = PROPERTIES.iter().filter(|(name, .., told)| wanted(name, *told));
    let values = taken.filter_map(|(name, field, kind, _)| {
        Some(((*name).to_owned(), kind.value(fields.get(*field)).try_into_owned().ok()?))
    });
    values.collect()
}
