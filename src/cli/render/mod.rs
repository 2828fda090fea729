//! What people read: text, colours and line breaks. Nothing here decides anything.

mod inspect;
mod overview;
mod plan;
mod style;
mod wrap;

pub(super) use inspect::inspect;
pub(super) use overview::{OverviewRow, overview};
pub(super) use plan::plan;
pub(super) use style::{ACCENT, BAD, DIM, GOOD, STRONG, WARN, availability, verdict};
pub(super) use wrap::{Block, columns};
