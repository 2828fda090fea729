//! The durable record of what provost started: one JSON file each, written whole or not at all.
//!
//! `store` holds the files, `lock` keeps a second daemon from them, `recovery` decides (purely)
//! what becomes of each record when a daemon starts, `removed` is what no config brings back,
//! `orphans` finds what is in none, and `report` says what `provost registry` prints.

mod instance;
mod load;
mod lock;
pub(crate) mod orphans;
mod record;
pub(crate) mod recovery;
mod removed;
mod report;
mod store;
mod upgrade;

pub(crate) use load::{Damaged, Loaded};
pub(crate) use lock::{Held, Holder, Left, Lock};
pub use record::Record;
pub(crate) use removed::Removed;
pub(crate) use report::{Registry, registry};
pub(crate) use store::Store;
