//! Which processes come from which: the tree of parents, and what left it and can still be told.
//!
//! A daemon that forks twice loses its parent. It is found again
//!
//! * by its POSIX session, where the leader of that session is in the tree: a session is only
//!   ever inherited, so everything in it came from its leader;
//! * by its process group, where the leader of that group is in the tree and the process has lost
//!   its parent. A shell puts the commands of a pipeline into one group, so with its parent alive
//!   in the same session the group says nothing.
//!
//! What made a session of its own *and* lost its parent, and whose session's leader has ended, is
//! not found: nothing in the kernel connects it any more, but a cgroup that is not shared. The
//! table is read process by process, and what is forked meanwhile can be missing: who ends a tree
//! reads it again afterwards.

mod index;
mod quick;

use std::collections::{HashMap, HashSet};

pub(crate) use index::Index;

use super::proc::ProcFs;

/// Where one process stands among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The process.
    pub(crate) pid: u32,
    /// Its parent.
    pub(crate) ppid: u32,
    /// Its process group.
    pub(crate) pgid: u32,
    /// Its session.
    pub(crate) sid: u32,
    /// When it started, in clock ticks after boot: with the pid, what makes it itself.
    pub(crate) start_ticks: u64,
}

/// The processes of the host that belong to these roots: [`tree`], read the quickest way.
pub(crate) fn of(proc: &ProcFs, roots: &[u32]) -> Vec<u32> {
    quick::tree(proc, roots).unwrap_or_else(|| tree(roots, &table(proc)))
}

/// The table of all processes that the caller may see.
pub(crate) fn table(proc: &ProcFs) -> Vec<Row> {
    let row = |pid: u32| {
        let stat = proc.stat(pid).ok()?;
        Some(Row { pid, ppid: stat.ppid, pgid: stat.pgid, sid: stat.sid, start_ticks: stat.start_ticks })
    };
    super::find::in_parts(&proc.pids().unwrap_or_default(), |part| part.iter().copied().filter_map(row).collect())
}

/// The roots and everything that descends from them, each once, parents before their children.
pub(crate) fn descendants(roots: &[u32], table: &[(u32, u32)]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, ppid) in table {
        children.entry(*ppid).or_default().push(*pid);
    }
    let mut seen = HashSet::new();
    let mut tree: Vec<u32> = roots.iter().copied().filter(|pid| seen.insert(*pid)).collect();
    let mut next = 0;
    while let Some(pid) = tree.get(next) {
        next += 1;
        // 0 is no process, but the parent of PID 1 and of kthreadd.
        let below = children.get(pid).into_iter().flatten().filter(|child| **child != 0);
        let below: Vec<u32> = below.copied().filter(|child| seen.insert(*child)).collect();
        tree.extend(below);
    }
    tree
}

/// The roots, their descendants, and what the module's rules find of those that left the tree.
pub(crate) fn tree(roots: &[u32], table: &[Row]) -> Vec<u32> {
    let pairs: Vec<(u32, u32)> = table.iter().map(|row| (row.pid, row.ppid)).collect();
    let sessions: HashMap<u32, u32> = table.iter().map(|row| (row.pid, row.sid)).collect();
    let lost_parent = |row: &Row| row.ppid <= 1 || sessions.get(&row.ppid) != Some(&row.sid);
    let mut tree = descendants(roots, &pairs);
    loop {
        let members: HashSet<u32> = tree.iter().copied().filter(|pid| *pid > 1).collect();
        let left = |row: &&Row| {
            let by_session = members.contains(&row.sid);
            let by_group = members.contains(&row.pgid) && lost_parent(row);
            row.pid > 1 && !members.contains(&row.pid) && (by_session || by_group)
        };
        let found: Vec<u32> = table.iter().filter(left).map(|row| row.pid).collect();
        if found.is_empty() {
            return tree;
        }
        tree.extend(found);
        tree = descendants(&tree, &pairs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(pid: u32, ppid: u32, pgid: u32, sid: u32) -> Row {
        Row { pid, ppid, pgid, sid, start_ticks: 0 }
    }

    #[test]
    fn by_parents() {
        let table = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 5), (1, 0)];
        assert_eq!(descendants(&[2], &table), [2, 3, 4]);
        assert_eq!(descendants(&[3, 2, 3], &table), [3, 2, 4]);
        assert_eq!(descendants(&[9], &table), [9]);
        assert_eq!(descendants(&[], &table), [0_u32; 0]);
        assert_eq!(descendants(&[2], &[(2, 3), (3, 2)]), [2, 3], "a circle ends");
    }

    #[test]
    fn what_left_the_tree() {
        let table = [
            row(1, 0, 1, 1),
            row(10, 1, 10, 10),  // a shell
            row(20, 10, 20, 10), // the target, first of a pipeline
            row(21, 10, 20, 10), // the second command of the pipeline: not from the target
            row(22, 1, 20, 10),  // forked twice, the parent has ended
            row(23, 20, 23, 23), // a child with a session of its own
            row(24, 1, 24, 23),  // forked twice in that session, with a group of its own
            row(25, 24, 25, 25), // and a child of that one
            row(30, 1, 30, 29),  // somebody else's daemon
        ];
        assert_eq!(tree(&[20], &table), [20, 23, 22, 24, 25]);
        assert_eq!(tree(&[21], &table), [21]);
        assert_eq!(tree(&[30], &table), [30], "the leader of its session has ended");
    }

    #[test]
    fn a_reaper_with_a_session_of_its_own_is_no_parent() {
        let table = [row(5, 1, 5, 5), row(20, 10, 20, 10), row(10, 5, 10, 10), row(22, 5, 20, 10)];
        assert_eq!(tree(&[20], &table), [20, 22]);
    }

    #[test]
    fn the_table_of_this_host() {
        let proc = ProcFs::host().unwrap();
        let own = std::process::id();
        let table = table(&proc);
        let parent = table.iter().find(|row| row.pid == own).unwrap().ppid;
        assert_eq!(parent, std::os::unix::process::parent_id());
        assert!(tree(&[parent], &table).contains(&own));
    }

    /// Ends what a test started: by pid, and only while it is the same process.
    struct Started(Vec<crate::sys::pidfd::PidFd>, std::process::Child);

    impl Drop for Started {
        fn drop(&mut self) {
            self.0.iter().for_each(|fd| drop(fd.signal(9)));
            let _ = self.1.kill();
            let _ = self.1.wait();
        }
    }

    #[test]
    fn daemons_of_this_host_are_found_both_ways() {
        use std::io::BufRead;
        use std::os::unix::process::CommandExt;
        // The first shell leads a group; a subshell in it ends at once and leaves a process behind,
        // and a second one does the same in a session of its own.
        let script = "(sh -c 'echo $$; exec sleep 300' & ) \n\
            setsid sh -c \"(sh -c 'echo \\$\\$; exec sleep 300' & ) ; echo \\$\\$; exec sleep 300\" &\n\
            read x";
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.process_group(0).spawn().unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines().take(3);
        let pids: Vec<u32> = lines.map(|line| line.unwrap().parse().unwrap()).collect();
        let root = child.id();
        let _started = Started(pids.iter().map(|pid| crate::sys::pidfd::PidFd::open(*pid).unwrap()).collect(), child);
        let proc = ProcFs::host().unwrap();
        for tree in [of(&proc, &[root]), tree(&[root], &table(&proc))] {
            assert_eq!(tree[0], root);
            assert!(pids.iter().all(|pid| tree.contains(pid)), "{pids:?} in {tree:?}");
            assert_eq!(tree.len(), 4);
        }
    }

    proptest! {
        #[test]
        fn any_table_ends_with_each_once(
            rows in proptest::collection::vec((0u32..12, 0u32..12, 0u32..12, 0u32..12), 0..20),
            roots in proptest::collection::vec(1u32..12, 0..4),
        ) {
            let table: Vec<Row> = rows.into_iter().map(|(a, b, c, d)| row(a, b, c, d)).collect();
            let tree = tree(&roots, &table);
            let mut once = tree.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), tree.len());
            prop_assert!(roots.iter().all(|root| tree.contains(root)));
            prop_assert!(!tree.contains(&0));
            // Of a pid that stands there twice the two may see different rows; no host has one.
            let mut seen = HashSet::new();
            let table: Vec<Row> = table.into_iter().filter(|row| seen.insert(row.pid)).collect();
            let (mut plain, mut indexed) = (super::tree(&roots, &table), Index::new(&table).tree(&roots));
            plain.sort_unstable();
            indexed.sort_unstable();
            prop_assert_eq!(indexed, plain);
        }
    }
}
