//! The services that provost supervises, as far as they are targets of other verbs: from the daemon
//! where one runs, from the registry where none does, and from the config that counts here.

use std::collections::BTreeMap;

use super::Units;
use super::cgroup::Place;
use super::observer::Observer;
use crate::control::Control;
use crate::error::Error;
use crate::model::Instance;
use crate::model::{Process, SaidBy, ServiceFacts, ServiceId};
use crate::services;

/// Those whose id matches.
///
/// # Errors
/// No daemon runs, and the registry cannot be read.
pub(super) async fn matching(observer: &Observer, id: &ServiceId) -> Result<Vec<ServiceFacts>, Error> {
    let mut all = known(observer, std::slice::from_ref(id)).await?;
    all.retain(|service| services::means(id, &service.report));
    if all.is_empty() || id.is_glob() {
        let described = described(observer);
        let new = described.into_iter().filter(|service| services::means(id, &service.report));
        let mut new: Vec<ServiceFacts> =
            new.filter(|service| all.iter().all(|known| known.report.id != service.report.id)).collect();
        let mut reports: Vec<_> = new.iter_mut().map(|service| &mut service.report).collect();
        services::add_unrecorded(observer, &mut reports).await;
        all.extend(new);
    }
    // The caller's own come first.
    if all.is_empty() {
        all = of_system(observer, std::slice::from_ref(id)).await;
        all.retain(|service| services::means(id, &service.report));
    }
    Ok(all)
}

/// All that the daemon or the registry knows.
pub(super) async fn all(observer: &Observer) -> Vec<ServiceFacts> {
    let mut all = known(observer, &[]).await.unwrap_or_else(|error| {
        tracing::warn!("of services nothing is known: {error}");
        Vec::new()
    });
    all.extend(of_system(observer, &[]).await);
    all
}

/// The ids that there are, of those that were never started too.
pub(super) async fn ids(observer: &Observer) -> Vec<String> {
    let known = self::all(observer).await.into_iter().chain(described(observer));
    known.map(|service| service.report.id.to_string()).collect()
}

/// What the daemon or the registry knows; all of it if no id is given.
async fn known(observer: &Observer, ids: &[ServiceId]) -> Result<Vec<ServiceFacts>, Error> {
    let instance = services::instance_of(observer.units(), observer.caller().uid);
    of_instance(observer, instance, ids).await
}

/// The services of the system's instance, for who means their own first, as far as its daemon runs.
async fn of_system(observer: &Observer, ids: &[ServiceId]) -> Vec<ServiceFacts> {
    if observer.units() != Units::Both || observer.caller().is_root() {
        return Vec::new();
    }
    let Ok(manager) = observer.bus().system().await else { return Vec::new() };
    let listed = match Control::on_bus(manager.connection()).await {
        Ok(Some(control)) => control.list(ids, None, false).await,
        Ok(None) => return Vec::new(),
        Err(error) => Err(error),
    };
    let with = |report| ServiceFacts {
        report,
        said_by: SaidBy::Daemon,
        system: true,
        verdicts: BTreeMap::new(),
        later: Vec::new(),
    };
    match listed {
        Ok(reports) => reports.into_iter().map(with).collect(),
        Err(Error::NotFound { .. }) => Vec::new(),
        Err(error) => {
            tracing::info!("the system's daemon: {error}");
            Vec::new()
        }
    }
}

async fn of_instance(observer: &Observer, instance: Instance, ids: &[ServiceId]) -> Result<Vec<ServiceFacts>, Error> {
    let caller = observer.caller();
    let system = instance == Instance::System;
    let with =
        |said_by| move |report| ServiceFacts { report, said_by, system, verdicts: BTreeMap::new(), later: Vec::new() };
    let mut said_by = SaidBy::Registry;
    match Control::connect(instance).await {
        Ok(Some(control)) => match control.list(ids, None, false).await {
            Ok(reports) => return Ok(reports.into_iter().map(with(SaidBy::Daemon)).collect()),
            Err(Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => tracing::info!("the daemon: {error}"),
        },
        Ok(None) => {}
        Err(error) => {
            tracing::info!("the daemon: {error}");
            said_by = SaidBy::Silent;
        }
    }
    // The registry of the system is not for others to read.
    if system && !caller.is_root() {
        return Ok(Vec::new());
    }
    Ok(services::offline_reports(observer).await?.into_iter().map(with(said_by)).collect())
}

/// What the config that counts here describes. One that is invalid describes nothing here: the
/// verbs that need it say what is wrong.
fn described(observer: &Observer) -> Vec<ServiceFacts> {
    let uid = observer.caller().uid;
    let instance = services::instance_of(observer.units(), uid);
    let choice = services::Choice { named: None, instance, uid };
    let project = services::choose(choice).and_then(|path| path.map(|path| services::load(&path, choice)).transpose());
    let project = match project {
        Ok(project) => project,
        Err(error) => {
            tracing::info!("{error}");
            None
        }
    };
    let system = instance == Instance::System;
    let specs = project.into_iter().flat_map(|project| project.services);
    specs
        .map(|spec| ServiceFacts {
            report: services::of_spec(&spec),
            said_by: SaidBy::Config,
            system,
            verdicts: BTreeMap::new(),
            later: Vec::new(),
        })
        .collect()
}

/// A service with what tells its processes apart.
pub(super) struct Running {
    pub(super) facts: ServiceFacts,
}

/// The services that run, each with an empty list for the processes of it that are found.
pub(super) async fn by_process(observer: &Observer) -> Vec<(Running, Vec<u32>)> {
    let running = self::all(observer).await.into_iter().filter(|service| service.report.state.is_alive());
    running.map(|facts| (Running { facts }, Vec::new())).collect()
}

impl Running {
    /// Whether a process is one of the service's: in its unit, its main process, or below that.
    pub(super) fn has(&self, observer: &Observer, process: &Process, place: &Place) -> bool {
        let report = &self.facts.report;
        let of_unit = match (place, &report.unit) {
            (Place::SystemUnit { unit, .. }, Some(own)) => self.facts.system && unit.as_str() == own,
            (Place::UserUnit { uid, unit, .. }, Some(own)) => {
                !self.facts.system && *uid == observer.caller().uid && unit.as_str() == own
            }
            _ => false,
        };
        of_unit || report.pid.is_some_and(|main| is_below(observer, process, main))
    }
}

fn is_below(observer: &Observer, process: &Process, main: u32) -> bool {
    let (mut at, mut next) = (process.pid(), Some(process.ppid));
    // A tree is never so deep; what turns in a circle was read while pids changed hands.
    for _ in 0..256 {
        if at == main {
            return true;
        }
        let Some(parent) = next.filter(|pid| *pid > 1) else { return false };
        at = parent;
        next = observer.proc().stat(parent).ok().map(|stat| stat.ppid);
    }
    false
}
