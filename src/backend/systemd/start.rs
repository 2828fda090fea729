//! Starts.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::life::Phase;
use super::unit::{Streams, properties};
use super::units::Unit;
use super::{Scope, Shared, env_file, explain};
use crate::backend::{Launch, Placed, StartError};
use crate::logs;
use crate::model::service::Containment;
use crate::systemd::{CallError, Property};

/// How long the program may take to be executed: the disk may have to spin up, the manager be busy.
const EXEC: Duration = Duration::from_secs(90);
/// How long what stands in the way of a start may take to go.
const ROOM: Duration = Duration::from_secs(10);
/// More references than there can be.
const REFERENCES: u32 = 16;
/// How often a name that is in use is tried.
const TRIES: u32 = 2;

/// How the wait for a start ended.
enum Outcome {
    /// The job of the start ended so.
    Job(String),
    /// There is a main process, and more is not waited for.
    HasMain,
    /// The connection broke meanwhile.
    Broke,
}

impl Shared {
    pub(super) async fn start(
        self: &Rc<Self>,
        launch: &Launch,
        run: u64,
        record: &dyn Fn(&Placed) -> io::Result<()>,
    ) -> Result<Placed, StartError> {
        let unit = self.units.of(&launch.id).map_err(|error| StartError::Permanent(error.to_string()))?;
        explain::beforehand(launch)?;
        let expected =
            Placed { unit: Some(unit.name.to_string()), containment: Some(Containment::Cgroup), ..Placed::default() };
        record(&expected).map_err(|error| StartError::Transient(error.to_string()))?;
        unit.life.borrow_mut().begin(run);
        let result = self.begin(launch, &unit).await;
        let told = {
            let mut life = unit.life.borrow_mut();
            match &result {
                Ok(_) => {
                    life.runs();
                    life.notify = launch.notify;
                }
                Err(_) => {
                    life.phase = Phase::Over;
                    life.invocation = life.status.invocation.clone();
                }
            }
            life.judge()
        };
        self.tell(&unit, told);
        result
    }

    async fn begin(&self, launch: &Launch, unit: &Unit) -> Result<Placed, StartError> {
        let mut warnings = Vec::new();
        let breaks = unit.life.borrow().breaks;
        let job = {
            // Of a thousand starts at once only some hold descriptors at any time.
            let _turn = self.turns.acquire().await;
            let env_file = self.env_file(launch)?;
            let streams = self.streams(launch, &mut warnings)?;
            let of = properties(launch, self.options.scope, env_file.as_deref(), &streams)?;
            let made = self.make(unit, &of, streams.err.is_some()).await;
            let (job, said) = made.map_err(|error| explain::refused(&unit.name, &error))?;
            warnings.extend(said);
            job
        };
        unit.life.borrow_mut().job = job;
        let outcome = unit.until(EXEC, |life| {
            if life.breaks != breaks {
                return Some(Outcome::Broke);
            }
            let ended = life.ended_jobs.iter().position(|(ended, _)| *ended == job);
            if let Some(at) = ended {
                return Some(Outcome::Job(life.ended_jobs.swap_remove(at).1));
            }
            (launch.notify && life.has_started()).then_some(Outcome::HasMain)
        });
        match outcome.await {
            Some(Outcome::HasMain) => {}
            Some(Outcome::Job(result)) if result == "done" => {}
            Some(Outcome::Job(result)) => self.failed(launch, unit, &result)?,
            Some(Outcome::Broke) => {
                let why = format!("the connection to systemd broke while {} was started", unit.name);
                return Err(StartError::Transient(why));
            }
            None => {
                let why = format!("{} was not executed within {} s", launch.program.display(), EXEC.as_secs());
                let _gone = self.clear(&unit.id).await;
                return Err(StartError::Transient(why));
            }
        }
        let placed = self.placed(unit);
        warnings.extend(self.unenforced(launch, unit, &placed));
        Ok(Placed { warnings, ..placed })
    }

    /// The job failed: a program that was executed and ended at once did start.
    fn failed(&self, launch: &Launch, unit: &Unit, result: &str) -> Result<(), StartError> {
        let status = unit.life.borrow().status.clone();
        match (result, explain::not_executed(launch, &unit.name, &status)) {
            ("failed", Some(error)) => Err(error),
            ("failed", None) => Ok(()),
            (result, _) => {
                let why = format!("systemd did not start {} (its job ended with: {result})", unit.name);
                Err(StartError::Transient(why))
            }
        }
    }

    /// Makes the unit, and before that takes away one of the same name that has ended. The number
    /// of its job, and what is to be said of it.
    async fn make(
        &self,
        unit: &Unit,
        of: &[Property<'_>],
        own_output: bool,
    ) -> Result<(u32, Option<String>), CallError> {
        for _ in 0..TRIES {
            match self.try_make(unit, of).await {
                Err(error) if error.short_name() == "UnitExists" => self.make_room(unit).await?,
                other => return other.map(|job| (job, None)),
            }
        }
        self.start_held(unit, of, own_output).await
    }

    async fn try_make(&self, unit: &Unit, of: &[Property<'_>]) -> Result<u32, CallError> {
        let name = &unit.name;
        let references = unit.life.borrow().references;
        if references == 0 {
            return self.made(unit, self.link.call(1, async |manager| manager.start_transient(name, of).await).await);
        }
        if !unit.life.borrow().status.is_down() {
            self.end(unit).await?;
        }
        // The three are sent at once; the manager takes them in this order, and forgets the old
        // unit between the second and the third.
        let made = self.link.call(3, async |manager| {
            let (_, unreferenced, made) = tokio::join!(
                biased;
                manager.reset_failed(name),
                manager.unreference(name),
                manager.start_transient(name, of)
            );
            unreferenced.and(made)
        });
        let made = made.await;
        unit.life.borrow_mut().references = references - 1;
        self.made(unit, made)
    }

    /// A unit is made with a reference.
    fn made(&self, unit: &Unit, made: Result<u32, CallError>) -> Result<u32, CallError> {
        if made.is_ok() {
            unit.life.borrow_mut().references += 1;
        }
        made
    }

    /// Something of this name is loaded that we do not know: what an earlier daemon left, or what
    /// was made just before the connection broke. What is another's is left alone.
    async fn make_room(&self, unit: &Unit) -> Result<(), CallError> {
        let name = &unit.name;
        let mark = self.mark_of(name).await?;
        if mark.as_deref() != Some(&self.options.instance) {
            let whose = if mark.is_some() { "another instance of provost" } else { "somebody else" };
            return Err(CallError::Remote {
                name: "org.freedesktop.systemd1.UnitExists".to_owned(),
                message: format!("there is a unit of this name, and it is of {whose}"),
            });
        }
        // A manager counts them, and also that of a unit whose making it could not confirm before it
        // executed itself anew.
        for _ in 0..REFERENCES {
            if !self.link.ask(async |manager| manager.had_reference(name).await).await? {
                break;
            }
        }
        unit.life.borrow_mut().references = 0;
        if !self.reference(unit).await? {
            return Ok(());
        }
        let change = self.read(unit).await?;
        {
            let mut life = unit.life.borrow_mut();
            life.status.apply(change);
            life.invocation = life.status.invocation.clone();
        }
        self.end(unit).await
    }

    /// Ends all of a unit that is referenced, so that it can be forgotten.
    async fn end(&self, unit: &Unit) -> Result<(), CallError> {
        let name = &unit.name;
        if !self.processes(&unit.id).is_empty() {
            self.kill_all(unit).await?;
        }
        self.link.ask(async |manager| manager.stop_job(name).await).await?;
        let down = unit.until(ROOM, |life| (life.status.is_down() && life.status.job == 0).then_some(())).await;
        down.ok_or(CallError::Timeout)
    }

    fn env_file(&self, launch: &Launch) -> Result<Option<PathBuf>, StartError> {
        if self.options.scope != Scope::System {
            return Ok(None);
        }
        let written = env_file::write(&self.options.env_dir, &launch.id, &launch.env);
        written.map(Some).map_err(|error| {
            let why = format!("its variables cannot be kept in {}: {error}", self.options.env_dir.display());
            StartError::Transient(why)
        })
    }

    fn streams(&self, launch: &Launch, warnings: &mut Vec<String>) -> Result<Streams, StartError> {
        if let Some(capture) = self.options.capture.as_ref().filter(|_| launch.log_file) {
            let opened = capture(&launch.id);
            let (out, err) =
                opened.map_err(|error| StartError::Transient(format!("its output cannot be captured: {error}")))?;
            return Ok(Streams { out: Some(out), err: Some(err) });
        }
        match logs::journal_stream(launch.id.as_str(), logs::ERR) {
            Ok(err) => Ok(Streams { out: None, err: Some(err) }),
            Err(error) => {
                warnings.push(format!("its errors stand among its other output, because the journal: {error}"));
                Ok(Streams::default())
            }
        }
    }
}
