//! polkit from both sides: the agent that asks for a password on the terminal of whoever calls, and
//! the authority that the system's daemon asks whether a caller may.

mod agent;
#[allow(dead_code, reason = "for the interfaces of the system bus")]
mod authority;

pub(crate) use agent::Agent;
#[allow(unused_imports, reason = "for the interfaces of the system bus")]
pub(crate) use authority::{Answer, Authority};
