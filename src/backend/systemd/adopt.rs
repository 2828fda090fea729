//! What an earlier daemon started, and what carries our mark.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use zbus::Variant;

use super::life::Phase;
use super::unit::{INSTANCE, PREFIX, name_of};
use super::units::Unit;
use super::{Shared, io_error};
use crate::backend::{Adoption, Marked};
use crate::gather::Gather as _;
use crate::join::join_all;
use crate::model::service::{Exit, ServiceState};
use crate::model::{ServiceId, UnitName};
use crate::registry::Record;
use crate::systemd::CallError;

impl Shared {
    pub(super) async fn adopt(self: &Rc<Self>, record: &Record, run: u64) -> io::Result<Adoption> {
        let unit = self.units.of(&record.id)?;
        let found = self.look(&unit, run).await;
        let found = found.map_err(|error| io_error("looking for", unit.name.as_str(), &error))?;
        if !found {
            self.units.forget(&unit);
            return Ok(self.gone(record));
        }
        // One that another unit names stays loaded after its stop.
        let stopped = {
            let life = unit.life.borrow();
            life.status.active == "inactive" && life.status.job == 0
        };
        let never = record.state == ServiceState::Starting && {
            let life = unit.life.borrow();
            record.invocation.as_ref().is_some_and(|before| *before == life.status.invocation)
        };
        let (status, told) = {
            let mut life = unit.life.borrow_mut();
            let status = life.status.clone();
            life.runs();
            // A job that is there now is what an earlier daemon asked for.
            life.job = status.job;
            let told = if status.has_ended() { Vec::new() } else { life.judge() };
            if status.has_ended() {
                life.phase = Phase::Over;
            }
            (status, told)
        };
        if stopped && !never {
            return Ok(self.gone(record));
        }
        if status.has_ended() {
            return Ok(if never { Adoption::NeverStarted } else { Adoption::Ended(status.exit()) });
        }
        self.hold(&unit);
        let placed = Self::placed(&unit);
        self.tell(&unit, told);
        Ok(Adoption::Running(placed))
    }

    /// Whether there is a unit of ours of this name; it is read then.
    pub(super) async fn look(self: &Rc<Self>, unit: &Rc<Unit>, run: u64) -> Result<bool, CallError> {
        let name = &unit.name;
        if !self.is_ours(name).await? {
            return Ok(false);
        }
        let kind = self.link.ask(async |manager| manager.service_property(name, "Type").await).await?;
        let notify = <&str>::try_from(&kind).is_ok_and(|kind| kind == "notify");
        if notify {
            self.reference(unit).await?;
        }
        let change = self.read(unit).await?;
        let mut life = unit.life.borrow_mut();
        life.run = run;
        life.status.apply(change);
        life.notify = notify;
        Ok(true)
    }

    /// A unit that ended by itself stays loaded. One that is not there was never made, or was
    /// stopped by somebody, or its manager has ended since.
    fn gone(&self, record: &Record) -> Adoption {
        match record.state {
            ServiceState::Starting => return Adoption::NeverStarted,
            ServiceState::Running => {}
            _ => return Adoption::Ended(Exit::Unknown),
        }
        let started = record.started_at.as_deref().and_then(|at| humantime::parse_rfc3339(at).ok());
        let started = started.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        match started {
            Some(started) if started.as_micros() > u128::from(self.manager_since) => Adoption::StoppedByOthers,
            _ => Adoption::Ended(Exit::Unknown),
        }
    }

    /// Whether a unit is loaded and carries our mark.
    pub(super) async fn is_ours(&self, unit: &UnitName) -> Result<bool, CallError> {
        Ok(self.mark_of(unit).await?.as_deref() == Some(&self.options.instance))
    }

    /// The instance that a unit says it belongs to; one that is not loaded says nothing.
    pub(super) async fn mark_of(&self, unit: &UnitName) -> Result<Option<String>, CallError> {
        let read = self.link.ask(async |manager| manager.service_property(unit, "Environment").await).await?;
        let Variant::Array(variables) = &*read else { return Ok(None) };
        let of_mark =
            |v: &Variant<'_>| Some(<&str>::try_from(v).ok()?.strip_prefix(INSTANCE)?.strip_prefix('=')?.to_owned());
        Ok(variables.iter().find_map(of_mark))
    }

    pub(super) async fn marked(&self) -> io::Result<Vec<Marked>> {
        let pattern = format!("{PREFIX}*.service");
        let listed = self.link.ask(async |manager| manager.list(&[], &[&pattern]).await).await;
        let listed = listed.map_err(|error| io_error("listing", &pattern, &error))?;
        let names: BTreeSet<UnitName> = listed.into_iter().map(|unit| unit.name).gather();
        let marked = join_all(names.iter().map(|name| self.marked_unit(name))).await;
        Ok(marked.into_iter().flatten().collect())
    }

    async fn marked_unit(&self, name: &UnitName) -> Option<Marked> {
        let id: ServiceId = name.stem().strip_prefix(PREFIX)?.parse().ok()?;
        if name_of(&id).ok()? != *name || self.mark_of(name).await.ok()?.as_deref() != Some(&self.options.instance) {
            return None;
        }
        let identify = |pid: u32| self.proc.identify(pid).ok().map(|(identity, _)| identity);
        let processes: Vec<_> = self.processes(&id).into_iter().filter_map(identify).collect();
        (!processes.is_empty()).then(|| Marked { id, processes, unit: Some(name.to_string()) })
    }
}
