//! Text in one of three formats -> a tree with places.

mod json;
mod toml;
mod yaml;

use std::path::Path;

use super::errors::Fault;
use super::tree::Node;

/// The format of a file, by its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Yaml,
    Json,
}

impl Format {
    /// `None` for any other extension.
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The tree of a text. With faults too where one can be had: keys that are there twice leave it
/// whole enough to look for what else is wrong.
pub(super) fn read(format: Format, text: &str) -> (Option<Node>, Vec<Fault>) {
    match format {
        Format::Toml => toml::read(text),
        Format::Yaml => yaml::read(text),
        Format::Json => json::read(text),
    }
}
