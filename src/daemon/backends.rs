//! Which ways to run services there are here.

use std::rc::Rc;

use super::output::{Captured, Logged, log_match};
use crate::act::ActError;
use crate::backend::Reports;
use crate::backend::direct::Direct;
use crate::backend::sim::{Sim, World};
use crate::backend::systemd::{self, Scope, Systemd};
use crate::error::Error;
use crate::logs::capture::Capture;
use crate::model::service::{BackendChoice, BackendKind};
use crate::model::{Instance, Manager};
use crate::paths::Places;
use crate::supervise::run::{Backends, LogMatch};

/// What services are run by, and how a line of their output is waited for.
pub(super) struct Made {
    pub(super) backends: Backends,
    pub(super) log_match: Option<LogMatch>,
}

/// All that can be had, whichever is usual: what was started in a backend stays in it.
///
/// # Errors
/// Why there is not the one that was asked for.
pub(super) async fn make(
    places: &Places,
    choice: BackendChoice,
    instance_id: &str,
    reports: &Reports,
) -> Result<Made, Error> {
    let mut backends = Backends::default();
    if choice == BackendChoice::Sim {
        return Ok(Made { backends: backends.with(Sim::new(World::default(), reports.clone())), log_match: None });
    }
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| Error::Io { what, source }
    };
    places.make_runtime().map_err(io("the runtime folder cannot be used"))?;
    let capture = Rc::new(Capture::new(places).map_err(io("output cannot be captured"))?);
    // Where PID 1 is systemd, services of the system are its units and nothing else.
    let units_only = places.instance == Instance::System && crate::observe::is_booted_by_systemd();
    if units_only && choice == BackendChoice::Direct {
        let why = "where systemd runs, services of the system are its units: --backend direct is for --user";
        return Err(Error::Act(ActError::Failed(why.to_owned())));
    }
    match units(places, instance_id, reports, &capture).await {
        Ok(units) => backends = backends.with(units),
        Err(error) if units_only || choice == BackendChoice::Systemd => {
            return Err(Error::Unreachable(format!("the manager that is to run services: {error}")));
        }
        Err(error) => {
            tracing::info!("no manager to run services: {error}");
            if places.instance == Instance::User && systemd::has_ended(places.uid) {
                backends = backends.without(BackendKind::Systemd);
            }
        }
    }
    if !units_only {
        let output = Box::new(Captured(Rc::clone(&capture)));
        let direct = Direct::new(places, instance_id, output, reports.clone());
        match direct {
            Ok(direct) => backends = backends.with(direct),
            Err(error) if backends.usual().is_none() => {
                let why = format!("there is no way to run services here: {error}");
                return Err(Error::Act(ActError::Failed(why)));
            }
            Err(error) => tracing::warn!("no children of the daemon: {error}"),
        }
    }
    Ok(Made { backends, log_match: Some(log_match(capture)) })
}

async fn units(
    places: &Places,
    instance_id: &str,
    reports: &Reports,
    capture: &Rc<Capture>,
) -> Result<Logged, crate::systemd::CallError> {
    let (scope, manager) = match places.instance {
        Instance::System => (Scope::System, Manager::System),
        Instance::User => (Scope::User(places.uid), Manager::User(places.uid)),
    };
    let open = Rc::clone(capture);
    let units = Systemd::connect(systemd::Options {
        scope,
        instance: instance_id.to_owned(),
        runtime_dir: crate::observe::env("XDG_RUNTIME_DIR"),
        env_dir: places.runtime.join("env"),
        capture: Some(Box::new(move |id| super::output::open(&open, id))),
        reports: reports.clone(),
    })
    .await?;
    Ok(Logged::new(units, Rc::clone(capture), manager))
}
