//! Where the output of a service goes, and how much of it is kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Size, Span};

/// `log = {…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogSpec {
    /// Output goes to files in the systemd backend too.
    pub file: bool,
    /// The folder in which the service's own folder of files is; absolute, or it begins with a variable.
    /// `None`: the folder of logs of the instance.
    pub path: Option<PathBuf>,
    /// A file that has this size is followed by a new one.
    pub max_size: Size,
    /// A file that began so long ago is followed by a new one; none: never.
    pub max_age: Span,
    /// So many older files are kept.
    pub keep: u32,
    /// For so long they are kept; none: for ever.
    pub keep_for: Span,
    /// All files of the service have at most this size.
    pub keep_size: Size,
    /// What becomes of older files.
    pub compress: Compression,
    /// Lines that are longer are given in parts, and kept so in files where this is not the default.
    pub max_line: Size,
    /// Colours and the like.
    pub ansi: Ansi,
}

impl Default for LogSpec {
    fn default() -> Self {
        Self {
            file: false,
            path: None,
            max_size: Size(50 << 20),
            max_age: Span::secs(24 * 3600),
            keep: 7,
            keep_for: Span::secs(7 * 24 * 3600),
            keep_size: Size(1 << 30),
            compress: Compression::Gzip,
            max_line: Size(1 << 20),
            ansi: Ansi::Keep,
        }
    }
}

/// How older files are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As `.gz`.
    #[default]
    Gzip,
    /// As they are.
    None,
}

/// What becomes of the sequences by which programs colour what they write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ansi {
    /// They are given as they were written.
    #[default]
    Keep,
    /// They are left out of files and of what is read.
    Strip,
}
