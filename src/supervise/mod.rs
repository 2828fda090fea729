//! Supervision of what provost starts itself.
//!
//! `machine`, `backoff` and `order` are pure: time is an argument. The task in `run` drives them:
//! it owns every service, receives [`Command`]s and what backends report, and never waits for
//! anything but the next of those.

mod backoff;
pub(crate) mod changes;
mod handle;
mod machine;
pub(crate) mod order;
pub(crate) mod pid_file;
pub(crate) mod ports;
pub(crate) mod readiness;
pub(crate) mod resources;
pub(crate) mod run;
mod watch;

pub(crate) use handle::{
    Answer, Command, Handle, OfDaemon, Orphan, OrphanQuery, OrphansCleaned, OwnConfig, Refusal, Selection, Stop, Touch,
};
