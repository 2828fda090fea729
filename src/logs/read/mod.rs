//! Reading what was captured: which lines, in the order in which they were written, by any process
//! that may read the files, with or without a daemon.

mod follow;
mod reader;
mod source;

use std::io;
use std::time::SystemTime;

pub(crate) use follow::Follow;
pub(crate) use reader::Reader;

use crate::model::ServiceId;
use crate::paths::Places;

/// Which lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// So many from the end; `None`: all.
    pub(crate) lines: Option<usize>,
    /// From then on.
    pub(crate) since: Option<SystemTime>,
    /// Only those of standard error.
    pub(crate) stderr: bool,
}

/// The lines of a folder ([`super::folder`]). A last one that is not finished is among them.
/// `None`: nothing was ever captured.
///
/// # Errors
/// The files cannot be read.
#[cfg(test)]
pub(crate) fn read(dir: &std::path::Path, query: &Query) -> io::Result<Option<Reader>> {
    Reader::of(dir, None, query)
}

/// The same of a service, and what it has written that no daemon has moved into the files yet:
/// where none runs that may be its last words.
///
/// # Errors
/// The files cannot be read.
pub(crate) fn read_all(places: &Places, id: &ServiceId, query: &Query) -> io::Result<Option<Reader>> {
    Reader::of(&super::folder(places, id), Some((places, id)), query)
}
