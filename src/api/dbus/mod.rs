//! The daemon over D-Bus: the interfaces, as `units/` and the documentation name them.
//!
//! Objects are not registered anywhere: a call is looked up by its path when it comes (`calls`),
//! on the control socket (`peer`) and on the session bus (`bus`) alike. What a method does is the
//! supervisor's; here are only its words on the wire.

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
pub(crate) use error::{from_call, is_ending};
pub(crate) use peer::ControlSocket;
pub(crate) use proxy::{Dict, ManagerProxy};
pub(crate) use recent::Recent;
pub(crate) use restarts::Restarts;
pub(crate) use serve::{Api, Request};
pub(crate) use system::{Handover, is_activatable, serve_system, start_next};

/// The bus name.
pub(crate) const NAME: &str = "org.provost.Provost1";
/// The object of the manager; services are below `service/` of it.
pub(crate) const PATH: &str = "/org/provost/Provost1";
