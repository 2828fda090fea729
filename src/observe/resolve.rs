//! From a target's words to what they mean on this host: units and processes, not yet described.

use std::collections::BTreeSet;

use super::cgroup::Place;
use super::observer::{Observer, Units, Want};
use super::verdicts::{Asking, Between};
use super::{find, ports, records, supervised, units};
use crate::error::Error;
use crate::gather::Gather as _;
use crate::model::{Manager, Process, ServiceFacts, ServiceId, Target, UnitFacts, UnitName, UnitPattern};

/// What a target leads to.
#[derive(Debug)]
pub(super) enum Found {
    /// A unit that was named.
    Unit {
        /// Whose.
        manager: Manager,
        /// Which.
        unit: UnitName,
        /// Its properties, if they were read on the way.
        facts: Option<Box<UnitFacts>>,
        /// What the manager was asked already.
        asking: Asking,
        /// A pattern matched it.
        by_pattern: bool,
        /// What to tell besides.
        note: Option<String>,
    },
    /// Processes that match; their owners follow from where they stand.
    Processes(Vec<u32>),
    /// Processes in a unit of which the matching one cannot be told apart.
    Within {
        /// Where.
        place: Place,
        /// The process, where it is known but hidden.
        pid: Option<u32>,
        /// What to tell.
        note: String,
    },
    /// A process that provost started and does not supervise.
    Own(Box<records::Record>),
    /// A service that provost supervises.
    Service(Box<ServiceFacts>),
}

/// Finds what the target means. Nothing found is an error that names what is near.
pub(super) async fn resolve(observer: &Observer, target: &Target, want: &Want) -> Result<Vec<Found>, Error> {
    let found = match target {
        Target::Unit(pattern) => by_pattern(observer, Manager::System, pattern, want).await?,
        Target::UserUnit(pattern) => by_pattern(observer, Manager::User(observer.caller().uid), pattern, want).await?,
        Target::Service(id) => own(observer, id).await?,
        Target::Port(port) => ports::owners(observer, *port, want).await?,
        Target::Pid(pid) => by_pid(observer, *pid).await?,
        Target::Word(word) => by_word(observer, word).await?,
        Target::Name(_) | Target::Exe(_) | Target::Cmd(_) => by_match(observer, target),
    };
    if found.is_empty() {
        // Costly to find, and of no use to who only asks again and again.
        let nearest = if want.suggest { super::nearest::names(observer, target).await } else { Vec::new() };
        return Err(Error::NotFound { what: nothing(target), nearest });
    }
    Ok(found)
}

/// That there is nothing, in the words of the target's form.
fn nothing(target: &Target) -> String {
    use crate::text::clip;
    match target {
        Target::Word(word) if word.contains(['*', '?']) => {
            format!("nothing here is called {0}; for units that match it: 'unit:{0}'", clip(word))
        }
        Target::Word(word) if word.parse::<std::net::SocketAddr>().is_ok() => {
            format!("nothing here is called {0}; for an address: provost probe tcp:{0}", clip(word))
        }
        Target::Word(word) => format!("nothing here is called {}", clip(word)),
        Target::Service(id) => format!("provost has no service {}", clip(id.as_str())),
        Target::Unit(UnitPattern::Glob(glob)) => format!("no unit of the system matches {}", clip(glob)),
        Target::Unit(UnitPattern::Name(name)) => format!("the system has no unit {name}"),
        Target::UserUnit(UnitPattern::Glob(glob)) => format!("none of your user units matches {}", clip(glob)),
        Target::UserUnit(UnitPattern::Name(name)) => format!("you have no user unit {name}"),
        Target::Pid(pid) => format!("there is no process {pid}"),
        Target::Name(name) => format!("no process has the name {}", clip(name)),
        Target::Exe(path) => format!("no process that you can see runs {}", clip(&path.display().to_string())),
        Target::Cmd(text) => format!("no command line contains {}", clip(text)),
        Target::Port(port) => format!("nobody listens on TCP port {port}"),
    }
}

async fn by_pattern(
    observer: &Observer,
    manager: Manager,
    pattern: &UnitPattern,
    want: &Want,
) -> Result<Vec<Found>, Error> {
    let client = observer.bus().manager(manager).await.map_err(Error::Unreachable)?;
    let name = match pattern {
        UnitPattern::Name(name) => name,
        UnitPattern::Glob(glob) => {
            let listed = client.list(&[], &[glob]).await.map_err(|e| Error::Unreachable(e.to_string()))?;
            let there = listed.into_iter().filter(|u| u.load_state != "not-found");
            return Ok(there
                .map(|u| Found::Unit {
                    manager,
                    unit: u.name,
                    facts: None,
                    asking: Asking::default(),
                    by_pattern: true,
                    note: None,
                })
                .collect());
        }
    };
    if name.is_template() {
        return Ok(vec![Found::Unit {
            manager,
            unit: name.clone(),
            facts: None,
            asking: Asking::default(),
            by_pattern: false,
            note: None,
        }]);
    }
    let between = Between { manager: &client, whose: manager, caller: observer.caller(), systemd: None };
    let asking = Asking::early(between, name, &want.actions);
    let facts = units::read(&client, name).await.map_err(|e| Error::Unreachable(format!("{name}: {e}")))?;
    Ok(exists(&facts).then(|| named(manager, facts, asking)).into_iter().collect())
}

fn exists(facts: &UnitFacts) -> bool {
    facts.load_state != "not-found" || facts.is_active()
}

fn named(manager: Manager, facts: UnitFacts, asking: Asking) -> Found {
    Found::Unit { manager, unit: facts.id.clone(), facts: Some(Box::new(facts)), asking, by_pattern: false, note: None }
}

/// A service id, a unit, processes: everything that the word can mean.
async fn by_word(observer: &Observer, word: &str) -> Result<Vec<Found>, Error> {
    let own = match word.parse::<ServiceId>() {
        Ok(id) => own(observer, &id).await,
        Err(_) => Ok(Vec::new()),
    };
    let (mut found, unknown) = match own {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    if let Ok(name) = UnitName::from_word(word) {
        if name.is_template() {
            let asking = Asking::default();
            let (manager, unit) = (Manager::System, name);
            found.push(Found::Unit { manager, unit, facts: None, asking, by_pattern: false, note: None });
            return Ok(found);
        }
        let user = Manager::User(observer.caller().uid);
        let (system, own) = match observer.units() {
            Units::Both => (true, true),
            Units::System => (true, false),
            Units::User => (false, true),
        };
        let (system, own) = tokio::join!(
            unit_by_word(observer, system.then_some(Manager::System), &name),
            unit_by_word(observer, own.then_some(user), &name)
        );
        found.extend(system.into_iter().chain(own));
    }
    found.extend(by_match(observer, &Target::Word(word.to_owned())));
    // It may be a service, for all that is known.
    unknown.filter(|_| found.is_empty()).map_or(Ok(found), Err)
}

async fn unit_by_word(observer: &Observer, manager: Option<Manager>, name: &UnitName) -> Option<Found> {
    let manager = manager?;
    let client = observer.bus().manager(manager).await.ok()?;
    // Most words are no units: what does not exist is not asked about.
    let facts = units::read(&client, name).await.ok()?;
    exists(&facts).then(|| named(manager, facts, Asking::default()))
}

async fn own(observer: &Observer, id: &ServiceId) -> Result<Vec<Found>, Error> {
    let supervised = supervised::matching(observer, id).await?;
    let alone = records::matching(observer, id);
    let alone = alone.into_iter().filter(|record| supervised.iter().all(|s| s.report.id != record.id));
    let alone: Vec<Found> = alone.map(|record| Found::Own(Box::new(record))).collect();
    Ok(supervised.into_iter().map(|service| Found::Service(Box::new(service))).chain(alone).collect())
}

fn by_match(observer: &Observer, target: &Target) -> Vec<Found> {
    // What has ended is not what anybody means by its name.
    let ended = |pid: &u32| observer.proc().stat(*pid).is_ok_and(|s| s.state == crate::model::ProcState::Zombie);
    let pids: Vec<u32> = find::find(observer.proc(), target).into_iter().filter(|pid| !ended(pid)).collect();
    if pids.is_empty() { Vec::new() } else { vec![Found::Processes(pids)] }
}

/// A process by its id. Where /proc hides it, PID 1 still knows its unit.
async fn by_pid(observer: &Observer, pid: u32) -> Result<Vec<Found>, Error> {
    match observer.proc().process(pid) {
        Ok(_) => Ok(vec![Found::Processes(vec![pid])]),
        Err(super::ReadError::Gone { .. }) => Ok(Vec::new()),
        Err(hidden @ super::ReadError::Hidden { .. }) => {
            let client = observer.bus().system().await.map_err(Error::Unreachable)?;
            let unit = client.unit_by_pid(pid).await.map_err(|e| Error::Unreachable(format!("{hidden}: {e}")))?;
            let place = Place::SystemUnit { unit, subgroup: None };
            Ok(vec![Found::Within { place, pid: Some(pid), note: format!("{hidden}; the unit is what systemd says") }])
        }
        Err(super::ReadError::Thread { process, .. }) => {
            Err(crate::model::Malformed(format!("pid:{pid} is a thread of process {process}: use pid:{process}"))
                .into())
        }
        Err(error) => {
            Err(Error::Io { what: format!("process {pid}"), source: std::io::Error::other(error.to_string()) })
        }
    }
}

/// The pids without those that have an ancestor among them.
pub(super) fn roots(processes: &[Process], parent: impl Fn(u32) -> Option<u32>) -> Vec<u32> {
    let all: BTreeSet<u32> = processes.iter().map(Process::pid).gather();
    let below = |pid: u32| {
        let mut seen = BTreeSet::from([pid]);
        let mut at = pid;
        while let Some(next) = parent(at).filter(|p| *p > 1 && seen.insert(*p)) {
            if all.contains(&next) {
                return true;
            }
            at = next;
        }
        false
    };
    all.iter().copied().filter(|pid| !below(*pid)).collect()
}
