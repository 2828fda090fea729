//! References: a manager tells the changes of a unit to whoever holds one, all properties each time,
//! and to others of that bus as well. So only what cannot be seen otherwise is worth one: what a
//! service says of itself, and that somebody starts what has ended.
//!
//! For each reference the manager adds a match rule to its connection, as for each job until it is
//! done, and a system bus (dbus-daemon) allows 512 of them: with more, PID 1 loses its bus, and
//! everybody on the host their calls (seen on 252). So there are limits that stay below that
//! together, for starts, stops, commands and services that are not ready, too; and everything works without a
//! reference.

use std::rc::Rc;
use std::time::Duration;

use super::Shared;
use super::life::Phase;
use super::units::Unit;
use crate::systemd::CallError;
use crate::tasks::AbortOnDrop;

/// How many units are referenced at most.
pub(super) const LIMIT: u32 = 100;
/// What is started again sooner is not referenced meanwhile.
const RESTING: Duration = Duration::from_secs(1);

impl Shared {
    /// Whether there is room for another reference.
    pub(super) fn may_reference(&self) -> bool {
        self.references.get() < LIMIT
    }

    /// A unit was referenced, or is not any more.
    pub(super) fn count_references(&self, unit: &Unit, now: u32) {
        let mut life = unit.life.borrow_mut();
        let all = (self.references.get() + now).saturating_sub(life.references);
        self.references.set(all);
        life.references = now;
        if now == 0 {
            unit.follower.take();
        }
    }

    /// Reads what the manager tells of a unit from now on, as it does of those that are referenced.
    pub(super) async fn follow(self: &Rc<Self>, unit: &Rc<Unit>) -> Result<(), CallError> {
        if unit.follower.borrow().is_some() {
            return Ok(());
        }
        let mut signals = self.link.listen(&unit.name).await?;
        let (shared, of) = (Rc::clone(self), Rc::clone(unit));
        let follower = crate::tasks::spawn_local(async move {
            while let Some(change) = signals.next().await {
                shared.changed(&of, change);
            }
        });
        unit.follower.replace(Some(AbortOnDrop(follower)));
        Ok(())
    }

    /// Has the changes of a unit told, if there is room for another reference.
    pub(super) async fn reference(self: &Rc<Self>, unit: &Rc<Unit>) -> Result<(), CallError> {
        if unit.life.borrow().references > 0 || !self.may_reference() {
            return Ok(());
        }
        // Counted before the call: others are asked at the same time.
        self.count_references(unit, 1);
        let name = &unit.name;
        let referenced = match self.follow(unit).await {
            Ok(()) => self.link.ask(async |manager| manager.reference(name).await).await,
            not => not,
        };
        if referenced.is_err() {
            self.count_references(unit, 0);
        }
        match referenced {
            Err(error) if error.short_name() == "NoSuchUnit" => Ok(()),
            other => other,
        }
    }

    /// A run has ended. If it is not started again at once, somebody may start its unit.
    pub(super) fn rests(self: &Rc<Self>, unit: &Rc<Unit>, run: u64) {
        let (shared, unit) = (Rc::clone(self), Rc::clone(unit));
        crate::tasks::spawn_local(async move {
            tokio::time::sleep(RESTING).await;
            let rests = || {
                let life = unit.life.borrow();
                life.phase == Phase::Over && life.run == run && !life.stopping && shared.units.has(&unit)
            };
            if !rests() {
                return;
            }
            let seen = async {
                shared.reference(&unit).await?;
                let version = unit.life.borrow().version;
                let change = shared.read(&unit).await?;
                if rests() && unit.life.borrow().version == version {
                    shared.changed(&unit, change);
                }
                Ok::<_, CallError>(())
            };
            if let Err(error) = seen.await {
                tracing::debug!(unit = %unit.name, %error, "is not watched while it rests");
            }
        });
    }
}
