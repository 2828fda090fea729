//! A unit as an owner.

use super::super::observer::{Observer, Want};
use super::super::verdicts::{Asking, Between};
use super::super::{helper, listening, sudo, units, user_name};
use super::ask_signals;
use super::members::Members;
use crate::model::{Manager, Owner, OwnerFacts, Process, UnitFacts, UnitKind, UnitName};
use crate::systemd;

/// A unit with its processes. `matched`: what led to it; `None` if it was named itself. `read`:
/// its properties and the manager's answers, as far as they are known already.
pub(super) async fn unit_owner(
    observer: &Observer,
    manager: Manager,
    unit: &UnitName,
    read: Option<(UnitFacts, Asking)>,
    matched: Option<&[Process]>,
    want: &Want,
) -> OwnerFacts {
    let mut notes = Vec::new();
    let client = observer.bus().manager(manager).await.map_err(|why| notes.push(format!("{unit}: {why}"))).ok();
    let (facts, mut asking) = match (read, &client) {
        (Some((facts, asking)), _) => (Some(facts), asking),
        (None, Some(client)) => {
            let facts = units::read(client, unit).await.map_err(|e| notes.push(format!("{unit}: {e}"))).ok();
            (facts, Asking::default())
        }
        (None, None) => (None, Asking::default()),
    };
    let unit = facts.as_ref().map_or_else(|| unit.clone(), |f| f.id.clone());
    let version = match &client {
        Some(client) => observer.systemd_version(client).await,
        None => None,
    };
    let between = client.as_ref().map(|client| Between {
        manager: client,
        whose: manager,
        caller: observer.caller(),
        systemd: version.as_deref(),
    });
    // A scope of others is never acted on, whatever its manager would say: first see whose it is.
    let later = unit.kind() == UnitKind::Scope && matched.is_some();
    if let Some((between, facts)) = between.zip(facts.as_ref()).filter(|_| !later) {
        asking.complete(between, facts, &want.actions).await;
    }
    let mut members = Members::read(observer, (manager, client.as_ref()), &unit, facts.as_ref(), matched).await;
    if members.hidden > 0 {
        notes.push(format!("/proc hides {} of its processes from you (hidepid)", members.hidden));
    }
    if let Some((between, facts)) = between.zip(facts.as_ref()).filter(|_| later && members.includes_main) {
        asking.complete(between, facts, &want.actions).await;
    }
    let uid = members.processes.first().and_then(Process::uid);
    let exact = exact(observer, manager, &unit, &members);
    let name = match manager {
        Manager::System => Owner::SystemUnit { unit: unit.clone() },
        Manager::User(uid) => Owner::UserUnit { uid, unit: unit.clone() },
    };
    let mut owner = OwnerFacts {
        signals: ask_signals(observer, &mut members.processes, &members.matched, &members.tree),
        named: matched.is_none(),
        user: uid.map(user_name).or_else(|| user_of(manager, facts.as_ref())),
        uid: uid.or(match manager {
            Manager::User(uid) => Some(uid),
            Manager::System => None,
        }),
        processes: members.processes,
        matched: members.matched,
        tree: members.tree,
        includes_main: members.includes_main,
        unit: facts,
        notes,
        ..OwnerFacts::new(name, exact)
    };
    listening::fill(observer, &mut owner, members.group.as_deref());
    gather(observer, client.as_ref(), manager, asking, &mut owner, want).await;
    owner
}

/// The target that leads to this owner and no other.
fn exact(observer: &Observer, manager: Manager, unit: &UnitName, members: &Members) -> String {
    match (manager, members.matched.first()) {
        // A part of a scope of others is reached by its own pid only.
        (_, Some(pid)) if unit.kind() == UnitKind::Scope && !members.includes_main => format!("pid:{pid}"),
        (Manager::User(uid), Some(pid)) if uid != observer.caller().uid => format!("pid:{pid}"),
        (Manager::System, _) => format!("unit:{unit}"),
        (Manager::User(_), _) => format!("user-unit:{unit}"),
    }
}

/// As whom a unit runs that has no process now.
fn user_of(manager: Manager, facts: Option<&UnitFacts>) -> Option<String> {
    match manager {
        Manager::User(uid) => Some(user_name(uid)),
        Manager::System => facts.map(|f| if f.user.is_empty() { "root".to_owned() } else { f.user.clone() }),
    }
}

/// Waits for everything that somebody was or is asked for, at once: the manager, the service
/// itself, sudo.
async fn gather(
    observer: &Observer,
    client: Option<&systemd::Manager>,
    manager: Manager,
    asking: Asking,
    owner: &mut OwnerFacts,
    want: &Want,
) {
    let verdicts = async {
        let (client, facts) = client.zip(owner.unit.as_ref())?;
        let answers = async {
            let mut answers = asking.answers(facts).await;
            if manager == Manager::System {
                helper::complete(observer, facts, &mut answers).await;
            }
            answers
        };
        Some(tokio::join!(answers, units::active_triggers(client, facts)))
    };
    let unit = owner.owner.unit().map(|(_, unit)| unit);
    let sudo = async {
        match unit {
            Some(unit) => sudo::allowed(observer, manager, unit, want).await,
            None => None,
        }
    };
    let (verdicts, availability, sudo, said) =
        tokio::join!(verdicts, observer.availability(owner, want), sudo, helper::ask(observer, owner, want));
    owner.availability = availability;
    helper::keep(owner, said);
    owner.sudo = sudo;
    if let (Some((answers, triggers)), Some(facts)) = (verdicts, owner.unit.as_mut()) {
        facts.answers = answers;
        facts.active_triggers = triggers;
    }
}
