//! The D-Bus client of systemd: connections to its managers, calls, jobs, properties,
//! transient units, and what the managers say without being asked.
//!
//! Knows how to ask; what to ask and what the answers mean is decided elsewhere.

mod changes;
mod connect;
mod error;
mod jobs;
mod manager;
mod news;
mod properties;
mod transient;

pub(crate) use changes::StateChanges;
pub(crate) use connect::{connect_system, connect_user, user_bus_path};
pub(crate) use error::CallError;
pub(crate) use jobs::{Jobs, next};
pub(crate) use manager::Manager;
pub(crate) use news::{News, Owner, Signals, UnitChange, UnitSignals};
pub(crate) use properties::Properties;
pub(crate) use transient::{Property, job_number};

/// The interface of services, beside that of all units.
const SERVICE: &str = "org.freedesktop.systemd1.Service";
