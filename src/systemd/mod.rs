//! The D-Bus client of systemd: connections to its managers, calls, jobs, properties.
//!
//! Knows how to ask; what to ask and what the answers mean is decided elsewhere.

mod changes;
mod connect;
mod error;
mod jobs;
mod manager;
mod properties;

pub(crate) use changes::StateChanges;
pub(crate) use connect::{connect_system, connect_user, user_bus_path};
pub(crate) use error::CallError;
pub(crate) use jobs::Jobs;
pub(crate) use manager::Manager;
pub(crate) use properties::Properties;
