//! What the manager says of a unit when it is asked.

use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::units::Unit;
use crate::join::join_all;
use crate::model::{ServiceId, UnitName};
use crate::systemd::{CallError, UnitChange};

/// A property, and whether it is of the interface of services.
type Property = (&'static str, bool);

/// All that is of interest. The main process comes first: when the manager says that there is none,
/// what it says afterwards is of its end.
const ALL: [Property; 13] = [
    ("MainPID", true),
    ("ExecMainCode", true),
    ("ExecMainStatus", true),
    ("ExecMainStartTimestampMonotonic", true),
    ("ExecMainExitTimestampMonotonic", true),
    ("RuntimeMaxUSec", true),
    ("StatusText", true),
    ("Result", true),
    ("ActiveState", false),
    ("SubState", false),
    ("ActiveExitTimestampMonotonic", false),
    ("Job", false),
    ("InvocationID", false),
];
/// How a main process ended, which its command tells in one answer, and that its unit was not being
/// stopped before.
const END: [Property; 2] = [("ExecStart", true), ALL[10]];
/// What is not known of a unit whose start is done.
const BEGUN: [Property; 2] = [ALL[0], ALL[12]];

/// How often a unit is read again until that says the same.
const AGAIN: usize = 8;

impl Shared {
    /// All of it; of a unit that is not loaded, that it is inactive.
    pub(super) async fn read(&self, unit: &Unit) -> Result<UnitChange, CallError> {
        self.get(unit, &ALL).await
    }

    /// All of it, as it was at one moment: one property is asked for after the other, and meanwhile a
    /// unit that somebody restarts has become another.
    pub(super) async fn read_whole(&self, unit: &Unit) -> Result<UnitChange, CallError> {
        let mut before = self.read(unit).await?;
        for _ in 0..AGAIN {
            let now = self.read(unit).await?;
            if now == before {
                break;
            }
            before = now;
        }
        Ok(before)
    }

    /// What became of a unit whose main process has ended.
    ///
    /// Nearly always it ended by itself: its unit became active once, and failed after that end, or
    /// is active still after a clean one. Only if it is not so, all is read.
    pub(super) async fn read_end(&self, unit: &Unit) -> Result<UnitChange, CallError> {
        if !unit.life.borrow().notify {
            let change = self.get(unit, &END).await?;
            let (ended, left) = (change.ended.unwrap_or_default(), change.left.unwrap_or_default());
            if ended != 0 && (left == 0 || left >= ended) {
                let active = if left == 0 { "active" } else { "failed" };
                return Ok(UnitChange { main_pid: Some(0), job: Some(0), active: Some(active.to_owned()), ..change });
            }
        }
        self.read_whole(unit).await
    }

    /// What became of a unit whose job is done: of its main process, or of the end of that.
    pub(super) async fn read_begun(&self, unit: &Unit) -> Result<UnitChange, CallError> {
        // The manager is busy with the next starts: what can be seen without it is not asked.
        let shown = self.shown_invocation(&unit.name).filter(|shown| *shown != unit.life.borrow().invocation);
        let mut change = self.get(unit, &BEGUN[..if shown.is_some() { 1 } else { 2 }]).await?;
        change.invocation = shown.or(change.invocation);
        match change.main_pid {
            Some(0) | None => self.read(unit).await,
            Some(_) => Ok(UnitChange { active: Some("active".to_owned()), job: Some(0), code: Some(0), ..change }),
        }
    }

    /// When a unit last said WATCHDOG=1, as its manager remembers.
    pub(super) async fn beat(&self, id: &ServiceId) -> Option<Instant> {
        let unit = self.units.get(id)?;
        let read =
            self.link.call(1, async |manager| manager.service_property(&unit.name, "WatchdogTimestampMonotonic").await);
        let at = u64::try_from(&read.await.ok()?).ok().filter(|at| *at > 0)?;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0));
        Instant::now().checked_sub(now.saturating_sub(Duration::from_micros(at)))
    }

    /// The invocation of a unit that runs, as its manager shows it to the journal: where only it, or
    /// the user whose manager it is, may write.
    fn shown_invocation(&self, name: &UnitName) -> Option<String> {
        let link = std::fs::read_link(self.units_dir.join(format!("invocation:{name}"))).ok()?;
        let id = link.into_os_string().into_string().ok()?;
        (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
    }

    async fn get(&self, unit: &Unit, properties: &[Property]) -> Result<UnitChange, CallError> {
        let calls = u32::try_from(properties.len()).unwrap_or(u32::MAX);
        let name = &unit.name;
        self.link
            .call(calls, async |manager| {
                let one = async |(property, of_service): Property| match of_service {
                    true => manager.service_property(name, property).await,
                    false => manager.unit_property(name, property).await,
                };
                let values = join_all(properties.iter().map(|property| one(*property))).await;
                let mut change = UnitChange::default();
                for ((property, _), value) in properties.iter().zip(values) {
                    change.set(property, &*value?);
                }
                Ok(change)
            })
            .await
    }
}
