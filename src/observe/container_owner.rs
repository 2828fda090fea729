//! A container as an owner: its processes, and whether the caller may use its runtime.

use super::cgroup::Place;
use super::observer::{Observer, Want};
use super::{helper, listening, owners, tree, user_name};
use crate::model::{Container, Manager, Owner, OwnerFacts, Process, Runtime, UnitName};

/// Describes a container in which processes matched.
pub(super) async fn owner(
    observer: &Observer,
    (container, manager, unit): (Container, Manager, Option<UnitName>),
    matched: Vec<Process>,
    want: &Want,
) -> OwnerFacts {
    let path = matched.first().and_then(|p| p.cgroup.as_deref());
    let group = path.and_then(|path| group_of(path, |part| observer.place_of_path(part)));
    let mut pids = group.as_deref().and_then(|g| Some(observer.cgroups()?.pids_in(g))).unwrap_or_default();
    pids.extend(matched.iter().map(Process::pid));
    pids.sort_unstable();
    pids.dedup();
    let matched: Vec<u32> = matched.iter().map(Process::pid).collect();
    let mut processes = observer.proc().processes(&pids);
    let tree = tree::of(observer.proc(), &matched);
    let uid = processes.first().and_then(Process::uid);
    let exact = matched.first().map(|pid| format!("pid:{pid}")).unwrap_or_default();
    let mut facts = OwnerFacts {
        signals: owners::ask_signals(observer, &mut processes, &matched, &tree),
        runtime_command: runtime_command(observer, container.runtime, manager),
        user: uid.map(user_name),
        uid,
        processes,
        matched,
        tree,
        ..OwnerFacts::new(Owner::Container { container, manager, unit }, exact)
    };
    listening::fill(observer, &mut facts, group.as_deref());
    let (availability, said) = tokio::join!(observer.availability(&facts, want), helper::ask(observer, &facts, want));
    facts.availability = availability;
    helper::keep(&mut facts, said);
    facts
}

/// The cgroup of the container: the shortest part of the path that is a container's already.
fn group_of(path: &str, place: impl Fn(&str) -> Place) -> Option<String> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let parts = ends.filter_map(|end| path.get(..end)).filter(|part| !part.is_empty());
    parts.map(str::to_owned).find(|part| matches!(place(part), Place::Container { .. }))
}

/// The runtime's command, where the caller may use it, by the path at which it was found.
fn runtime_command(observer: &Observer, runtime: Runtime, manager: Manager) -> Option<Vec<String>> {
    let caller = observer.caller();
    if !may_use(runtime, manager, caller.uid, docker_socket_is_ours) {
        return None;
    }
    let program = crate::sys::find_program(crate::decide::runtime_program(runtime))?;
    Some(vec![program.to_str()?.to_owned()])
}

/// Docker by its socket, podman for one's own containers (root's for root), the others for root.
/// What stands in the part of the tree that is a user's is for that user's runtime alone: the
/// names there are that user's, and may be those of root's containers.
fn may_use(runtime: Runtime, manager: Manager, uid: u32, docker: impl Fn() -> bool) -> bool {
    let own = match manager {
        Manager::User(owner) if owner != uid => return false,
        Manager::User(_) => true,
        Manager::System => uid == 0,
    };
    match runtime {
        Runtime::Docker => docker(),
        Runtime::Podman => own,
        _ => uid == 0,
    }
}

fn docker_socket_is_ours() -> bool {
    let named = super::env("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://").map(ToOwned::to_owned));
    let path = named.unwrap_or_else(|| "/var/run/docker.sock".to_owned());
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::{CgroupPath, ManagerRoot, place};
    use super::*;

    #[test]
    fn what_stands_in_a_users_tree_is_for_that_users_runtime() {
        let all = [Runtime::Docker, Runtime::Podman, Runtime::Containerd, Runtime::Crio, Runtime::Lxc, Runtime::Nspawn];
        for runtime in all.into_iter().chain([Runtime::Machine]) {
            assert!(!may_use(runtime, Manager::User(1001), 0, || true), "{runtime:?}: root");
            assert!(!may_use(runtime, Manager::User(1001), 1000, || true), "{runtime:?}: another user");
            assert!(may_use(runtime, Manager::System, 0, || true), "{runtime:?}: root's own");
        }
        assert!(may_use(Runtime::Podman, Manager::User(1001), 1001, || false));
        assert!(may_use(Runtime::Docker, Manager::User(1001), 1001, || true));
        assert!(may_use(Runtime::Docker, Manager::System, 1001, || true), "by the socket");
        assert!(!may_use(Runtime::Docker, Manager::System, 1001, || false));
        assert!(!may_use(Runtime::Podman, Manager::System, 1001, || true));
        assert!(!may_use(Runtime::Machine, Manager::System, 1001, || true));
    }

    #[test]
    fn the_group_of_a_container_is_its_own() {
        let hex = "0123456789abcdef".repeat(4);
        let group = |path: &str| {
            let read = |part: &str| place(&CgroupPath::new(part), &ManagerRoot::of(None));
            group_of(&path.replace("HEX", &hex), read)
        };
        for (path, expected) in [
            ("/machine.slice/machine-a.scope/payload/init.scope", "/machine.slice/machine-a.scope"),
            ("/machine.slice/machine-machine.scope/x", "/machine.slice/machine-machine.scope"),
            (
                r"/machine.slice/systemd-nspawn@my\x2dbox.service/payload",
                r"/machine.slice/systemd-nspawn@my\x2dbox.service",
            ),
            ("/lxc/lxc/a", "/lxc/lxc"),
            ("/lxc.payload.a/system.slice/a.service", "/lxc.payload.a"),
            ("/system.slice/docker.service/docker/HEX/x", "/system.slice/docker.service/docker/HEX"),
            ("/machine.slice/libpod-HEX.scope/container", "/machine.slice/libpod-HEX.scope"),
            ("/system.slice/docker-HEX.scope", "/system.slice/docker-HEX.scope"),
        ] {
            assert_eq!(group(path), Some(expected.replace("HEX", &hex)), "{path}");
        }
        assert_eq!(group("/system.slice/a.service/b"), None);
        assert_eq!(group(""), None);
    }
}
