//! A service that provost supervises, as an owner.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::observer::{Observer, Want};
use super::super::{tree, user_name};
use super::trees::of_tree;
use super::unit::unit_owner;
use crate::control::Control;
use crate::model::service::{ServiceReport, ServiceState};
use crate::model::{Action, Instance, Manager, Owner, OwnerFacts, SaidBy, ServiceFacts, ServiceId, UnitName, Verdict};
use crate::supervise::order::Order;

/// How long the system's daemon may take to say what the caller may do.
const PATIENCE: Duration = Duration::from_secs(5);

/// The service with its processes. `matched`: those that led to it; `None` if it was named itself.
pub(super) async fn supervised_service(
    observer: &Observer,
    mut service: ServiceFacts,
    matched: Option<Vec<u32>>,
    want: &Want,
) -> OwnerFacts {
    if service.system && !observer.caller().is_root() {
        service.verdicts = verdicts(observer, &service, want).await;
    }
    if want.like.as_ref().is_some_and(|request| request.action == Action::Stop) {
        service.later = later(&service).await;
    }
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
            let uid = if service.system { 0 } else { observer.caller().uid };
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

/// What would be stopped before it, as its daemon does that.
async fn later(service: &ServiceFacts) -> Vec<ServiceId> {
    if service.said_by != SaidBy::Daemon {
        return Vec::new();
    }
    let instance = if service.system { Instance::System } else { Instance::User };
    let Ok(Some(control)) = Control::connect(instance).await else { return Vec::new() };
    match control.list(&[], None, false).await {
        Ok(all) => running_after(&service.report.id, &all),
        Err(error) => {
            tracing::info!("what comes after {}: {error}", service.report.id);
            Vec::new()
        }
    }
}

fn running_after(id: &ServiceId, all: &[ServiceReport]) -> Vec<ServiceId> {
    let mut order = Order::default();
    for report in all {
        order.set(&report.id, &report.after, report.instance_of.as_ref());
    }
    let later = order.with_later([id.clone()]);
    let runs = |report: &&ServiceReport| report.state.is_alive() || report.state == ServiceState::Restarting;
    let others = all.iter().filter(|report| report.id != *id && later.contains(&report.id));
    others.filter(runs).map(|report| report.id.clone()).collect()
}

/// What the system's daemon says that the caller may do with its service.
async fn verdicts(observer: &Observer, service: &ServiceFacts, want: &Want) -> BTreeMap<Action, Verdict> {
    if want.actions.is_empty() {
        return BTreeMap::new();
    }
    let asked = async {
        let manager = observer.bus().system().await.ok()?;
        let control = Control::on_bus(manager.connection()).await.ok().flatten()?;
        let verdicts = control.explain(&service.report.id, &want.actions).await;
        verdicts.map_err(|error| tracing::info!("the system's daemon: {error}")).ok()
    };
    // polkit may be slow; what is not known is asked when it is done.
    tokio::time::timeout(PATIENCE, asked).await.ok().flatten().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_and_comes_after_it_is_found_through_what_is_between() {
        let report = |id: &str, state: &str, after: &[&str]| -> ServiceReport {
            let fields = serde_json::json!({
                "id": id, "state": state, "ready": true, "desired": "up", "enabled": true, "health": "ok",
                "restarts": 0, "failures": 0, "after": after,
            });
            serde_json::from_value(fields).unwrap()
        };
        let mut all = [
            report("base", "running", &[]),
            report("mid", "running", &["base"]),
            report("top", "restarting", &["mid"]),
            report("idle", "stopped", &["base"]),
            report("other", "running", &[]),
        ];
        let later = |all: &[ServiceReport], id: &str| -> Vec<String> {
            running_after(&id.parse().unwrap(), all).iter().map(ToString::to_string).collect()
        };
        assert_eq!((later(&all, "base"), later(&all, "mid")), (vec!["mid".into(), "top".into()], vec!["top".into()]));
        assert!(later(&all, "top").is_empty());
        // One of instances, by their common name.
        all[0].id = "base-1".parse().unwrap();
        all[0].instance_of = Some("base".parse().unwrap());
        assert_eq!(later(&all, "base-1"), ["mid", "top"]);
    }
}
