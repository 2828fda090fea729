//! The properties of a unit, read by name and type.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zbus::OwnedVariant;

use crate::model::UnitName;

/// All properties of one object, as `GetAll` gives them. A property that is not there, or of
/// another type, reads as its zero: old managers lack new ones, and kinds of units differ.
#[derive(Debug)]
pub(crate) struct Properties(pub(super) HashMap<String, OwnedVariant>);

impl Properties {
    /// A string.
    pub(crate) fn string(&self, name: &str) -> String {
        self.0.get(name).and_then(|v| <&str>::try_from(v).ok()).unwrap_or_default().to_owned()
    }

    /// A boolean.
    pub(crate) fn bool(&self, name: &str) -> bool {
        self.0.get(name).and_then(|v| bool::try_from(v).ok()).unwrap_or_default()
    }

    /// A process id; 0 is none.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        self.0.get(name).and_then(|v| u32::try_from(v).ok()).filter(|pid| *pid != 0)
    }

    /// Microseconds since 1970; 0 is never.
    pub(crate) fn time(&self, name: &str) -> Option<SystemTime> {
        let micros = self.0.get(name).and_then(|v| u64::try_from(v).ok()).filter(|t| *t != 0)?;
        UNIX_EPOCH.checked_add(Duration::from_micros(micros))
    }

    /// Unit names; what is none (there is no such thing) is left out.
    pub(crate) fn units(&self, name: &str) -> Vec<UnitName> {
        self.strings(name).iter().filter_map(|s| s.parse().ok()).collect()
    }

    /// A variable of `Environment`.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let all = self.strings("Environment");
        all.iter().find_map(|one| Some(one.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    }

    fn strings(&self, name: &str) -> Vec<String> {
        let strings = self.0.get(name).and_then(|v| v.try_clone().ok()).and_then(|v| Vec::<String>::try_from(v).ok());
        strings.unwrap_or_default()
    }

    /// Bytes as hexadecimal digits.
    pub(crate) fn hex(&self, name: &str) -> String {
        let bytes = self.0.get(name).and_then(|v| v.try_clone().ok()).and_then(|v| Vec::<u8>::try_from(v).ok());
        bytes.unwrap_or_default().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The id of the pending job, from a property of type (uo); 0 is none.
    pub(crate) fn job(&self) -> Option<u32> {
        let zbus::Variant::Structure(job) = &**self.0.get("Job")? else { return None };
        job.fields().first().and_then(|v| u32::try_from(v).ok()).filter(|id| *id != 0)
    }
}
