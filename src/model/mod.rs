//! The words of provost as types: targets, processes, owners, facts, actions, plans.
//!
//! Everything here is plain data and pure functions. No async, no D-Bus, no files and no clock:
//! what reads the host lives in [`crate::observe`], what changes it in [`crate::act`].

mod action;
mod availability;
mod caller;
mod facts;
mod gpu;
mod help;
mod host;
mod instance;
mod owner;
mod plan;
mod process;
mod report;
#[cfg(test)]
mod schema;
pub mod service;
mod signal;
mod target;
mod unit;
mod unit_facts;

#[cfg(test)]
mod fuzz;

pub use action::{Action, Request, Whom};
pub use availability::{Availability, AvailabilityState};
pub use caller::{Caller, Session};
pub use facts::{Facts, OwnerFacts, SaidBy, ServiceFacts, SignalAnswer};
pub use gpu::{Gpu, GpuHolder, GpuReport};
pub use help::{Explained, HelperFacts};
pub use host::{Host, Polkit, Reach};
pub use instance::Instance;
pub use owner::{Container, Manager, Owner, Runtime};
pub use plan::{Means, Plan, Step, Stopper, Verdict};
pub use process::{Aim, Identity, ProcState, Process, Program, Uids};
pub use report::{ActionReport, InspectReport, OwnerReport};
pub use signal::{Ladder, Rung, Signal};
pub use target::{ServiceId, Target};
pub use unit::{UnitKind, UnitName, UnitPattern};
pub use unit_facts::{Answer, UnitFacts};

/// A value that was given by the user and is not of the form it must have.
///
/// The message names the part that is wrong and what was expected; it is ready for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) String);

impl Malformed {
    /// With this message.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
