//! Which processes are orphans, and why the others are not; pure.

use std::collections::{HashMap, HashSet};

use super::Search;
use super::look::{Look, Parent, Seen, ancestors};
use crate::model::service::ServiceState;
use crate::model::{ProcState, ServiceId, UnitKind};
use crate::observe::cgroup::Place;
use crate::observe::user_name;
use crate::registry::Record;
use crate::supervise::Orphan;

/// What is known of the instance.
struct Known<'a> {
    search: &'a Search<'a>,
    /// The pids of recorded services that run, with the record of each.
    running: HashMap<u32, &'a Record>,
    /// The same of the other instance.
    elsewhere: HashMap<u32, &'a Record>,
    /// Who must not be ended: provost, its daemon, recorded services, and whatever those descend from.
    needed: HashSet<u32>,
    /// Whose processes are believed what their environment says; `None`: the caller's only, who sees
    /// no others'.
    trusted: Option<HashSet<u32>>,
}

/// Whether one process is an orphan.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    orphan: bool,
    reason: String,
}

fn no(reason: impl Into<String>) -> Verdict {
    Verdict { orphan: false, reason: reason.into() }
}

fn yes(reason: impl Into<String>) -> Verdict {
    Verdict { orphan: true, reason: reason.into() }
}

/// All that is worth telling. A tree is told by its root: what descends from an orphan ends with
/// it, and what descends from a look-alike is that one's. What carries the mark and is tracked is
/// what is to be expected.
pub(super) fn all(search: &Search<'_>, look: Look) -> Vec<Orphan> {
    let known = Known::new(search, &look);
    // What says of itself that it is ours, and is not named otherwise, was not even asked about.
    let counts = |seen: &Seen| seen.named || known.is_believed(seen);
    let judged: HashMap<u32, (Verdict, Seen)> =
        look.seen.into_iter().filter(counts).map(|seen| (seen.process.pid(), (judge(&known, &seen), seen))).collect();
    let is_below = |(verdict, seen): &(Verdict, Seen)| {
        let mut above = seen.ancestors.iter().filter_map(|pid| judged.get(pid));
        above.any(|(other, of)| {
            // What is ended unasked is not hidden below what is not.
            let as_sure = known.own_mark(of).is_some() || known.own_mark(seen).is_none();
            if verdict.orphan { other.orphan && as_sure } else { true }
        })
    };
    let expected = |(verdict, seen): &(Verdict, Seen)| !verdict.orphan && !seen.named && known.tracked(seen).is_some();
    let shown = judged.values().filter(|one| !expected(one) && !is_below(one));
    shown.map(|(verdict, seen)| known.orphan(seen, verdict)).collect()
}

impl<'a> Known<'a> {
    fn new(search: &'a Search<'a>, look: &Look) -> Self {
        let boot = &search.observer.host().boot_id;
        let alive = |record: &&Record| {
            let same = |id: crate::model::Identity| {
                let zombie = || search.observer.proc().stat(id.pid).is_ok_and(|stat| stat.state == ProcState::Zombie);
                // One that nobody has waited for has ended.
                look.rows.get(&id.pid).is_some_and(|row| row.start_ticks == id.start_ticks) && !zombie()
            };
            record.boot_id == *boot && record.identity.is_some_and(same)
        };
        let of = |records: &'a [Record]| -> HashMap<u32, &'a Record> {
            records.iter().filter(alive).filter_map(|record| Some((record.identity?.pid, record))).collect()
        };
        let (running, elsewhere) = (of(search.records), of(search.elsewhere));
        let mut needed: HashSet<u32> = search.observer.caller().lineage.iter().copied().collect();
        for pid in running.keys().chain(elsewhere.keys()).copied().chain(search.daemon) {
            needed.insert(pid);
            needed.extend(ancestors(pid, &look.rows));
        }
        let trusted = (search.observer.caller().uid == 0).then(|| trusted(search.records));
        Self { search, running, elsewhere, needed, trusted }
    }

    /// Whether the mark in its environment counts. Everybody may put it there: for root it counts
    /// only of who runs services, and of what is in a unit that provost has made.
    fn is_believed(&self, seen: &Seen) -> bool {
        let Some(trusted) = &self.trusted else { return true };
        let in_unit = matches!(&seen.place, Place::SystemUnit { .. }) && own_unit(&seen.place).is_some();
        let ours = |uids: crate::model::Uids| [uids.real, uids.effective].iter().all(|uid| trusted.contains(uid));
        in_unit || seen.process.uids.is_some_and(ours)
    }

    fn runs(&self, record: &Record) -> bool {
        self.running.values().any(|running| running.id == record.id)
    }

    /// The record of the service that it belongs to, if that still answers for it.
    fn tracked(&self, seen: &Seen) -> Option<&'a Record> {
        if let Some(record) = descends(seen, &self.running) {
            return Some(record);
        }
        let unit = own_unit(&seen.place);
        self.search.records.iter().find(|record| {
            let by_mark = self.own_mark(seen) == Some(&record.id);
            let by_unit = unit.is_some() && record.unit.as_deref() == unit;
            (by_mark || by_unit) && self.answers(record)
        })
    }

    /// Whether a record speaks of something that runs, or is about to.
    fn answers(&self, record: &Record) -> bool {
        let here = record.boot_id == self.search.observer.host().boot_id;
        let lively = match self.search.daemon {
            Some(_) => !matches!(record.state, ServiceState::Stopped | ServiceState::Failed),
            // It was being started when its daemon ended: nobody knows yet as what.
            None => here && record.state.is_alive() && record.identity.is_none(),
        };
        lively || self.runs(record)
    }

    fn own_mark<'s>(&self, seen: &'s Seen) -> Option<&'s ServiceId> {
        let (instance, service) = seen.mark.as_ref().filter(|_| self.is_believed(seen))?;
        (self.search.instance == Some(instance.as_str())).then_some(service)
    }

    fn orphan(&self, seen: &Seen, verdict: &Verdict) -> Orphan {
        let mark = self.own_mark(seen);
        // The inode tells it from any later user of the pid, where the kernel has one.
        let identity = match self.search.observer.proc().identify(seen.process.pid()) {
            Ok((identity, _)) if identity.start_ticks == seen.process.identity.start_ticks => identity,
            _ => seen.process.identity,
        };
        Orphan {
            identity,
            command_line: seen.process.cmdline.clone(),
            unit: own_unit(&seen.place).map(str::to_owned),
            service: mark.cloned(),
            orphan: verdict.orphan,
            marked: mark.is_some(),
            reason: verdict.reason.clone(),
        }
    }
}

/// Root, and whoever services run as.
fn trusted(records: &[Record]) -> HashSet<u32> {
    let users: HashSet<&str> = records.iter().filter_map(|record| record.spec.user.as_deref()).collect();
    let uid = |name: &str| match name.parse() {
        Ok(uid) => Some(uid),
        Err(_) => nix::unistd::User::from_name(name).ok().flatten().map(|user| user.uid.as_raw()),
    };
    users.into_iter().filter_map(uid).chain([0]).collect()
}

/// The record of whose process it is a descendant, or in whose session it is.
fn descends<'a>(seen: &Seen, running: &HashMap<u32, &'a Record>) -> Option<&'a Record> {
    let line = [seen.process.pid(), seen.process.sid];
    line.iter().chain(&seen.ancestors).find_map(|pid| running.get(pid)).copied()
}

/// The unit, if it is one that provost made.
fn own_unit(place: &Place) -> Option<&str> {
    let (Place::SystemUnit { unit, .. } | Place::UserUnit { unit, .. }) = place else { return None };
    let name = unit.as_str();
    (name.starts_with("provost-") && name.ends_with(".service")).then_some(name)
}

fn judge(known: &Known<'_>, seen: &Seen) -> Verdict {
    let pid = seen.process.pid();
    if let Some(record) = known.tracked(seen) {
        return no(format!("it belongs to service {}", record.id));
    }
    if let Some(record) = descends(seen, &known.elsewhere) {
        return no(format!("it belongs to service {} of your other instance of provost", record.id));
    }
    match &seen.place {
        Place::Container { container, .. } => {
            let id = crate::text::clip_to(&container.id, 12);
            return no(format!("it is in the {} container {id}", container.runtime.name()));
        }
        Place::Foreign => return no("it is in another cgroup namespace: whose it is cannot be told"),
        _ => {}
    }
    if known.needed.contains(&pid) {
        return no("provost, or one of its services, descends from it");
    }
    if seen.process.cmdline.get(1).is_some_and(|word| word == crate::logs::keeper::WORD) {
        return no("it keeps the output of services for provost, and ends by itself");
    }
    match known.own_mark(seen) {
        Some(service) => marked(known, service),
        None => by_name(known, seen),
    }
}

fn marked(known: &Known<'_>, service: &ServiceId) -> Verdict {
    match known.search.records.iter().find(|record| record.id == *service) {
        None if known.search.unread.contains(service) => {
            no(format!("it belongs to service {service}, whose record cannot be read: the next daemon takes it over"))
        }
        None => yes(format!("it carries the mark of service {service}, which is in no record")),
        Some(record) if record.state.is_alive() => {
            yes(format!("it was left behind by service {service}, whose main process has ended, and no daemon runs"))
        }
        Some(record) => yes(format!("it was left behind by service {service}, which is {}", record.state)),
    }
}

fn by_name(known: &Known<'_>, seen: &Seen) -> Verdict {
    if let Some((_, service)) = seen.mark.as_ref().filter(|_| known.is_believed(seen)) {
        return no(format!("it belongs to service {service} of another instance of provost"));
    }
    let own = known.search.observer.caller().uid;
    let uids = seen.process.uids.map(|uids| [uids.effective, uids.real]);
    match uids.and_then(|uids| uids.into_iter().find(|uid| *uid != own)) {
        _ if uids.is_none() => return no("whose it is cannot be read"),
        Some(other) => return no(format!("it is another user's ({})", user_name(other))),
        None => {}
    }
    // A scope only holds things together: a session's, a terminal's.
    match &seen.place {
        Place::SystemUnit { unit, .. } if unit.kind() != UnitKind::Scope => {
            return no(format!("it belongs to the system unit {unit}"));
        }
        Place::UserUnit { unit, .. } if unit.kind() != UnitKind::Scope => {
            return no(format!("it belongs to the user unit {unit}"));
        }
        _ => {}
    }
    match &seen.parent {
        Parent::Init => yes("nobody owns it: its parent has ended, and init has it"),
        Parent::UserManager => yes("nobody owns it: its parent has ended, and the user manager has it"),
        Parent::Reaper { pid, comm } => yes(format!(
            "nobody owns it: its parent has ended, and {} ({pid}) has taken it in",
            crate::text::clip(comm)
        )),
        Parent::Living { pid, comm } => {
            no(format!("it is a child of {} ({pid}), which lives", crate::text::clip(comm)))
        }
        Parent::Outside => no("its parent cannot be seen"),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
