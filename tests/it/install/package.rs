//! packages
use crate::trial::Trials;
pub fn register(_: &mut Trials) {}
