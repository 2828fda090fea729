//! Container runtimes by the names that they give their cgroups: a table, and how it is read.

use super::place::unescaped;
use crate::model::{Container, Runtime};

/// How a runtime names the cgroup of one container. The first row that fits is taken.
struct Row {
    /// What stands before the id.
    prefix: &'static str,
    /// What stands behind it. A scope is a unit, anything else is a plain cgroup.
    suffix: &'static str,
    id: Id,
    runtime: Runtime,
}

/// What the part between prefix and suffix must be.
enum Id {
    /// 64 hexadecimal digits.
    Hex,
    /// Any name.
    Name,
    /// Any name, escaped by the rules of unit names: `-` as `\x2d`.
    Escaped,
}

const fn row(prefix: &'static str, suffix: &'static str, id: Id, runtime: Runtime) -> Row {
    Row { prefix, suffix, id, runtime }
}

/// One name of a cgroup is enough to know these.
const ROWS: [Row; 16] = [
    row("docker-", ".scope", Id::Hex, Runtime::Docker),
    row("libpod-", ".scope", Id::Hex, Runtime::Podman),
    row("libpod-conmon-", ".scope", Id::Hex, Runtime::Podman),
    row("libpod-", "", Id::Hex, Runtime::Podman),
    row("libpod-conmon-", "", Id::Hex, Runtime::Podman),
    row("libpod-payload-", "", Id::Hex, Runtime::Podman),
    row("cri-containerd-", ".scope", Id::Hex, Runtime::Containerd),
    row("nerdctl-", ".scope", Id::Hex, Runtime::Containerd),
    row("crio-", ".scope", Id::Hex, Runtime::Crio),
    row("crio-conmon-", ".scope", Id::Hex, Runtime::Crio),
    row("crio-", "", Id::Hex, Runtime::Crio),
    row("crio-conmon-", "", Id::Hex, Runtime::Crio),
    row("lxc.payload.", "", Id::Name, Runtime::Lxc),
    row("lxc.monitor.", "", Id::Name, Runtime::Lxc),
    row("systemd-nspawn@", ".service", Id::Escaped, Runtime::Nspawn),
    row("machine-", ".scope", Id::Escaped, Runtime::Machine),
];

/// These are a folder of the runtime and the container's id (or name) below it.
const FOLDERS: [(&str, Id, Runtime); 6] = [
    ("docker", Id::Hex, Runtime::Docker),
    ("libpod_parent", Id::Hex, Runtime::Podman),
    ("lxc", Id::Name, Runtime::Lxc),
    ("lxc.payload", Id::Name, Runtime::Lxc),
    ("lxc.monitor", Id::Name, Runtime::Lxc),
    ("machine", Id::Name, Runtime::Machine),
];

/// The services of runtimes. What stands below them in the tree is a container, not a part of the
/// service; below any other service (podman's quadlets) the service manages the container.
const DAEMONS: [&str; 8] = [
    "docker.service",
    "containerd.service",
    "crio.service",
    "k3s.service",
    "k3s-agent.service",
    "podman.service",
    "snap.docker.dockerd.service",
    "lxc.service",
];

/// Whether this service is a container runtime's own.
pub(super) fn is_daemon(service: &str) -> bool {
    DAEMONS.contains(&service)
}

/// The container that the first names of a path (without the slices before them) say. `slices`
/// are those before; Kubernetes puts the pod's uid there.
pub(super) fn leading(names: &[&str], slices: &[&str]) -> Option<Container> {
    let (first, rest) = names.split_first()?;
    let pod = slices.iter().find_map(|slice| pod_of(slice));
    if let Some(container) = one(unescaped(first), pod.clone()) {
        let nspawn = container.runtime == Runtime::Machine && rest.first().is_some_and(|n| is_nspawn_part(n));
        let runtime = if nspawn { Runtime::Nspawn } else { container.runtime };
        return Some(Container { runtime, ..container });
    }
    if *first == "kubepods" {
        return kubepods(rest);
    }
    let (_, id, runtime) = FOLDERS.iter().find(|(folder, ..)| folder == first)?;
    let below = rest.first()?;
    let plain = id.read(below).map(|id| Container { runtime: *runtime, id, pod: pod.clone() });
    plain.or_else(|| one(below, pod))
}

/// The container that the subgroups of a unit name. A machine is not believed there, of whatever
/// kind: its names are too ordinary for a folder that anybody may make.
pub(super) fn nested(names: &[&str]) -> Option<Container> {
    let first = leading(names, &[]);
    let any = || names.iter().find_map(|name| one(name, None).or_else(|| colons(name)));
    first.or_else(any).filter(|container| !matches!(container.runtime, Runtime::Machine | Runtime::Nspawn))
}

fn one(name: &str, pod: Option<String>) -> Option<Container> {
    let row = |r: &Row| {
        let id = r.id.read(name.strip_prefix(r.prefix)?.strip_suffix(r.suffix)?)?;
        Some(Container { runtime: r.runtime, id, pod: pod.clone() })
    };
    ROWS.iter().find_map(row)
}

/// `kubepods-burstable-podUID.slice:cri-containerd:ID`: what containerd makes where it and the
/// kubelet do not agree on who drives the cgroups.
fn colons(name: &str) -> Option<Container> {
    let mut parts = name.splitn(3, ':');
    let (slice, prefix, id) = (parts.next()?, parts.next()?, parts.next()?);
    let scope = format!("{prefix}-{id}.scope");
    one(&scope, pod_of(slice))
}

/// `kubepods[/CLASS]/podUID/ID`, where no systemd drives the cgroups.
fn kubepods(names: &[&str]) -> Option<Container> {
    let at = names.iter().take(2).position(|n| n.starts_with("pod"))?;
    let pod = names.get(at)?.strip_prefix("pod").map(str::to_owned);
    let name = names.get(at + 1)?;
    // The bare id does not say who runs it; containerd is what Kubernetes comes with.
    let bare = || Some(Container { runtime: Runtime::Containerd, id: Id::Hex.read(name)?, pod: pod.clone() });
    one(name, pod.clone()).or_else(bare)
}

/// `kubepods-burstable-podUID.slice` with `_` for `-` in the uid.
fn pod_of(slice: &str) -> Option<String> {
    let (class, uid) = slice.strip_suffix(".slice")?.rsplit_once("-pod")?;
    (class.split('-').any(|part| part == "kubepods") && !uid.is_empty()).then(|| uid.replace('_', "-"))
}

/// What systemd-nspawn makes inside the unit of a machine.
fn is_nspawn_part(name: &str) -> bool {
    matches!(name, "payload" | "supervisor")
}

impl Id {
    fn read(&self, text: &str) -> Option<String> {
        match self {
            Self::Hex => (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_owned()),
            Self::Name => (!text.is_empty()).then(|| text.to_owned()),
            Self::Escaped => Some(unescape(text)).filter(|name| !name.is_empty()),
        }
    }
}

/// `\x2d` back to `-` (systemd-escape(1)).
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = rest.strip_prefix(b"\\x").and_then(|t| t.get(..2)).and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = rest.get(4..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
