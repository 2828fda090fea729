//! The durable record of what provost started: one JSON file each, written whole or not at all.

mod record;
mod store;

pub use record::Record;
pub(crate) use store::Store;
