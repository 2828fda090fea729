//! `doctor`: looks for what is missing on this host, and says how it is mended. Changes nothing.
//!
//! Each file reads one kind of things and gives [`Check`]s; what a reading means is decided by a
//! pure function beside the one that reads.

mod buses;
mod daemon;
mod kernel;
mod leftovers;
mod limits;
mod mend;
mod name;
mod program;
mod systemd;

use serde::Serialize;

use crate::model::Instance;
use crate::observe::Observer;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// Something does not work, or less well.
    Warning,
    /// What was installed, or what everything needs, does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Its name: a word or two that stay the same in every version.
    pub(crate) name: &'static str,
    /// How it is.
    pub(crate) state: State,
    /// What was found, for a person.
    pub(crate) found: String,
    /// The command that mends it, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mend: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), mend: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Warning, found: found.into(), mend: Some(mend.into()) }
    }

    fn problem(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Problem, found: found.into(), mend: Some(mend.into()) }
    }

    /// Nothing can be done about it.
    fn without_cure(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Warning, found: found.into(), mend: None }
    }
}

/// Looks at everything that matters for this instance.
pub(crate) async fn examine(observer: &Observer, instance: Instance) -> Vec<Check> {
    let mut all = systemd::checks(observer, instance).await;
    all.extend(buses::checks(observer, instance).await);
    all.extend(limits::checks(observer, instance));
    all.extend(kernel::checks());
    all.extend(program::checks(observer, instance));
    all.extend(daemon::checks(observer, instance).await);
    all.extend(name::checks(observer, instance).await);
    all.extend(leftovers::checks(observer, instance).await);
    all
}

/// The worst of them.
pub(crate) fn worst(all: &[Check]) -> State {
    all.iter().map(|check| check.state).max().unwrap_or(State::Ok)
}
