//! The names of the files of a service.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::named;

/// `7.out`, `7.index.gz`.
pub(in crate::logs) fn path(dir: &Path, number: u64, end: &str) -> PathBuf {
    dir.join(format!("{number}.{end}"))
}

/// The segments of a folder, the oldest first; also those of which something is missing.
pub(in crate::logs) fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| named(dir.display(), &error))?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(segment_of));
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// Of which segment the file of this name is one.
pub(in crate::logs) fn segment_of(name: &str) -> Option<u64> {
    match name.split_once('.')? {
        (number, "out" | "err" | "index" | "out.gz" | "err.gz" | "index.gz") => number.parse().ok(),
        _ => None,
    }
}

/// Whether a segment has begun: its index is made last, and from then on it is written.
pub(in crate::logs) fn begun(dir: &Path, number: u64) -> bool {
    path(dir, number, "index").exists() || path(dir, number, "index.gz").exists()
}
