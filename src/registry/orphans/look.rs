//! Reads the processes that carry a mark or have one of the names.

use std::collections::{BTreeMap, HashMap};

use super::Search;
use crate::model::{Identity, ProcState, Process, ServiceId};
use crate::observe::cgroup::Place;
use crate::observe::{ProcFs, find, tree};

/// One process that may be an orphan.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) process: Process,
    /// The instance and the service of which its environment speaks.
    pub(super) mark: Option<(String, ServiceId)>,
    pub(super) place: Place,
    pub(super) parent: Parent,
    /// Its ancestors, nearest first.
    pub(super) ancestors: Vec<u32>,
    /// It has one of the names.
    pub(super) named: bool,
}

/// Who its parent is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parent {
    /// PID 1.
    Init,
    /// The manager of the user's units.
    UserManager,
    /// A process of another session, which did not start it: it takes in what lost its parent.
    Reaper { pid: u32, comm: String },
    /// It started it, as far as can be told.
    Living { pid: u32, comm: String },
    /// It cannot be seen: it is in another pid namespace, or hidden.
    Outside,
}

/// The processes, and for each pid of the host its parent and its session.
#[derive(Debug)]
pub(crate) struct Look {
    pub(super) seen: Vec<Seen>,
    pub(super) rows: HashMap<u32, tree::Row>,
}

pub(super) fn look(search: &Search<'_>) -> Look {
    let proc = search.observer.proc();
    let rows: HashMap<u32, tree::Row> = tree::table(proc).into_iter().map(|row| (row.pid, row)).collect();
    let mut marks = marks(proc);
    let mut candidates: BTreeMap<u32, bool> = BTreeMap::new();
    if let Some(instance) = search.instance {
        candidates.extend(marks.iter().filter(|(_, mark)| mark.0 == instance).map(|(pid, _)| (*pid, false)));
        for marked in search.marked {
            // The pid may be another's by now.
            let same = |id: &&Identity| rows.get(&id.pid).is_some_and(|row| row.start_ticks == id.start_ticks);
            for identity in marked.processes.iter().filter(same) {
                candidates.insert(identity.pid, false);
                marks.entry(identity.pid).or_insert_with(|| (instance.to_owned(), marked.id.clone()));
            }
        }
    }
    candidates.extend(find::words(proc, search.names).into_iter().map(|pid| (pid, true)));
    let one = |(pid, named): (u32, bool)| {
        let process = proc.process(pid).ok()?;
        if process.kernel_thread || process.state == ProcState::Zombie {
            return None;
        }
        // Read before the rest was: the row must be of the same process.
        let row = rows.get(&pid).filter(|row| row.start_ticks == process.identity.start_ticks)?;
        let parent = parent(search, &process, row, &rows);
        let (place, mark) = (search.observer.place(&process), marks.get(&pid).cloned());
        Some(Seen { ancestors: ancestors(pid, &rows), mark, place, parent, named, process })
    };
    let seen = candidates.into_iter().filter_map(one).collect();
    Look { seen, rows }
}

/// The processes that carry the mark of any instance, as far as their environment may be read.
fn marks(proc: &ProcFs) -> HashMap<u32, (String, ServiceId)> {
    let mark = |pid: u32| {
        let [instance, service] = proc.variables(pid, ["PROVOST_INSTANCE_ID", "PROVOST_SERVICE"])?;
        Some((pid, (instance?, service?.parse().ok()?)))
    };
    proc.pids().unwrap_or_default().into_iter().filter_map(mark).collect()
}

/// Its ancestors, nearest first, PID 1 included.
pub(super) fn ancestors(pid: u32, rows: &HashMap<u32, tree::Row>) -> Vec<u32> {
    let mut line = Vec::new();
    let mut at = pid;
    while let Some(row) = rows.get(&at).filter(|row| row.ppid != 0 && !line.contains(&row.ppid)) {
        line.push(row.ppid);
        at = row.ppid;
    }
    line
}

fn parent(search: &Search<'_>, process: &Process, row: &tree::Row, rows: &HashMap<u32, tree::Row>) -> Parent {
    let pid = process.ppid;
    if pid == 1 {
        return Parent::Init;
    }
    let Some(found) = Some(pid).filter(|pid| *pid != 0).and_then(|pid| search.observer.proc().process(pid).ok()) else {
        return Parent::Outside;
    };
    let manager = match search.observer.place(&found) {
        Place::SystemUnit { unit, .. } => unit.as_str().starts_with("user@"),
        _ => false,
    };
    let comm = found.comm;
    if manager && comm == "systemd" {
        return Parent::UserManager;
    }
    // Who did not make its session itself got it from its parent: one of another session did not
    // start it.
    let other = rows.get(&pid).is_some_and(|parent| parent.sid != row.sid);
    if row.sid != row.pid && other { Parent::Reaper { pid, comm } } else { Parent::Living { pid, comm } }
}
