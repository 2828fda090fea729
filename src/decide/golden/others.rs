//! Containers, and services of provost's own.

use super::super::samples::{self, bare, facts, in_container, root, unit_name, watson};
use super::{Case, ask};
use crate::model::{Action, Facts, Manager, Owner, OwnerFacts, Request, Runtime, Signal, SignalAnswer, Whom};

const ID: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn docker(access: bool) -> OwnerFacts {
    let scope = unit_name(&format!("docker-{ID}.scope"));
    let runtime_command = access.then(|| vec!["docker".to_owned()]);
    OwnerFacts { runtime_command, ..in_container(Runtime::Docker, ID, Manager::System, Some(scope)) }
}

fn rootless_podman(uid: u32) -> OwnerFacts {
    let scope = unit_name(&format!("libpod-{ID}.scope"));
    let owner = in_container(Runtime::Podman, ID, Manager::User(uid), Some(scope));
    OwnerFacts { runtime_command: (uid == 1000).then(|| vec!["podman".to_owned()]), ..owner }
}

fn pod() -> Facts {
    let mut owner = in_container(Runtime::Containerd, ID, Manager::System, None);
    if let Owner::Container { container, .. } = &mut owner.owner {
        container.pod = Some("7c1f4b0a-2d53-4c1e-9a55-0b7d1f4b2a11".to_owned());
    }
    owner.runtime_command = Some(vec!["crictl".to_owned()]);
    facts(root(), owner)
}

fn nspawn() -> Facts {
    let service = unit_name("systemd-nspawn@web.service");
    let mut owner = in_container(Runtime::Nspawn, "web", Manager::System, Some(service));
    owner.runtime_command = Some(vec!["machinectl".to_owned()]);
    facts(root(), owner)
}

/// The worker beside the first process was named.
fn worker(mut owner: OwnerFacts) -> OwnerFacts {
    owner.processes.push(samples::process(7300, 7100, 0, "/bin/sh -c report"));
    owner.matched = vec![7200];
    owner.tree = vec![7200];
    owner.exact = "pid:7200".to_owned();
    owner
}

pub(super) fn cases() -> Vec<Case> {
    let hup = Request { signal: Signal::HUP, ..ask(Action::Kill) };
    let own = bare(1000, "watson", SignalAnswer::Allowed);
    let own = OwnerFacts {
        owner: Owner::OwnService { id: "llm".to_owned() },
        exact: "service:llm".to_owned(),
        named: true,
        ..own
    };
    vec![
        ("stop-docker-container", facts(watson(), docker(true)), ask(Action::Stop)),
        ("stop-docker-container-force", facts(watson(), docker(true)), Request { force: true, ..ask(Action::Stop) }),
        ("stop-docker-container-no-access", facts(watson(), docker(false)), ask(Action::Stop)),
        ("start-docker-container", facts(watson(), docker(true)), ask(Action::Start)),
        ("kill-docker-container", facts(watson(), docker(true)), hup.clone()),
        ("kill-docker-container-all", facts(watson(), docker(true)), Request { whom: Whom::All, ..hup.clone() }),
        ("stop-part-of-docker-container", facts(watson(), worker(docker(true))), ask(Action::Stop)),
        ("kill-part-of-docker-container", facts(watson(), worker(docker(true))), hup),
        ("restart-rootless-podman-container", facts(watson(), rootless_podman(1000)), ask(Action::Restart)),
        ("stop-podman-container-of-other", facts(watson(), rootless_podman(1001)), ask(Action::Stop)),
        ("stop-kubernetes-pod", pod(), ask(Action::Stop)),
        ("restart-kubernetes-pod", pod(), ask(Action::Restart)),
        ("stop-nspawn-machine", nspawn(), ask(Action::Stop)),
        ("stop-own-service", facts(watson(), own), ask(Action::Stop)),
    ]
}
