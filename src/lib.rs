//! provost controls any process on a Linux host by the right means, and says by what right.
//!
//! It asks systemd where systemd owns the process, signals directly where the caller may, goes
//! through polkit where an administrator may allow it, only checks availability where nothing
//! else is allowed, and never pretends. One direction, no way back:
//!
//! ```text
//! target ──> observe ──> decide ──> act ──> probe/verify
//! (words)    (Facts)     (Plan)     (effects) (outcome)
//! ```
//!
//! The map of the house:
//!
//! * [`model`]: the words as types; pure.
//! * [`observe`]: reads the host into [`model::Facts`]; changes nothing.
//! * [`decide`]: facts and a request in, a plan out; pure.
//! * [`act`]: carries plans out; holds no policy.
//! * [`mod@probe`]: whether a service answers; known servers as data.
//! * [`mod@ensure`], [`wait`]: probing until something is so, and starting what is missing.
//! * [`config`]: the config file, checked; what a start is made of.
//! * `services`: the services of a caller as the verbs see them, with a daemon and without.
//! * [`gpus`](fn@gpus): GPUs, and who holds them.
//! * [`registry`]: the durable record of what provost started.
//! * `supervise`, `backend`: services that provost starts itself.
//! * `daemon`, `api`, `control`: who hosts them, how it is spoken to, and who speaks.
//! * `install`, `doctor`: how it comes onto a host, and what it finds missing there.
//! * `health`: whether services that run do their work.
//! * `helper`: what the system's daemon does for users who may not do it themselves.
//! * `tokens`: who may use the HTTP API.
//! * [`cli`]: the command line.
//! * `systemd`, `polkit`, `sys`: the D-Bus client, the terminal agent, the only unsafe code.
//! * `tasks`: what runs beside in the daemon's loop.
//!
//! [`Client`] ties them together, and [`inspect`] is the shortest way in:
//!
//! ```no_run
//! # async fn example() -> Result<(), provost::Error> {
//! let report = provost::inspect(&"ollama".parse()?).await?;
//! for owner in report.owners {
//!     println!("{}: {:?}", owner.kind, owner.actions["stop"].verdict);
//! }
//! # Ok(())
//! # }
//! ```

#![deny(clippy::undocumented_unsafe_blocks)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests start programs and read the environment"))]

pub mod act;
pub(crate) mod api;
pub(crate) mod backend;
pub mod cli;
mod client;
mod clock;
pub mod config;
pub(crate) mod control;
pub(crate) mod daemon;
pub mod decide;
mod disk;
mod doctor;
pub mod ensure;
mod error;
mod files;
mod gather;
mod gpus;
pub(crate) mod health;
pub(crate) mod helper;
mod install;
mod join;
pub(crate) mod logs;
pub mod model;
pub mod observe;
mod paths;
pub(crate) mod polkit;
pub mod probe;
pub mod registry;
pub(crate) mod services;
pub(crate) mod supervise;
mod supervisor;
pub(crate) mod sys;
pub(crate) mod systemd;
mod tasks;
pub mod text;
mod tokens;
pub mod wait;

pub use client::Client;
pub use error::Error;
pub use gpus::gpus;
pub use supervisor::{Builder, Described as ServiceSpec, Events, Supervisor};

use act::Done;
use model::{Action, Availability, InspectReport, Request, Signal, Target};

/// Who owns the target, what it serves, and what the caller may do with it.
pub async fn inspect(target: &Target) -> Result<InspectReport, Error> {
    Client::new().await?.inspect(target).await
}

/// Whether the target answers, within five seconds.
pub async fn probe(target: &Target) -> Result<Availability, Error> {
    Client::new().await?.probe(target, std::time::Duration::from_secs(5)).await
}

/// Starts the target. Like all that change something: by the means that [`decide`] chooses, with
/// the defaults of the command line, and a password asked for on the terminal where that is needed.
pub async fn start(target: &Target) -> Result<Vec<Done>, Error> {
    Client::new().await?.change(target, &Request::new(Action::Start)).await
}

/// Stops the target: its unit, or its processes with all that they started.
pub async fn stop(target: &Target) -> Result<Vec<Done>, Error> {
    Client::new().await?.change(target, &Request::new(Action::Stop)).await
}

/// Stops and starts the target.
pub async fn restart(target: &Target) -> Result<Vec<Done>, Error> {
    Client::new().await?.change(target, &Request::new(Action::Restart)).await
}

/// Has the target read its configuration again.
pub async fn reload(target: &Target) -> Result<Vec<Done>, Error> {
    Client::new().await?.change(target, &Request::new(Action::Reload)).await
}

/// Sends a signal to the target's main process, or to the processes that it names.
pub async fn kill(target: &Target, signal: Signal) -> Result<Vec<Done>, Error> {
    Client::new().await?.change(target, &Request { signal, ..Request::new(Action::Kill) }).await
}

/// The services that provost supervises for the caller.
pub async fn services() -> Result<Vec<model::service::ServiceReport>, Error> {
    Client::new().await?.services().await
}

/// Starts a service that is in no config, supervised by the caller's daemon; see [`Client::run`].
pub async fn run(spec: &model::service::ServiceSpec) -> Result<model::service::ServiceReport, Error> {
    Client::new().await?.run(spec).await
}

/// Makes sure that the target is available.
pub async fn ensure(target: &Target, options: &ensure::Options) -> Result<ensure::Ensured, Error> {
    ensure::ensure(&Client::new().await?, target, options).await
}
