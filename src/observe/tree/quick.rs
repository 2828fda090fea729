//! The same tree without reading every process: by the kernel's own lists of children, and by
//! system calls that tell session and group in a fraction of a microsecond. For the host's /proc.

use std::collections::HashSet;

use nix::unistd::{Pid, getpgid, getsid};

use super::ProcFs;

/// How often the children of one process are listed until two lists agree.
const TRIES: usize = 6;

/// The tree of these roots; `None` where the kernel keeps no lists of children
/// (`CONFIG_PROC_CHILDREN`).
pub(super) fn tree(proc: &ProcFs, roots: &[u32]) -> Option<Vec<u32>> {
    let mut tree = descend(proc, roots)?;
    let mut all = None;
    loop {
        let members: HashSet<u32> = tree.iter().copied().filter(|pid| *pid > 1).collect();
        if !members.iter().any(|pid| leads(*pid)) {
            return Some(tree);
        }
        let all = all.get_or_insert_with(|| proc.pids().unwrap_or_default());
        let left = |pid: &u32| {
            *pid > 1
                && !members.contains(pid)
                && (session(*pid).is_some_and(|id| members.contains(&id))
                    || (group(*pid).is_some_and(|id| members.contains(&id)) && lost_parent(proc, *pid)))
        };
        let found: Vec<u32> = all.iter().copied().filter(left).collect();
        if found.is_empty() {
            return Some(tree);
        }
        tree.extend(found);
        tree = descend(proc, &tree)?;
    }
}

fn descend(proc: &ProcFs, roots: &[u32]) -> Option<Vec<u32>> {
    let mut seen = HashSet::new();
    let mut tree: Vec<u32> = roots.iter().copied().filter(|pid| seen.insert(*pid)).collect();
    let mut next = 0;
    while let Some(pid) = tree.get(next).copied() {
        next += 1;
        tree.extend(children(proc, pid)?.into_iter().filter(|child| seen.insert(*child)));
    }
    Some(tree)
}

/// The children of a process, ascending. The kernel may skip one while another ends, and a
/// thread that ends hands its children to another: so only a list that comes twice is believed.
fn children(proc: &ProcFs, pid: u32) -> Option<Vec<u32>> {
    let mut last = None;
    for _ in 0..TRIES {
        let now = proc.children(pid)?;
        if last.as_ref() == Some(&now) {
            break;
        }
        last = Some(now);
    }
    last
}

// Kernel threads have session and group 0, which is why these are not rustix's: its pid cannot
// be 0.

fn session(pid: u32) -> Option<u32> {
    id(getsid(Some(Pid::from_raw(i32::try_from(pid).ok()?))))
}

fn group(pid: u32) -> Option<u32> {
    id(getpgid(Some(Pid::from_raw(i32::try_from(pid).ok()?))))
}

fn id(answer: nix::Result<Pid>) -> Option<u32> {
    u32::try_from(answer.ok()?.as_raw()).ok()
}

/// It leads a session or a group, so that something may have stayed in it.
fn leads(pid: u32) -> bool {
    session(pid) == Some(pid) || group(pid) == Some(pid)
}

/// Its parent is not of its session: it was given to a reaper.
fn lost_parent(proc: &ProcFs, pid: u32) -> bool {
    proc.stat(pid).is_ok_and(|stat| stat.ppid <= 1 || session(stat.ppid) != session(pid))
}
