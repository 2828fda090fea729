//! The programs that serve a port for a container: a table.

/// One kind of proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    /// What it is called: comm, base name of the executable or of argv\[0\].
    pub(super) names: &'static [&'static str],
    /// How the container is found.
    pub(super) by: By,
    /// The command that tells what cannot be seen; `PORT` is replaced.
    pub(super) ask: &'static str,
}

/// How a proxy shows its container.
#[derive(Debug)]
pub(super) enum By {
    /// By the container's address, after this option: looked for in the network namespaces of
    /// all containers.
    Address(&'static str),
    /// By the container's id, after one of these options.
    Id(&'static [&'static str]),
    /// By a network namespace: that of one of its children, one that it has open, or one whose
    /// file is among its arguments.
    Network,
}

pub(super) const PROXIES: [Proxy; 6] = [
    Proxy {
        names: &["docker-proxy", "rootlesskit-docker-proxy"],
        by: By::Address("-container-ip"),
        ask: "docker ps --filter publish=PORT",
    },
    // It keeps published ports of a bridge open, so that nobody else takes them.
    Proxy { names: &["conmon", "conmonrs"], by: By::Id(&["-c", "--cid"]), ask: "podman ps" },
    Proxy {
        names: &["containerd-shim-runc-v2", "containerd-shim", "containerd-shim-runc-v1"],
        by: By::Id(&["-id", "--id"]),
        ask: "docker ps",
    },
    Proxy { names: &["rootlessport", "rootlessport-child"], by: By::Network, ask: "podman ps" },
    Proxy { names: &["slirp4netns", "pasta", "pasta.avx2", "passt"], by: By::Network, ask: "podman ps" },
    // Its child is the namespace in which the whole daemon runs, not that of one container.
    Proxy { names: &["rootlesskit"], by: By::Network, ask: "docker ps --filter publish=PORT" },
];
