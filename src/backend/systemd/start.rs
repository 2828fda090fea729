//! Starts.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::life::Phase;
use super::unit::{Streams, place_of, properties};
use super::units::Unit;
use super::{Scope, Shared, env_file, explain};
use crate::backend::{Launch, Placed, StartError};
use crate::logs;
use crate::model::UnitName;
use crate::systemd::{CallError, Property};

/// How long the program may take to be executed: the disk may have to spin up, the manager be busy.
const EXEC: Duration = Duration::from_secs(90);
/// How long what stands in the way of a start may take to go.
const ROOM: Duration = Duration::from_secs(10);
/// More references than there can be.
const REFERENCES: u32 = 16;
/// How long to wait until a unit without a reference is asked for its main process, and the longest.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));
/// Starts at the same time. A manager takes calls before it runs jobs, and for each job that is not
/// done its connection to the bus has a match rule: see [`super::references`].
pub(super) const TURNS: usize = 100;
/// Descriptors on their way to the manager at the same time: a bus lets no more wait for whoever is
/// busy (max_outgoing_unix_fds of dbus-daemon), and refuses what is sent then.
pub(super) const DESCRIPTORS: usize = 64;
/// Services at the same time that run and have not said READY=1: their jobs are not done.
pub(super) const UNREADY: usize = 150;
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
        explain::beforehand(launch, self.options.scope)?;
        unit.main.take();
        unit.unready.take();
        unit.life.borrow_mut().begin(run);
        let result = self.begin(launch, &unit, record).await;
        let told = {
            let mut life = unit.life.borrow_mut();
            match &result {
                Ok(_) => {
                    life.runs();
                    life.notify = launch.notify;
                }
                Err(_) => {
                    unit.unready.take();
                    life.phase = Phase::Over;
                    life.invocation = life.status.invocation.clone();
                }
            }
            life.judge()
        };
        self.tell(&unit, told);
        result
    }

    async fn begin(
        self: &Rc<Self>,
        launch: &Launch,
        unit: &Rc<Unit>,
        record: &dyn Fn(&Placed) -> io::Result<()>,
    ) -> Result<Placed, StartError> {
        let mut warnings = Vec::new();
        let breaks = unit.life.borrow().breaks;
        // What is found in the unit from now on is of the run before as long as this is its invocation.
        let before = Some(unit.life.borrow().invocation.clone()).filter(|word| !word.is_empty());
        let expected = Placed { invocation: before, ..place_of(&unit.id) };
        let make = async {
            record(&expected).map_err(|error| StartError::Unwritable(error.to_string()))?;
            let env_file = self.env_file(unit, launch)?;
            let streams = self.streams(launch, &mut warnings)?;
            let referenced = launch.notify && self.may_reference();
            // Counted before the call: others are started at the same time.
            self.count_references(unit, u32::from(referenced));
            let folder = self.folders.of(launch, self.options.scope)?;
            let of = properties(launch, self.options.scope, folder, env_file.as_deref(), &streams, referenced)?;
            let made = self.make(unit, &of, referenced, streams.err.is_some()).await;
            let (job, said) = made.map_err(|error| explain::refused(&unit.name, &error))?;
            warnings.extend(said);
            Ok::<_, StartError>(job)
        };
        if launch.notify {
            unit.unready.replace(launch.room.clone());
        }
        let turn = self.turns.acquire().await;
        // While the manager forgets what has failed, the rest is made; it takes calls in their order.
        let (_, job) = tokio::join!(biased; self.forget_failed(unit), make);
        let job = job?;
        unit.life.borrow_mut().job = job;
        let outcome = unit.until(EXEC, |life| {
            if life.breaks != breaks {
                return Some(Outcome::Broke);
            }
            let job = life.end_of(job).map(Outcome::Job);
            job.or_else(|| (launch.notify && life.has_started()).then_some(Outcome::HasMain))
        });
        let looks = self.look_for_main(unit, launch.notify);
        let outcome = tokio::select! {
            outcome = outcome => outcome,
            never = looks => match never {},
        };
        // Its job is done: the next one's need not wait for what is read of this.
        drop(turn);
        match outcome {
            Some(Outcome::HasMain) => {}
            Some(Outcome::Job(result)) => {
                unit.unready.take();
                let began = if result == "done" { self.read_begun(unit).await } else { self.read(unit).await };
                let began = began.map_err(|error| explain::refused(&unit.name, &error))?;
                {
                    let mut life = unit.life.borrow_mut();
                    life.status.apply(began);
                    life.unsure = false;
                }
                if result != "done" {
                    self.failed(launch, unit, &result)?;
                }
            }
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
        self.hold(unit);
        let placed = Self::placed(unit);
        warnings.extend(self.unenforced(launch, unit, &placed));
        Ok(Placed { warnings, ..placed })
    }

    /// A job of type notify is done when the service is ready: until then its main process is looked
    /// for, unless the manager tells it.
    async fn look_for_main(&self, unit: &Unit, notify: bool) -> std::convert::Infallible {
        let (mut pause, longest) = LOOK;
        while notify && unit.life.borrow().references == 0 {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
            if let Ok(change) = self.read(unit).await {
                unit.life.borrow_mut().status.apply(change);
                unit.news.notify_waiters();
            }
        }
        std::future::pending().await
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
        self: &Rc<Self>,
        unit: &Rc<Unit>,
        of: &[Property<'_>],
        referenced: bool,
        own_output: bool,
    ) -> Result<(u32, Option<String>), CallError> {
        for _ in 0..TRIES {
            match self.try_make(unit, of, referenced).await {
                Err(error) if error.short_name() == "UnitExists" => self.make_room(unit).await?,
                other => return other.map(|job| (job, None)),
            }
        }
        unit.life.borrow_mut().unsure = true;
        self.start_held(unit, of, own_output).await
    }

    async fn try_make(
        self: &Rc<Self>,
        unit: &Rc<Unit>,
        of: &[Property<'_>],
        referenced: bool,
    ) -> Result<u32, CallError> {
        let name = &unit.name;
        if !unit.life.borrow().status.is_down() {
            self.end(unit).await?;
        }
        if referenced && let Err(error) = self.follow(unit).await {
            self.count_references(unit, 0);
            return Err(error);
        }
        let with_descriptor = of.iter().filter(|(name, _)| name.ends_with("FileDescriptor")).count();
        let _room = self.descriptors.acquire_many(u32::try_from(with_descriptor).unwrap_or_default()).await;
        let before = std::mem::replace(&mut unit.life.borrow_mut().unsure, true);
        let made = self.link.call(1, async |manager| manager.start_transient(name, of).await).await;
        if made.as_ref().is_err_and(|error| !error.is_unreachable()) {
            unit.life.borrow_mut().unsure = before;
        }
        self.count_references(unit, u32::from(referenced && made.is_ok()));
        made
    }

    /// Has the manager forget a unit that has failed, so that it can be made anew. Asks at once.
    async fn forget_failed(&self, unit: &Unit) {
        let references = unit.life.borrow().references;
        if unit.life.borrow().status.active != "failed" && references == 0 {
            return;
        }
        let name = &unit.name;
        self.count_references(unit, 0);
        let asked = self.link.call(2, async |manager| {
            let unreferenced = async { if references > 0 { manager.unreference(name).await } else { Ok(()) } };
            let (reset, unreferenced) = tokio::join!(biased; manager.reset_failed(name), unreferenced);
            reset.and(unreferenced)
        });
        if let Err(error) = asked.await {
            tracing::debug!(unit = %name, %error, "stays loaded");
        }
    }

    /// Something of this name is loaded that we do not know: what an earlier daemon left, or what
    /// was made just before the connection broke. What is another's is left alone.
    async fn make_room(&self, unit: &Unit) -> Result<(), CallError> {
        let name = &unit.name;
        let mark = self.mark_of(name).await?;
        if mark.is_none() && !self.is_loaded(name).await? {
            // It was being forgotten, and is by now.
            return Ok(());
        }
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
        self.count_references(unit, 0);
        let change = self.read(unit).await?;
        {
            let mut life = unit.life.borrow_mut();
            life.status.apply(change);
            life.invocation = life.status.invocation.clone();
        }
        self.end(unit).await
    }

    async fn is_loaded(&self, name: &UnitName) -> Result<bool, CallError> {
        let state = self.link.ask(async |manager| manager.unit_property(name, "LoadState").await).await?;
        Ok(<&str>::try_from(&*state).is_ok_and(|state| state != "not-found"))
    }

    /// Ends all of a unit, so that it can be forgotten.
    async fn end(&self, unit: &Unit) -> Result<(), CallError> {
        if !self.processes(&unit.id).is_empty() {
            self.kill_all(unit).await?;
        }
        self.stop_job(unit, ROOM).await?;
        let change = self.read(unit).await?;
        unit.life.borrow_mut().status.apply(change);
        self.forget_failed(unit).await;
        Ok(())
    }

    fn env_file(&self, unit: &Unit, launch: &Launch) -> Result<Option<PathBuf>, StartError> {
        if self.options.scope != Scope::System {
            return Ok(None);
        }
        // That of the last start is there still, and nobody else may write it.
        let (dir, hash) = (&self.options.env_dir, env_file::hash(&launch.env));
        let path = dir.join(launch.id.as_str());
        if unit.env.take() == Some(hash) && path.is_file() {
            unit.env.set(Some(hash));
            return Ok(Some(path));
        }
        let written = env_file::write(dir, launch.id.as_str(), &launch.env);
        if written.is_ok() {
            unit.env.set(Some(hash));
        }
        written.map(Some).map_err(|error| {
            let why = format!("its variables cannot be kept in {}: {error}", self.options.env_dir.display());
            StartError::Unwritable(why)
        })
    }

    fn streams(&self, launch: &Launch, warnings: &mut Vec<String>) -> Result<Streams, StartError> {
        if let Some(capture) = self.options.capture.as_ref().filter(|_| launch.log_file) {
            let opened = capture(&launch.id);
            let (out, err) =
                opened.map_err(|error| StartError::Unwritable(format!("its output cannot be captured: {error}")))?;
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
