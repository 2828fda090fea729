//! What of a service is watched while it runs.

use serde::{Deserialize, Serialize};

use super::Span;

/// `watch = {…}`: files whose change restarts the service, for development.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchSpec {
    /// Files and folders, with all that is in them; relative to the folder of the service, and that
    /// folder itself where there are none; may hold variables.
    pub paths: Vec<String>,
    /// What is not watched besides what .gitignore says: patterns of the same form.
    pub ignore: Vec<String>,
    /// How long it must be quiet before the restart: one for each burst of changes.
    pub debounce: Span,
}

impl Default for WatchSpec {
    fn default() -> Self {
        Self { paths: Vec::new(), ignore: Vec::new(), debounce: Span(std::time::Duration::from_millis(500)) }
    }
}
