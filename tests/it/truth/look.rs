//! What is really so, found without provost: from systemd, from the kernel, from what the processes wrote.

use std::collections::BTreeMap;

use rustix::process::Signal;

use crate::rig::{Identity, Result, Rig, eventually};

/// What is acted on, or must not be touched.
#[derive(Clone)]
pub enum Object {
    /// A unit of the system, or of this user's manager.
    Unit(Option<&'static str>, String),
    /// A unit of the system of which only matters whether it is active.
    Active(String),
    /// A process.
    Process(Identity),
}

/// Everything about a cell's objects at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The object of the action.
    pub object: BTreeMap<String, String>,
    /// What must stay as it is, whatever happens to the object.
    pub others: Vec<BTreeMap<String, String>>,
    /// What the process wrote: its starts and the signals that it got.
    pub log: Vec<String>,
}

const PROPERTIES: &str = "ActiveState,SubState,MainPID,InvocationID,NRestarts,Job";

impl Object {
    fn look(&self, rig: &Rig) -> Result<BTreeMap<String, String>> {
        match self {
            Self::Unit(None, unit) => Ok(pairs(&rig.systemctl(["show", "-p", PROPERTIES, "--", unit])?)),
            Self::Unit(Some(user), unit) => {
                Ok(pairs(&rig.user_systemctl(user, ["show", "-p", PROPERTIES, "--", unit])?))
            }
            Self::Active(unit) => Ok(pairs(&rig.systemctl(["show", "-p", "ActiveState,InvocationID", "--", unit])?)),
            Self::Process(process) => {
                let state = if rig.lives(*process) { "alive" } else { "gone" };
                Ok(BTreeMap::from([(process.pid.to_string(), state.to_owned())]))
            }
        }
    }
}

fn pairs(shown: &str) -> BTreeMap<String, String> {
    let pairs = shown.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What to look at.
pub struct Watched<'r> {
    pub rig: &'r Rig,
    pub object: Object,
    pub others: Vec<Object>,
    pub log: Option<String>,
}

impl Watched<'_> {
    /// Looks now.
    pub fn look(&self) -> Result<Look> {
        self.fence()?;
        Ok(Look {
            object: self.object.look(self.rig)?,
            others: self.others.iter().map(|o| o.look(self.rig)).collect::<Result<_>>()?,
            log: self.lines().into_iter().filter(|line| line != "USR2").collect(),
        })
    }

    /// How often this stands in the log.
    pub fn count(&self, word: &str) -> usize {
        self.lines().iter().filter(|line| line.starts_with(word)).count()
    }

    fn lines(&self) -> Vec<String> {
        let Some(path) = &self.log else { return Vec::new() };
        self.rig.read(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The process that wrote the log's last START, if it lives.
    fn writer(&self) -> Option<Identity> {
        if let Object::Process(process) = self.object {
            return Some(process).filter(|p| self.rig.lives(*p));
        }
        let lines = self.lines();
        let pid = lines.iter().rev().find_map(|line| line.strip_prefix("START "))?;
        pid.parse().ok().filter(|pid| *pid > 1).and_then(|pid| self.rig.identity(pid))
    }

    /// Waits until the process has written all the signals that it got before: the ones of interest have lower numbers
    /// than USR2, so whatever was under way is in the log before this is.
    fn fence(&self) -> Result<()> {
        let Some(writer) = self.writer().filter(|_| self.log.is_some()) else { return Ok(()) };
        let before = self.count("USR2");
        if !self.rig.signal(writer, Signal::USR2)? {
            return Ok(());
        }
        let (rig, done) = (self.rig, || self.count("USR2") > before);
        eventually("the process writes down its signals", || done() || !rig.lives(writer))
    }
}
