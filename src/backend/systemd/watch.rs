//! The signals of the manager, read at all times; and what was missed while there were none.

use std::rc::Rc;

use super::Shared;
use super::life::{Phase, Told};
use super::units::Unit;
use crate::backend::{Happened, What};
use crate::systemd::{CallError, News, Signals, UnitChange};

/// Reads for ever. Waits for nothing but the next signal, or for a new connection.
pub(super) async fn watch(shared: Rc<Shared>, mut signals: Signals) {
    loop {
        match signals.next().await {
            News::Unit { path, change } => {
                if let Some(unit) = shared.units.by_path(&path) {
                    shared.changed(&unit, change);
                }
            }
            News::JobRemoved { job, unit, result } => {
                let found = unit
                    .parse()
                    .ok()
                    .and_then(|name: crate::model::UnitName| shared.units.by_path(&name.object_path()));
                if let Some(unit) = found {
                    unit.life.borrow_mut().ended_jobs.push((job, result));
                    unit.news.notify_waiters();
                }
            }
            News::ManagerBack => {
                tracing::info!("the manager executed itself anew");
                shared.read_all_again();
            }
            News::Lost => {
                tracing::warn!("the connection to the manager broke");
                for unit in shared.units.all() {
                    let mut life = unit.life.borrow_mut();
                    life.breaks += 1;
                    life.references = 0;
                    drop(life);
                    unit.news.notify_waiters();
                }
                signals = shared.link.reconnect().await;
                tracing::info!("connected to the manager again");
                shared.read_all_again();
            }
        }
    }
}

impl Shared {
    /// Takes a change of a unit, and tells what it means.
    pub(super) fn changed(self: &Rc<Self>, unit: &Rc<Unit>, change: UnitChange) {
        tracing::trace!(unit = %unit.name, ?change);
        let told = unit.life.borrow_mut().on_change(change);
        self.tell(unit, told);
        unit.news.notify_waiters();
    }

    /// Tells the supervisor.
    pub(super) fn tell(self: &Rc<Self>, unit: &Rc<Unit>, told: Vec<Told>) {
        let run = unit.life.borrow().run;
        for told in told {
            match told {
                Told::What(what) => self.report(unit, run, what),
                Told::Started(_) => self.report(unit, run, What::StartedByOthers(self.placed(unit))),
                Told::Stopped => {
                    let (shared, unit) = (Rc::clone(self), Rc::clone(unit));
                    tokio::task::spawn_local(async move {
                        // At a shutdown every unit is stopped, and none by somebody's wish.
                        if !shared.manager_is_ending().await {
                            shared.report(&unit, run, What::StoppedByOthers);
                        }
                    });
                }
            }
        }
    }

    fn report(&self, unit: &Unit, run: u64, what: What) {
        let _nobody_listens = self.options.reports.send(Happened { id: unit.id.clone(), run, what });
    }

    async fn manager_is_ending(&self) -> bool {
        let state = self.link.ask(async |manager| manager.property("SystemState").await).await;
        match state {
            Ok(state) => <&str>::try_from(&state).is_ok_and(|state| state == "stopping"),
            // A manager that is gone has ended.
            Err(error) => error.is_unreachable(),
        }
    }

    /// Reads every unit, because signals were lost.
    fn read_all_again(self: &Rc<Self>) {
        for unit in self.units.all() {
            let shared = Rc::clone(self);
            tokio::task::spawn_local(async move {
                if let Err(error) = shared.read_again(&unit).await {
                    tracing::warn!(unit = %unit.name, %error, "cannot be read again");
                }
            });
        }
    }

    async fn read_again(self: &Rc<Self>, unit: &Rc<Unit>) -> Result<(), CallError> {
        if unit.life.borrow().phase == Phase::Starting {
            return self.find_start(unit).await;
        }
        if unit.life.borrow().references == 0 {
            self.reference(unit).await?;
        }
        loop {
            let version = unit.life.borrow().version;
            let change = self.read(unit).await?;
            // A signal that came meanwhile may be newer than what was read.
            if unit.life.borrow().version == version {
                self.changed(unit, change);
                return Ok(());
            }
        }
    }

    /// The end of the job of our start may be among what was lost.
    async fn find_start(&self, unit: &Unit) -> Result<(), CallError> {
        let job = unit.life.borrow().job;
        let change = self.read(unit).await?;
        let mut life = unit.life.borrow_mut();
        if job != 0 && job == life.job && change.job != Some(job) {
            life.status.apply(change);
            let result = if life.status.is_up() { "done" } else { "failed" };
            life.ended_jobs.push((job, result.to_owned()));
            drop(life);
            unit.news.notify_waiters();
        }
        Ok(())
    }

    /// Holds a unit, so that it stays loaded and its changes are told. `false`: it is not loaded.
    pub(super) async fn reference(&self, unit: &Unit) -> Result<bool, CallError> {
        let name = &unit.name;
        match self.link.ask(async |manager| manager.reference(name).await).await {
            Ok(()) => {
                unit.life.borrow_mut().references += 1;
                Ok(true)
            }
            Err(error) if error.short_name() == "NoSuchUnit" => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the manager says of a unit now; of one that is not loaded, that it is inactive.
    pub(super) async fn read(&self, unit: &Unit) -> Result<UnitChange, CallError> {
        const OF_UNIT: [&str; 4] = ["ActiveState", "SubState", "Job", "InvocationID"];
        const OF_SERVICE: [&str; 5] = ["MainPID", "ExecMainCode", "ExecMainStatus", "StatusText", "Result"];
        let calls = u32::try_from(OF_UNIT.len() + OF_SERVICE.len()).unwrap_or(u32::MAX);
        let name = &unit.name;
        self.link
            .call(calls, async |manager| {
                let of_unit = crate::join::join_all(OF_UNIT.map(|property| manager.unit_property(name, property)));
                let of_service =
                    crate::join::join_all(OF_SERVICE.map(|property| manager.service_property(name, property)));
                let (of_unit, of_service) = tokio::join!(of_unit, of_service);
                let mut change = UnitChange::default();
                for (property, value) in OF_UNIT.iter().chain(&OF_SERVICE).zip(of_unit.into_iter().chain(of_service)) {
                    change.set(property, &*value?);
                }
                Ok(change)
            })
            .await
    }
}
