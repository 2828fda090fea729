//! A process and what descends from it, by the kernel's own lists of children.

use std::collections::BTreeSet;
use std::fs;

use super::ProcFs;

/// The roots and everything below them. Reads only the members of the tree
/// (/proc/PID/task/TID/children), not every process of the host.
pub(super) fn below(proc: &ProcFs, roots: &[u32]) -> Vec<u32> {
    let mut seen: BTreeSet<u32> = BTreeSet::new();
    let mut todo: Vec<u32> = roots.to_vec();
    while let Some(pid) = todo.pop() {
        if seen.insert(pid) {
            todo.extend(children(proc, pid));
        }
    }
    seen.into_iter().collect()
}

fn children(proc: &ProcFs, pid: u32) -> Vec<u32> {
    let tasks = proc.root().join(pid.to_string()).join("task");
    let Ok(threads) = fs::read_dir(tasks) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<u32>>()).collect()
}
