//! provost controls any process on a Linux host by the right means, and says by what right.
//!
//! One direction, no way back:
//!
//! ```text
//! target ──> observe ──> decide ──> act ──> probe/verify
//! (words)    (Facts)     (Plan)     (effects) (outcome)
//! ```
//!
//! * [`model`]: the words as types; pure.
//! * [`probe`]: whether a service answers.
//! * [`text`]: what came from elsewhere, made fit for a terminal.

#![deny(clippy::undocumented_unsafe_blocks)]

pub mod decide;
pub mod model;
pub mod probe;
pub(crate) mod systemd;
pub mod text;
