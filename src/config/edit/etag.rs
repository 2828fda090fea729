//! A mark of a content: two of the same bytes are the same.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The mark of what a file holds, as an entity tag of HTTP: in double quotes, and strong. It holds
/// for as long as this program runs or is not upgraded, and says nothing of the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ETag(String);

impl ETag {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            bytes.hash(&mut hasher);
            hasher.finish()
        };
        Self(format!("\"{:016x}{:016x}\"", half(0), half(1)))
    }

    /// With its quotes.
    #[allow(dead_code, reason = "said over HTTP")]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a client sends back, as it came.
impl From<&str> for ETag {
    fn from(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
