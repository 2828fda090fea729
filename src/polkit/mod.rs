//! polkit from both sides: the agent that asks for a password on the terminal of whoever calls, and
//! the authority that the system's daemon asks whether a caller may.

mod agent;
mod authority;

pub(crate) use agent::Agent;
pub(crate) use authority::{Answer, Authority};
