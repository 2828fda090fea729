//! The family of processes: what a signal to their tree reaches.

use super::{ProcFs, tree};

/// The roots and everything that descends from them, ascending; also what lost its parent and can
/// still be told, so that a plan shows what will be signalled.
pub(super) fn below(proc: &ProcFs, roots: &[u32]) -> Vec<u32> {
    let mut all = tree::of(proc, roots);
    all.sort_unstable();
    all
}
