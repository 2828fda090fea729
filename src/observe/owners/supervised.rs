//! A service that provost supervises, as an owner.

use super::super::observer::{Observer, Want};
use super::super::{tree, user_name};
use super::trees::of_tree;
use super::unit::unit_owner;
use crate::model::{Manager, Owner, OwnerFacts, ServiceFacts, UnitName};

/// The service with its processes. `matched`: those that led to it; `None` if it was named itself.
pub(super) async fn supervised_service(
    observer: &Observer,
    service: ServiceFacts,
    matched: Option<Vec<u32>>,
    want: &Want,
) -> OwnerFacts {
    let report = &service.report;
    let owner = Owner::OwnService { id: report.id.to_string() };
    let exact = format!("service:{}", report.id);
    let alive = report.state.is_alive();
    let unit = report.unit.as_deref().filter(|_| alive).and_then(|unit| unit.parse::<UnitName>().ok());
    let mut facts = match (unit, report.pid.filter(|_| alive)) {
        (Some(unit), _) => {
            let uid = observer.caller().uid;
            let manager = if service.system || uid == 0 { Manager::System } else { Manager::User(uid) };
            // Nobody needs to ask the manager: the daemon acts.
            let quiet = Want { actions: Vec::new(), sudo: false, ..want.clone() };
            OwnerFacts { owner, exact, ..unit_owner(observer, manager, &unit, None, None, &quiet).await }
        }
        (None, Some(pid)) => {
            let tree = tree::of(observer.proc(), &[pid]);
            of_tree(observer, owner, exact, pid, vec![pid], tree, want).await
        }
        (None, None) => {
            let uid = observer.caller().uid;
            OwnerFacts { uid: Some(uid), user: Some(user_name(uid)), ..OwnerFacts::new(owner, exact) }
        }
    };
    facts.named = matched.is_none();
    if let Some(matched) = matched {
        facts.includes_main = report.pid.is_none_or(|main| matched.contains(&main));
        facts.tree = tree::of(observer.proc(), &matched);
        facts.matched = matched;
    }
    facts.notes.extend(report.warnings.iter().cloned());
    facts.service = Some(Box::new(service));
    facts
}
