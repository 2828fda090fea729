//! Which services of which configs were removed by hand: their config, read again, does not bring them back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Store;
use crate::model::ServiceId;

/// No record of a service is called so: their names end with `.json`.
const FILE: &str = "removed";

/// By the file that describes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Removed(BTreeMap<PathBuf, BTreeSet<ServiceId>>);

impl Removed {
    /// Whether it was, of this config.
    pub(crate) fn has(&self, config: &Path, id: &ServiceId) -> bool {
        self.0.get(config).is_some_and(|all| all.contains(id))
    }

    /// It was.
    pub(crate) fn add(&mut self, config: PathBuf, id: ServiceId) {
        self.0.entry(config).or_default().insert(id);
    }

    /// These of the config, and no others.
    pub(crate) fn set(&mut self, config: &Path, ids: BTreeSet<ServiceId>) {
        match ids.is_empty() {
            true => drop(self.0.remove(config)),
            false => drop(self.0.insert(config.to_owned(), ids)),
        }
    }
}

impl Store {
    /// What was removed by hand. Where that cannot be read, nothing was.
    pub(crate) fn removed(&self) -> Removed {
        let path = self.dir.join(FILE);
        let read = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Removed::default(),
            read => read.and_then(|text| Ok(serde_json::from_slice(&text)?)),
        };
        read.unwrap_or_else(|error| {
            tracing::warn!("what was removed by hand is not known: {}: {error}", path.display());
            Removed::default()
        })
    }

    /// Writes it down, to survive a loss of power.
    ///
    /// # Errors
    /// The system's, with the operation and the path.
    pub(crate) fn save_removed(&self, removed: &Removed) -> io::Result<()> {
        let path = self.dir.join(FILE);
        let temporary = self.dir.join(format!(".{FILE}.{}", std::process::id()));
        let result = self.put(&serde_json::to_vec_pretty(removed)?, &temporary, &path, true);
        result.map_err(|error| super::store::about(error, "what was removed cannot be written:", &path))
    }
}
