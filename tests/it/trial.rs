//! How a trial is registered: plain, on the rig together with others, or on a rig of its own.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::rig::{self, Rig};

/// How long each trial took.
static TIMES: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// The trials of this run.
pub struct Trials {
    all: Vec<Trial>,
    on_rig: usize,
    missing: Option<String>,
}

impl Trials {
    pub fn new() -> Self {
        Self { all: Vec::new(), on_rig: 0, missing: rig::missing() }
    }

    /// A trial that needs no rig.
    pub fn plain(&mut self, name: &str, body: impl FnOnce() -> Result<(), Failed> + Send + 'static) {
        let timed = Timed(name.to_owned());
        self.all.push(Trial::test(name, move || timed.run(body)));
    }

    /// A trial on the rig. Others run beside it: it uses names of its own and changes nothing that concerns everybody.
    pub fn rig(&mut self, name: &str, body: impl FnOnce(&Rig) -> Result<(), Failed> + Send + 'static) {
        self.on_a_rig(name, move || body(rig::get()?));
    }

    /// A trial that has a rig for itself, because it takes away what others need. It leaves it as it was: the next one
    /// of these gets it.
    pub fn exclusive(&mut self, name: &str, body: impl FnOnce(&Rig) -> Result<(), Failed> + Send + 'static) {
        self.on_a_rig(name, move || rig::alone(body));
    }

    /// A trial that leaves its rig another than it was.
    pub fn destructive(&mut self, name: &str, body: impl FnOnce(&Rig) -> Result<(), Failed> + Send + 'static) {
        self.on_a_rig(name, move || rig::used_up(body));
    }

    fn on_a_rig(&mut self, name: &str, body: impl FnOnce() -> Result<(), Failed> + Send + 'static) {
        self.on_rig += 1;
        let missing = self.missing.clone();
        let skipped = missing.is_some() && std::env::var("CI").as_deref() != Ok("true");
        let timed = Timed(name.to_owned());
        let trial = Trial::test(name, move || match missing {
            Some(reason) => Err(format!("no rig: {reason}").into()),
            None => timed.run(body),
        });
        self.all.push(trial.with_kind("rig").with_ignored_flag(skipped));
    }

    /// The trials, and how many of them cannot run here, and why.
    pub fn into_parts(self) -> (Vec<Trial>, Option<(usize, String)>) {
        let count = self.on_rig;
        (self.all, self.missing.map(|reason| (count, reason)))
    }
}

/// The name of a trial whose time is taken.
struct Timed(String);

impl Timed {
    fn run<T>(self, body: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = body();
        TIMES.lock().unwrap_or_else(|e| e.into_inner()).push((begin.elapsed(), self.0));
        done
    }
}

/// The trials that took longest, longest first.
pub fn longest(count: usize) -> String {
    let mut times = std::mem::take(&mut *TIMES.lock().unwrap_or_else(|e| e.into_inner()));
    times.sort_by(|a, b| b.cmp(a));
    times.iter().take(count).map(|(time, name)| format!("{:8.1} s  {name}\n", time.as_secs_f64())).collect()
}

/// Fails the trial, in words, unless the condition holds.
macro_rules! expect {
    ($condition:expr, $($shown:tt)+) => {
        if !$condition {
            return Err(format!("{}: {}", stringify!($condition), format!($($shown)+)).into());
        }
    };
}
