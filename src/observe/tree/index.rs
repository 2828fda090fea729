//! The same tree for many roots one after the other: the table is sorted once, and a tree then
//! costs what it has, and not what the host has.

use std::collections::{HashMap, HashSet};

use super::Row;

/// A table of all processes, by what connects them.
#[derive(Debug, Default)]
pub(crate) struct Index {
    sessions: HashMap<u32, u32>,
    children: HashMap<u32, Vec<u32>>,
    of_session: HashMap<u32, Vec<u32>>,
    /// Those that have lost their parent, by their process group.
    of_group: HashMap<u32, Vec<u32>>,
}

impl Index {
    /// Sorts a table.
    pub(crate) fn new(table: &[Row]) -> Self {
        let mut index = Self { sessions: table.iter().map(|row| (row.pid, row.sid)).collect(), ..Self::default() };
        for row in table {
            if row.pid != 0 {
                index.children.entry(row.ppid).or_default().push(row.pid);
            }
            if row.pid > 1 {
                index.of_session.entry(row.sid).or_default().push(row.pid);
                if row.ppid <= 1 || index.sessions.get(&row.ppid) != Some(&row.sid) {
                    index.of_group.entry(row.pgid).or_default().push(row.pid);
                }
            }
        }
        index
    }

    /// What [`super::tree`] finds.
    pub(crate) fn tree(&self, roots: &[u32]) -> Vec<u32> {
        let mut seen = HashSet::new();
        let mut tree: Vec<u32> = roots.iter().copied().filter(|pid| seen.insert(*pid)).collect();
        let mut next = 0;
        while let Some(pid) = tree.get(next).copied() {
            next += 1;
            let left = [&self.of_session, &self.of_group].into_iter().filter(|_| pid > 1);
            let left = left.filter_map(|lists| lists.get(&pid));
            let all = self.children.get(&pid).into_iter().chain(left).flatten().copied();
            tree.extend(all.filter(|pid| seen.insert(*pid)));
        }
        tree
    }
}
