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
            News::JobRemoved { job, unit, result } => {
                let found = unit
                    .parse()
                    .ok()
                    .and_then(|name: crate::model::UnitName| shared.units.by_path(&name.object_path()));
                if let Some(unit) = found {
                    shared.job_ended(&unit, job, result);
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
                    unit.unready.take();
                    unit.follower.take();
                    unit.news.notify_waiters();
                }
                shared.references.set(0);
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
        if unit.life.borrow().phase != Phase::Starting {
            self.hold(unit);
        }
        self.tell(unit, told);
        unit.news.notify_waiters();
    }

    fn job_ended(self: &Rc<Self>, unit: &Rc<Unit>, job: u32, result: String) {
        let of_start = {
            let mut life = unit.life.borrow_mut();
            life.job_ended(job, result);
            life.notify && life.phase == Phase::Running && life.job == job
        };
        unit.news.notify_waiters();
        // It said READY=1, or never will.
        if of_start {
            unit.unready.take();
            self.read_soon(unit);
        }
    }

    /// Tells the supervisor.
    pub(super) fn tell(self: &Rc<Self>, unit: &Rc<Unit>, told: Vec<Told>) {
        let run = unit.life.borrow().run;
        for told in told {
            match told {
                Told::What(what) => {
                    if let What::Exited(_) = what {
                        self.rests(unit, run);
                    }
                    self.report(unit, run, what);
                }
                Told::Started(_) => self.report(unit, run, What::StartedByOthers(Self::placed(unit))),
                Told::Stopped => {
                    let (shared, unit) = (Rc::clone(self), Rc::clone(unit));
                    crate::tasks::spawn_local(async move {
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
            self.read_soon(&unit);
        }
    }

    fn read_soon(self: &Rc<Self>, unit: &Rc<Unit>) {
        let (shared, unit) = (Rc::clone(self), Rc::clone(unit));
        crate::tasks::spawn_local(async move {
            if let Err(error) = shared.read_again(&unit).await {
                tracing::warn!(unit = %unit.name, %error, "cannot be read again");
            }
        });
    }

    pub(super) async fn read_again(self: &Rc<Self>, unit: &Rc<Unit>) -> Result<(), CallError> {
        if unit.life.borrow().phase == Phase::Starting {
            return self.find_start(unit).await;
        }
        let is_told = {
            let life = unit.life.borrow();
            life.notify || life.phase == Phase::Over && !life.stopping
        };
        if is_told {
            self.reference(unit).await?;
        }
        loop {
            let version = unit.life.borrow().version;
            let change = self.read_whole(unit).await?;
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
            life.job_ended(job, result.to_owned());
            drop(life);
            unit.news.notify_waiters();
        }
        Ok(())
    }
}
