//! Whether services that run do their work.
//!
//! What looks say over time is pure ([`verdict`]); the looks themselves are here. Each thing that is
//! looked at has its own rhythm, so that one that hangs delays no other, and is never looked at
//! twice at once. Looks of all services fall on the same moments of a 50 ms grid: the daemon
//! is woken twenty times a second at most, however many there are.

mod meter;
mod question;
mod verdict;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

pub(crate) use meter::counted;
pub(crate) use verdict::Verdict;

use crate::model::service::{HealthSpec, Heartbeat};
use crate::supervise::readiness::Commands;
use meter::{Meter, Over};
use question::Question;
use verdict::{Beat, Bound, Overall, Streak};

/// The grid of all looks.
const GRID: Duration = Duration::from_millis(50);
/// What is measured is measured no more often than this.
const MEASURE: Duration = Duration::from_secs(1);

/// What is known of a run to who runs it.
pub(crate) trait Signs {
    /// Its processes.
    fn processes(&self) -> Vec<u32>;

    /// The folder of its control group.
    fn cgroup(&self) -> Option<PathBuf>;

    /// When it last said WATCHDOG=1, or the like.
    async fn beat(&self) -> Option<Instant>;

    /// A check was answered, or not, after this long.
    fn answered(&self, _took: Duration) {}
}

/// A run that is looked after.
pub(crate) struct Patient<S> {
    /// What is looked at, its variables replaced.
    pub(crate) spec: HealthSpec,
    /// The same for messages.
    pub(crate) shown: HealthSpec,
    /// The folder of relative paths.
    pub(crate) cwd: PathBuf,
    /// For how long it runs.
    pub(crate) age: Duration,
    pub(crate) signs: S,
    /// How its commands are run.
    pub(crate) commands: Commands,
    /// Commands of all services that may run at the same time.
    pub(crate) turns: Rc<Semaphore>,
}

/// Looks after a run until it is dropped; what is new is told.
pub(crate) async fn watch<S: Signs>(patient: Patient<S>, tell: impl Fn(Verdict)) {
    let born = Instant::now().checked_sub(patient.age).unwrap_or_else(Instant::now);
    let questions = Question::all(&patient.spec, &patient.shown);
    let (beat, bounds) = (patient.spec.heartbeat.clone(), patient.spec.memory.is_some() || patient.spec.cpu.is_some());
    let things = questions.len() + usize::from(beat.is_some()) + usize::from(bounds);
    let overall = RefCell::new(Overall::new(things));
    let look = Look {
        patient: &patient,
        born,
        heard: &|thing, verdict| {
            let new = overall.borrow_mut().heard(thing, verdict);
            if let Some(new) = new {
                tell(new);
            }
        },
    };
    let mut looks: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for question in questions {
        looks.push(Box::pin(look.ask(looks.len(), question)));
    }
    if let Some(beat) = &beat {
        looks.push(Box::pin(look.listen(looks.len(), beat)));
    }
    if bounds {
        looks.push(Box::pin(look.measure(looks.len())));
    }
    crate::join::join_all(looks).await;
}

struct Look<'a, S> {
    patient: &'a Patient<S>,
    /// When its program was executed.
    born: Instant,
    heard: &'a dyn Fn(usize, Verdict),
}

impl<S: Signs> Look<'_, S> {
    fn age(&self) -> Duration {
        self.born.elapsed()
    }

    async fn ask(&self, thing: usize, mut question: Question) {
        let Patient { spec, commands, turns, .. } = self.patient;
        let new = || Streak::new(spec.failures, spec.start_period.0, spec.load_timeout.0);
        let (mut streak, mut sleep) = (new(), Sleep::new());
        let mut due = Instant::now();
        loop {
            sleep_until(on_grid(due)).await;
            let asked = Instant::now();
            let answer = question.ask(spec.timeout.0, commands, turns).await;
            self.patient.signs.answered(asked.elapsed());
            if sleep.was() {
                streak = new();
            }
            (self.heard)(thing, streak.answered(self.age(), answer));
            due = following(due, spec.interval.0, Instant::now());
        }
    }

    async fn listen(&self, thing: usize, spec: &Heartbeat) {
        let start_period = self.patient.spec.start_period.0;
        let new = |age| Beat::new(spec.timeout.0, start_period, age);
        let (mut beat, mut sleep) = (new(self.age()), Sleep::new());
        let file = spec.file.as_deref().map(|file| self.patient.cwd.join(file));
        let mut looked = Instant::now();
        loop {
            sleep_until(on_grid(self.born + beat.next(self.age()))).await;
            let said = self.patient.signs.beat().await;
            let written = file.as_deref().and_then(|file| written(file, looked));
            looked = Instant::now();
            if sleep.was() {
                beat = new(self.age());
            }
            let came = said.max(written).map(|at| at.saturating_duration_since(self.born));
            if let Some(verdict) = beat.looked(self.age(), came) {
                (self.heard)(thing, verdict);
            }
        }
    }

    async fn measure(&self, thing: usize) {
        let Patient { spec, signs, .. } = self.patient;
        let shortest = spec.memory.map(|most| most.span.0).into_iter().chain(spec.cpu.map(|most| most.span.0)).min();
        let pause = spec.interval.0.min(shortest.unwrap_or(MEASURE) / 4).max(MEASURE);
        let new = |span: Option<Duration>| Bound::new(span.unwrap_or_default());
        let bounds = || (new(spec.memory.map(|most| most.span.0)), new(spec.cpu.map(|most| most.span.0)));
        let ((mut memory, mut cpu), mut sleep, mut meter) = (bounds(), Sleep::new(), Meter::new());
        let mut due = Instant::now();
        loop {
            let usage = meter.read(signs.cgroup().as_deref(), || signs.processes());
            if sleep.was() {
                (memory, cpu) = bounds();
            }
            let over = Over::of(&usage, spec);
            let verdicts = [memory.measured(self.age(), over.memory), cpu.measured(self.age(), over.cpu)];
            let worst = verdicts.into_iter().max_by_key(Verdict::rank);
            (self.heard)(thing, worst.unwrap_or(Verdict::Well));
            due = following(due, pause, Instant::now());
            sleep_until(on_grid(due)).await;
        }
    }
}

/// When a file was written, if that was since we `looked`. The clock that stamps files may have been
/// set meanwhile: what it says counts only within that time.
fn written(file: &Path, looked: Instant) -> Option<Instant> {
    let modified = std::fs::metadata(file).and_then(|found| found.modified()).ok()?;
    let age = crate::clock::now().duration_since(modified).unwrap_or_default();
    Instant::now().checked_sub(age).filter(|at| *at >= looked)
}

/// The next moment of a rhythm that is to come. It follows from the one before, not from when somebody
/// came to it, so that the rhythm holds; moments that were missed are left out.
fn following(due: Instant, every: Duration, now: Instant) -> Instant {
    let every = every.max(Duration::from_millis(1));
    let missed = now.saturating_duration_since(due).as_nanos() / every.as_nanos();
    due + every * u32::try_from(missed + 1).unwrap_or(u32::MAX)
}

/// The first moment of the grid from then on.
fn on_grid(at: Instant) -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    let epoch = *EPOCH.get_or_init(Instant::now);
    let since = at.saturating_duration_since(epoch);
    let over = since.as_nanos() % GRID.as_nanos();
    match u64::try_from(over) {
        Ok(0) | Err(_) => at,
        Ok(over) => at + (GRID - Duration::from_nanos(over)),
    }
}

/// Whether the host was suspended: what should have come meanwhile could not.
struct Sleep(Duration);

impl Sleep {
    fn new() -> Self {
        Self(crate::clock::suspended())
    }

    /// Since it was asked last.
    fn was(&mut self) -> bool {
        let now = crate::clock::suspended();
        let was = now > self.0 + Duration::from_millis(500);
        self.0 = now;
        was
    }
}

#[cfg(test)]
mod tests;
