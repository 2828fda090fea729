//! Which TCP addresses an owner listens on.

use super::observer::Observer;
use super::sockets;
use crate::model::OwnerFacts;

/// Fills in the addresses: by the cgroup of the owner's unit, and by the open files of its
/// processes where those can be read.
pub(super) fn fill(observer: &Observer, owner: &mut OwnerFacts, group: Option<&str>) {
    // With hidepid there are processes that are not seen, in a cgroup that is.
    if owner.processes.is_empty() && group.is_none() {
        owner.listening = Some(Vec::new());
        return;
    }
    let Ok(all) = sockets::listeners(None) else {
        owner.notes.push("the kernel's list of sockets cannot be read".to_owned());
        return;
    };
    let ids = group.and_then(|g| Some(observer.cgroups()?.ids_below(g))).unwrap_or_default();
    let pids: Vec<u32> = owner.processes.iter().map(crate::model::Process::pid).collect();
    owner.listening = sockets::listening_of(observer.proc(), &all, &pids, &ids);
    if owner.listening.is_none() {
        let told = observer.told_of(&pids);
        owner.listening = (!told.is_empty()).then_some(told);
    }
    if owner.listening.is_none() {
        owner.notes.push("which ports it listens on cannot be read: its open files are hidden from you".to_owned());
    }
}
