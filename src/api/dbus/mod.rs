//! The daemon over D-Bus: the interfaces, as `units/` and the documentation name them.
//!
//! Objects are not registered anywhere: a call is looked up by its path when it comes (`calls`),
//! on the control socket (`peer`), on the session bus (`bus`) and on the system bus (`system`) alike.
//! What a method does is the supervisor's; here are only its words on the wire, and who may say them.
//!
//! # Threat model
//!
//! **Who can call.**
//!
//! | way in | who | what they may do |
//! |---|---|---|
//! | control socket, in a folder of 0700 | its owner and root, by the uid that the kernel tells | all |
//! | session bus, of a user's instance | whoever that bus lets in: its user | all |
//! | system bus, of the system's instance | everybody on the host, with hostile intent, any number of connections | what the table says |
//!
//! The rest is about the system bus. There is no network.
//!
//! **What a call needs** is one row of the table in `access`, for every method of every interface; a
//! test compares it with what introspection tells, and what has no row is refused.
//!
//! | needs | which |
//! |---|---|
//! | nothing | states, lists, properties, events, verdicts (`Explain`), orphans |
//! | `org.provost.manage-services`, for each id, with the verb | `Start`, `Stop`, `Restart`, `Reload`, `Kill` |
//! | `org.provost.read-logs`, for each id | `Logs` |
//! | `org.provost.clean-orphans` | `CleanOrphans` |
//! | `org.provost.configure`: it equals root | `Load`, `Define`, `Enable`, `Remove`, `ReloadConfig`, `Reexecute`, `Exit` |
//! | what its target is | the helper's: see `helper` |
//!
//! uid 0 needs none of them.
//!
//! **What is trusted.** The bus, about who sent a message: the unique name, which it writes itself and
//! gives to nobody else, and the uid of that connection (`system/caller.rs`). polkit, about what that
//! name may do; the subject is never a pid. PID 1 and the kernel. Files that are root's alone.
//! *Not* trusted: anything in a message, the environment that a client sends along, and signals,
//! which anybody may send on this bus: the client believes those of the owner of the name alone.
//!
//! **What is checked where.**
//!
//! * Who calls: once for each connection, before its first call is looked at. Who the bus does not
//!   know is nobody.
//! * What is meant: ids, globs, a project and "all" are made a list of ids first, polkit is asked about
//!   each, and exactly those are touched afterwards, whatever came or went while a password was typed
//!   (`system/gate.rs`). What starts before a service, or stops after it, goes with it, as its config
//!   says. Details for polkit are made here: the id of a service that there is, and the verb.
//! * No answer is a denial: polkit is away, is too slow, or says what is not understood.
//! * Nothing is opened, parsed or run for a caller before that: a refusal tells nothing of files.
//! * An environment that is sent along is dropped unless root sends it: PATH or LD_PRELOAD of a caller
//!   steer nothing that runs for the system.
//! * A config of the system's instance, its folder and all folders above must be root's and writable
//!   by nobody else, also behind links (`config/trust.rs`); so must the state, log and runtime
//!   folders be (`daemon/host.rs`). Who may `configure` can name a path, and gains nothing by it.
//! * Command lines may hold keys: others than root see that of a service while it runs, as /proc shows
//!   it to them, and not where /proc hides it (`system/shown.rs`). No environment is ever told.
//!
//! **What one user can take** (`system/quota.rs`): 16 calls are answered at the same time and 112 wait,
//! more are refused; four prompts are open and four logs are read; a message is at most 256 KiB. The
//! others are served meanwhile. What is under way for a client (a prompt, a log) ends when it leaves
//! the bus. Restarts that several ask for at once are one.
//!
//! **What is left.** Whoever may `configure`, or may write to /etc/provost, is root. A service that
//! runs as root and does what its users tell it is as safe as it is itself. A client that sends and
//! never reads fills the memory that the bus has for it, which is the bus's to bound.

mod access;
mod bus;
mod calls;
mod dict;
mod error;
mod helper;
mod introspect;
mod manager;
mod path;
mod peer;
mod properties;
mod proxy;
mod recent;
mod restarts;
mod serve;
mod service;
mod signals;
mod system;
#[cfg(test)]
mod tests;

pub(crate) use bus::{serve_on, session_address};
pub(crate) use dict::{from_dict, to_dict};
pub(crate) use error::{ENDED, from_call, is_ending};
pub(crate) use peer::ControlSocket;
pub(crate) use proxy::{Dict, ManagerProxy};
pub(crate) use recent::Recent;
pub(crate) use restarts::Restarts;
pub(crate) use serve::{Api, Request};
pub(crate) use system::{Handover, is_activatable, serve_system, shown_to_all, start_next};

/// The bus name.
pub(crate) const NAME: &str = "org.provost.Provost1";
/// The object of the manager; services are below `service/` of it.
pub(crate) const PATH: &str = "/org/provost/Provost1";
