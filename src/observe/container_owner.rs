//! A container as an owner: its processes, and whether the caller may use its runtime.

use super::observer::{Observer, Want};
use super::{listening, owners, tree, user_name};
use crate::model::{Container, Manager, Owner, OwnerFacts, Process, Runtime, UnitName};

/// Describes a container in which processes matched.
pub(super) async fn owner(
    observer: &Observer,
    container: Container,
    unit: Option<(Manager, UnitName)>,
    matched: Vec<Process>,
    want: &Want,
) -> OwnerFacts {
    let group = matched.first().and_then(|p| group_of(p, &container.id));
    let mut pids = group.as_deref().and_then(|g| Some(observer.cgroups()?.pids_in(g))).unwrap_or_default();
    pids.extend(matched.iter().map(Process::pid));
    pids.sort_unstable();
    pids.dedup();
    let matched: Vec<u32> = matched.iter().map(Process::pid).collect();
    let mut processes = observer.proc().processes(&pids);
    let tree = tree::of(observer.proc(), &matched);
    let uid = processes.first().and_then(Process::uid);
    let mut facts = OwnerFacts {
        signals: owners::ask_signals(observer, &mut processes, &matched, &tree),
        runtime_command: runtime_command(observer, container.runtime, unit.as_ref().map(|(m, _)| *m)),
        exact: matched.first().map(|pid| format!("pid:{pid}")).unwrap_or_default(),
        owner: Owner::Container { container, unit },
        named: false,
        by_pattern: false,
        user: uid.map(user_name),
        uid,
        processes,
        matched,
        tree,
        includes_main: true,
        unit: None,
        sudo: None,
        listening: None,
        availability: None,
        notes: Vec::new(),
    };
    listening::fill(observer, &mut facts, group.as_deref());
    facts.availability = observer.availability(&facts, want).await;
    facts
}

/// The cgroup of the container: up to the part that has its id.
fn group_of(process: &Process, id: &str) -> Option<String> {
    let path = process.cgroup.as_deref()?;
    let mut upto = String::new();
    for part in path.split('/').filter(|p| !p.is_empty()) {
        upto.push('/');
        upto.push_str(part);
        if part.contains(id) {
            return Some(upto);
        }
    }
    None
}

/// The runtime's command, where the caller may use it: docker by its socket, podman for one's own
/// containers (root's for root), the others for root.
fn runtime_command(observer: &Observer, runtime: Runtime, manager: Option<Manager>) -> Option<Vec<String>> {
    let program = crate::decide::runtime_program(runtime);
    crate::sys::find_program(program)?;
    let caller = observer.caller();
    let may = match runtime {
        Runtime::Docker => docker_socket_is_ours(),
        Runtime::Podman => match manager {
            Some(Manager::User(uid)) => uid == caller.uid,
            _ => caller.is_root(),
        },
        _ => caller.is_root(),
    };
    may.then(|| vec![program.to_owned()])
}

fn docker_socket_is_ours() -> bool {
    let named = super::env("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://").map(ToOwned::to_owned));
    let path = named.unwrap_or_else(|| "/var/run/docker.sock".to_owned());
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}
