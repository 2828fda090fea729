//! Services in memory: nothing is executed. For tests, and for `provost daemon --sim`.
//!
//! What a service does stands in its variable `PROVOST_SIM` (see [`Script`]). The [`World`] is the
//! host that outlives a backend: what was started in one can be adopted by the next.

mod script;
mod world;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use script::{Script, VARIABLE};
pub(crate) use world::World;

use super::{Adoption, AwaitRoom, Backend, Happened, Launch, Marked, Placed, Reports, Room, StartError, What};
use crate::model::service::{BackendKind, Containment, Exit};
use crate::model::{Identity, ServiceId, Signal, Whom};
use crate::registry::Record;

/// The backend; cheap to make.
#[derive(Debug)]
pub(crate) struct Sim {
    world: World,
    reports: Reports,
}

impl Sim {
    /// In this world; what happens is sent to `reports`.
    pub(crate) fn new(world: World, reports: Reports) -> Self {
        Self { world, reports }
    }

    /// What a run does by itself, later. A run that has ended meanwhile does nothing.
    fn later(&self, id: &ServiceId, pid: u32, after: Duration, exit: Option<Exit>) {
        let (world, id) = (self.world.clone(), id.clone());
        let act = move || match exit {
            Some(exit) => world.end(&id, pid, exit),
            None => world.tell(&id, pid, What::Ready),
        };
        if after.is_zero() {
            act();
        } else {
            crate::tasks::spawn_local(async move {
                tokio::time::sleep(after).await;
                act();
            });
        }
    }
}

fn placed(identity: Identity) -> Placed {
    Placed { identity: Some(identity), containment: Some(Containment::Cgroup), ..Placed::default() }
}

fn check(launch: &Launch) -> Result<(), StartError> {
    let permanent = |path: &Path, why: &str| Err(StartError::Permanent(format!("{}: {why}", path.display())));
    if !launch.cwd.is_dir() {
        return permanent(&launch.cwd, "there is no such folder");
    }
    if !launch.program.is_file() {
        return permanent(&launch.program, "there is no such program");
    }
    if rustix::fs::access(&launch.program, rustix::fs::Access::EXEC_OK).is_err() {
        return permanent(&launch.program, "you may not execute this file");
    }
    Ok(())
}

impl Backend for Sim {
    fn kind(&self) -> BackendKind {
        BackendKind::Sim
    }

    async fn start(
        &self,
        launch: &Launch,
        run: u64,
        record: &dyn Fn(&Placed) -> io::Result<()>,
    ) -> Result<Placed, StartError> {
        check(launch)?;
        let script = match self.world.next_script(&launch.id) {
            Some(script) => script,
            None => {
                Script::parse(launch.env.get(VARIABLE).map_or("", String::as_str)).map_err(StartError::Permanent)?
            }
        };
        if !script.slow.is_zero() {
            tokio::time::sleep(script.slow).await;
        }
        if let Some(why) = &script.fails {
            return Err(StartError::Transient(why.clone()));
        }
        let identity = self.world.new_identity();
        record(&placed(identity)).map_err(|e| StartError::Unwritable(format!("the record cannot be written: {e}")))?;
        let (end, ready) = (script.end, script.ready);
        let warnings = script.warns.iter().cloned().collect();
        self.world.add(&launch.id, identity, run, script, self.reports.clone());
        self.world.take_room(&launch.id, launch.room.clone());
        if let Some(after) = ready.filter(|_| launch.notify) {
            self.later(&launch.id, identity.pid, after, None);
        }
        if let Some((exit, after)) = end {
            self.later(&launch.id, identity.pid, after, Some(exit));
        }
        Ok(Placed { warnings, ..placed(identity) })
    }

    fn room(&self) -> Result<Room, AwaitRoom> {
        self.world.unready().map_or(Ok(None), |unready| super::room_of(&unready))
    }

    async fn signal(&self, id: &ServiceId, signal: Signal, _: Whom) -> io::Result<()> {
        self.world.signal(id, signal);
        Ok(())
    }

    async fn stop(&self, id: &ServiceId, signal: Signal) -> io::Result<()> {
        self.world.signal(id, signal);
        Ok(())
    }

    async fn clear(&self, id: &ServiceId) -> Result<(), String> {
        self.world.clear(id)
    }

    async fn adopt(&self, record: &Record, run: u64) -> io::Result<Adoption> {
        let Some(identity) = record.identity else { return Ok(Adoption::NeverStarted) };
        let runs = self.world.adopt(&record.id, identity, run, self.reports.clone());
        Ok(if runs { Adoption::Running(placed(identity)) } else { Adoption::Ended(Exit::Unknown) })
    }

    async fn release(&self, id: &ServiceId) {
        let time = self.world.release_time(id);
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        self.world.forget(id);
    }

    fn processes(&self, id: &ServiceId) -> Vec<u32> {
        self.world.processes(id)
    }

    fn cgroup(&self, _: &ServiceId) -> Option<PathBuf> {
        None
    }

    async fn beat(&self, _: &ServiceId) -> Option<Instant> {
        None
    }

    async fn marked(&self) -> io::Result<Vec<Marked>> {
        Ok(self.world.marked())
    }
}

/// Tells the supervisor; it may have gone.
fn report(to: &Reports, id: &ServiceId, run: u64, what: What) {
    let _ = to.send(Happened { id: id.clone(), run, what });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_sim_conforms() {
        let world = World::default();
        let make = async || {
            let (reports, happened) = tokio::sync::mpsc::unbounded_channel();
            (Sim::new(world.clone(), reports), happened)
        };
        tokio::task::LocalSet::new().run_until(crate::backend::conformance::all(&make, "sim")).await;
    }
}
