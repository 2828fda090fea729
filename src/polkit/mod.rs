//! polkit as a client sees it: the agent that asks for a password on the terminal.

mod agent;

pub(crate) use agent::Agent;
