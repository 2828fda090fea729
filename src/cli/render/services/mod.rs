//! Services for people: the table of `list`, the lines of `status`, one service in detail, events.

mod detail;
mod event;
mod status;
mod table;
mod words;

pub(in crate::cli) use detail::detail;
pub(in crate::cli) use event::event;
pub(in crate::cli) use status::{health, is_good, status, status_line};
pub(in crate::cli) use table::table;
