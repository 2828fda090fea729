//! The processes of a unit, and which of them the target means.

use super::super::observer::Observer;
use super::super::{ReadError, interpreter, tree};
use crate::gather::Arrange as _;
use crate::model::{Manager, Process, UnitFacts, UnitKind, UnitName};
use crate::systemd;

/// The processes of a unit.
pub(super) struct Members {
    /// The cgroup that holds them all; `None` where only a part of a scope is looked at.
    pub(super) group: Option<String>,
    /// The main process first.
    pub(super) processes: Vec<Process>,
    /// What the target matched; of a unit that was named: its main process, or all.
    pub(super) matched: Vec<u32>,
    /// That, with all that descends from it.
    pub(super) tree: Vec<u32>,
    /// As in [`crate::model::OwnerFacts`].
    pub(super) includes_main: bool,
    /// How many of them /proc hides.
    pub(super) hidden: usize,
}

impl Members {
    /// Reads the processes of a unit. `matched`: what led to it; `None` if it was named itself.
    pub(super) async fn read(
        observer: &Observer,
        (manager, client): (Manager, Option<&systemd::Manager>),
        unit: &UnitName,
        facts: Option<&UnitFacts>,
        matched: Option<&[Process]>,
    ) -> Self {
        let group = facts.and_then(|f| observer.group_of(manager, &f.control_group));
        let mut group = group.or_else(|| matched?.first().and_then(|p| group_of_unit(p, unit)));
        let mut pids = pids_of(observer, client, unit, facts, group.as_deref()).await;
        for process in matched.into_iter().flatten() {
            if !pids.contains(&process.pid()) {
                pids.push(process.pid());
            }
        }
        let meant: Option<Vec<u32>> = matched.map(|all| all.iter().map(Process::pid).collect());
        // Everything descends from PID 1, and nothing of it is meant by its name.
        let tree_of = |meant: &Vec<u32>| if *meant == [1] { vec![1] } else { tree::of(observer.proc(), meant) };
        let tree = meant.as_ref().map(tree_of);
        // Of a scope that holds more than the target, the rest is none of our business.
        let scope = unit.kind() == UnitKind::Scope;
        if let Some(tree) = tree.as_ref().filter(|tree| scope && pids.iter().any(|pid| !tree.contains(pid))) {
            pids.clone_from(tree);
            group = None;
        }
        let main = facts.and_then(|f| f.main_pid);
        pids.arrange_by_key(|pid| (Some(*pid) != main, *pid));
        let processes = observer.proc().processes(&pids);
        let is_hidden = |pid: &&u32| matches!(observer.proc().comm(**pid), Err(ReadError::Hidden { .. }));
        let hidden = if processes.len() < pids.len() { pids.iter().filter(is_hidden).count() } else { 0 };
        let all = || processes.iter().map(Process::pid).collect::<Vec<u32>>();
        // Who cannot see PID 1 in its scope sees a part of it.
        let part_of_scope = scope && (group.is_none() || unit.as_str() == "init.scope");
        let (matched, tree, includes_main) = match (meant, tree) {
            (Some(meant), Some(tree)) => {
                let main = !part_of_scope && includes_main(main.filter(|_| !scope), &processes, &meant, &tree);
                (meant, tree, main)
            }
            _ => (main.filter(|main| all().contains(main)).map_or_else(all, |main| vec![main]), all(), true),
        };
        Self { group, processes, matched, tree, includes_main, hidden }
    }
}

/// By the cgroup tree; where that tells nothing, by the manager.
async fn pids_of(
    observer: &Observer,
    client: Option<&systemd::Manager>,
    unit: &UnitName,
    facts: Option<&UnitFacts>,
    group: Option<&str>,
) -> Vec<u32> {
    let pids = group.map(|g| observer.pids_in(g)).unwrap_or_default();
    match client.filter(|_| pids.is_empty() && facts.is_some_and(UnitFacts::is_active)) {
        Some(client) => {
            let listed = client.unit_processes(unit).await.unwrap_or_default();
            listed.into_iter().map(|(_, pid, _)| pid).collect()
        }
        None => pids,
    }
}

/// The cgroup of the unit: the path of the process up to the unit's own part.
fn group_of_unit(process: &Process, unit: &UnitName) -> Option<String> {
    let path = process.cgroup.as_deref()?;
    let mut upto = String::new();
    for part in path.split('/').filter(|p| !p.is_empty()) {
        upto.push('/');
        upto.push_str(part);
        if part.strip_prefix('_').unwrap_or(part) == unit.as_str() {
            return Some(upto);
        }
    }
    None
}

/// Whether the matches stand for the whole unit: they include the main process, or run its
/// program; for a unit without a main process, they and their descendants are all of it.
fn includes_main(main: Option<u32>, processes: &[Process], matched: &[u32], tree: &[u32]) -> bool {
    let Some(main) = main else {
        return !matched.is_empty() && processes.iter().all(|p| tree.contains(&p.pid()));
    };
    let Some(main) = processes.iter().find(|p| p.pid() == main) else { return matched.contains(&main) };
    let program = interpreter::program(main);
    let same = |p: &Process| p.pid() == main.pid() || interpreter::program(p) == program;
    if matched.is_empty() {
        // Which of them it is cannot be told: only if all are the same does it not matter.
        return processes.iter().all(same);
    }
    processes.iter().filter(|p| matched.contains(&p.pid())).any(same)
}
