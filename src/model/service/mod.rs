//! What provost starts and supervises itself: how a service is described, the states it goes
//! through, and what is said of it.

mod event;
mod exit;
mod expand;
mod health;
mod live;
mod log;
mod policy;
mod ready;
mod report;
mod spec;
mod state;
mod units;

pub use event::{Event, EventKind};
pub use exit::Exit;
pub use expand::{expand, literal, uses, variables};
pub use health::{HealthSpec, Heartbeat, Most};
pub use live::WatchSpec;
pub use log::{Ansi, Compression, LogSpec};
pub use policy::{Restart, RestartPolicy};
pub(crate) use ready::SETTLES;
pub use ready::{Check, Ready};
pub use report::{Containment, Health, Measured, ServiceReport};
pub use spec::{BackendChoice, Limits, PortSpec, Program, Reload, ServiceSpec};
pub use state::{BackendKind, Desired, ServiceState};
pub use units::{Percent, Size, Span};
