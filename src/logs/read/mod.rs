//! Reading what was captured: which lines, in the order in which they were written, by any process
//! that may read the files, with or without a daemon.

mod before;
mod follow;
mod reader;
mod source;

use std::io;
use std::time::SystemTime;

pub(super) use before::start_of_run;
pub(crate) use follow::Follow;
pub(crate) use reader::Reader;
pub(super) use source::Place;

use super::form::Form;
use super::{Line, Pattern, settings};
use crate::model::ServiceId;
use crate::paths::Places;

/// Which lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// So many of those that are meant, from the end; `None`: all.
    pub(crate) lines: Option<usize>,
    /// From then on.
    pub(crate) since: Option<SystemTime>,
    /// Up to then; of who follows: not.
    pub(crate) until: Option<SystemTime>,
    /// Only those of standard error.
    pub(crate) stderr: bool,
    /// Only those with this.
    pub(crate) grep: Option<Pattern>,
}

impl Query {
    /// Whether a line is meant by its time and its text.
    pub(crate) fn means(&self, line: &Line) -> bool {
        self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at <= until)
            && self.grep.as_ref().is_none_or(|grep| grep.is_in(&line.text))
    }

    /// Whether lines are looked at that are not meant.
    pub(crate) fn searches(&self) -> bool {
        self.until.is_some() || self.grep.is_some()
    }
}

/// The lines of a folder ([`super::folder`]). A last one that is not finished is among them.
/// `None`: nothing was ever captured.
///
/// # Errors
/// The files cannot be read.
#[cfg(test)]
pub(crate) fn read(dir: &std::path::Path, query: &Query) -> io::Result<Option<Reader>> {
    Reader::of(dir, None, Form::default(), query)
}

/// The same of a service, and what it has written that no daemon has moved into the files yet:
/// where none runs that may be its last words.
///
/// # Errors
/// The files cannot be read.
pub(crate) fn read_all(places: &Places, id: &ServiceId, query: &Query) -> io::Result<Option<Reader>> {
    Reader::of(&super::folder(places, id), Some((places, id)), form(places, id), query)
}

/// How lines of a service are given.
fn form(places: &Places, id: &ServiceId) -> Form {
    Form::of(&settings::load(places, id))
}
