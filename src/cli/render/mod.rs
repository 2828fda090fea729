//! What people read: text, colours and line breaks. Nothing here decides anything.

mod inspect;
mod overview;
mod plan;
mod rows;
pub(super) mod services;
mod style;
mod wrap;

pub(super) use inspect::{inspect, owner_line};
pub(super) use overview::{OverviewRow, overview};
pub(super) use plan::plan;
pub(super) use rows::rows;
pub(super) use style::{ACCENT, BAD, DIM, GOOD, STRONG, WARN, availability, verdict};
pub(super) use wrap::{Block, columns, wrap};
