//! How a trial is registered: plain, on the rig together with others, or on the rig alone.

use libtest_mimic::{Failed, Trial};

use crate::rig::{self, Rig};

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
        self.all.push(Trial::test(name, body));
    }

    /// A trial on the rig. Others run beside it: it uses names of its own and changes nothing that concerns everybody.
    pub fn rig(&mut self, name: &str, body: impl FnOnce(&Rig) -> Result<(), Failed> + Send + 'static) {
        self.on_the_rig(name, move |rig| {
            let _turn = rig.turn.read().unwrap_or_else(|e| e.into_inner());
            body(rig)
        });
    }

    /// A trial that has the rig for itself, because it takes away what others need.
    pub fn exclusive(&mut self, name: &str, body: impl FnOnce(&Rig) -> Result<(), Failed> + Send + 'static) {
        self.on_the_rig(name, move |rig| {
            let _turn = rig.turn.write().unwrap_or_else(|e| e.into_inner());
            body(rig)
        });
    }

    fn on_the_rig(&mut self, name: &str, body: impl FnOnce(&Rig) -> Result<(), Failed> + Send + 'static) {
        self.on_rig += 1;
        let missing = self.missing.clone();
        let skipped = missing.is_some() && std::env::var("CI").as_deref() != Ok("true");
        let trial = Trial::test(name, move || match missing {
            Some(reason) => Err(format!("no rig: {reason}").into()),
            None => body(rig::get()?),
        });
        self.all.push(trial.with_kind("rig").with_ignored_flag(skipped));
    }

    /// The trials, and how many of them cannot run here, and why.
    pub fn into_parts(self) -> (Vec<Trial>, Option<(usize, String)>) {
        let count = self.on_rig;
        (self.all, self.missing.map(|reason| (count, reason)))
    }
}

/// Fails the trial, in words, unless the condition holds.
macro_rules! expect {
    ($condition:expr, $($shown:tt)+) => {
        if !$condition {
            return Err(format!("{}: {}", stringify!($condition), format!($($shown)+)).into());
        }
    };
}
