//! Orphans: what an instance started and no longer tracks, and, by name, what nobody tracks.
//!
//! `look` reads the processes that matter, `judge` says (purely) which of them are orphans and why
//! the others are not, `clean` ends them. Nothing here needs a daemon.

mod clean;
mod judge;
mod look;

pub(crate) use clean::{clean, to_clean, would_clean};
pub(crate) use look::Look;

use std::collections::BTreeSet;

use crate::backend::Marked;
use crate::gather::{Arrange as _, Gather as _};
use crate::model::service::{Program, ServiceSpec};
use crate::model::{Identity, Instance, Process, ServiceId};
use crate::observe::{Observer, ProcFs, interpreter};
use crate::paths::Places;
use crate::supervise::Orphan;

use super::{Loaded, Record, Store};

/// What is looked for, and what is known already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search<'a> {
    /// Reads the host.
    pub(crate) observer: &'a Observer,
    /// The id of this instance; `None` if it has never had a daemon.
    pub(crate) instance: Option<&'a str>,
    /// All its records, as the daemon has them, or as they are on disk where none runs.
    pub(crate) records: &'a [Record],
    /// The services whose records are there and cannot be read: the next daemon finds them by their mark.
    pub(crate) unread: &'a [ServiceId],
    /// Those of the caller's other instance: see [`elsewhere`].
    pub(crate) elsewhere: &'a [Record],
    /// The daemon's process, if one runs: then the records say how things are now.
    pub(crate) daemon: Option<u32>,
    /// What the backends know to carry the mark; processes are also looked for here.
    pub(crate) marked: &'a [Marked],
    /// Names of processes to look for besides the mark.
    pub(crate) names: &'a [String],
}

impl Search<'_> {
    /// The orphans, and what looks like one with the reason why it is none. Orphans first.
    pub(crate) fn find(&self) -> Vec<Orphan> {
        self.judge(self.look())
    }

    /// Reads the processes, which takes a while. What the records say plays no part yet.
    pub(crate) fn look(&self) -> Look {
        look::look(self)
    }

    /// The same as [`Search::find`], of what was seen. The records may be later than that.
    pub(crate) fn judge(&self, look: Look) -> Vec<Orphan> {
        let mut found = judge::all(self, look);
        found.arrange_by_key(|one| (!one.orphan, !one.marked, one.identity.pid));
        found
    }
}

/// What carries the mark of an instance, and what looks like it, where no daemon runs.
pub(crate) fn of_mark(observer: &Observer, places: &Places, instance: &str, known: &Loaded) -> Vec<Orphan> {
    let search = Search {
        observer,
        instance: Some(instance),
        records: &known.records,
        unread: &known.unread(),
        elsewhere: &elsewhere(places),
        daemon: None,
        marked: &[],
        names: &[],
    };
    search.find()
}

/// How many of these run still.
pub(crate) fn running(orphans: &[Identity]) -> usize {
    let Ok(proc) = ProcFs::host() else { return 0 };
    let runs = |one: &&Identity| proc.identify(one.pid).is_ok_and(|(now, _)| now.start_ticks == one.start_ticks);
    orphans.iter().filter(runs).count()
}

/// The records of the other instance of the same user. Only root has two.
pub(crate) fn elsewhere(places: &Places) -> Vec<Record> {
    let other = match places.instance {
        _ if places.uid != 0 => return Vec::new(),
        Instance::User => Instance::System,
        Instance::System => Instance::User,
    };
    Places::of(other, places.uid).map(|places| Store::at(&places).all()).unwrap_or_default()
}

/// The names of the programs of services: what is looked for where nothing was named. What an
/// interpreter runs is known by its script: every agent is a `python3`.
pub(crate) fn programs<'a>(specs: impl IntoIterator<Item = &'a ServiceSpec>) -> Vec<String> {
    let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let name = |spec: &ServiceSpec| match &spec.program {
        Program::Script { path, .. } => base(path),
        Program::Command(command) => {
            let words: Vec<String> = command.iter().chain(&spec.args).cloned().collect();
            let program = interpreter::program(&Process::of_command(&words));
            base(&program.script.unwrap_or(program.path))
        }
    };
    // A shell, or an interpreter without a script, is too many things.
    let says_nothing = |name: &String| name.is_empty() || interpreter::is_one(name);
    let names: BTreeSet<String> = specs.into_iter().map(name).filter(|name| !says_nothing(name)).gather();
    names.into_iter().collect()
}

#[cfg(test)]
mod tests;
