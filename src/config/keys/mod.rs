//! The keys of a config file as one table: what is checked, what is meant, and the JSON Schema
//! are all read from it.

mod kind;
mod meant;
mod table;

pub(super) use kind::{Kind, Shape};
pub(super) use meant::meant;
pub(super) use table::{FILE, HEALTH_LOOKS, KINDS, READY_CHECKS, SERVICE};

/// One key.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The value where nothing is written, as JSON; empty: none.
    pub(super) default: &'static str,
    pub(super) about: &'static str,
}
