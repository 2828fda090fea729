//! Who is responsible for a process.

use serde::{Deserialize, Serialize};

use super::{Identity, UnitName};

/// Which systemd manages a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// PID 1.
    System,
    /// The user manager of this uid.
    User(u32),
}

/// The program that runs a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of products")]
pub enum Runtime {
    Docker,
    Podman,
    Containerd,
    Crio,
    Lxc,
    Nspawn,
    /// A machine registered with systemd-machined whose kind the cgroup does not tell.
    Machine,
}

impl Runtime {
    /// The name in lower case, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Lxc => "lxc",
            Self::Nspawn => "nspawn",
            Self::Machine => "machine",
        }
    }
}

/// A container, as the runtime would name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Container {
    /// Who runs it.
    pub runtime: Runtime,
    /// The id (64 hexadecimal digits for docker, podman, containerd, crio) or the machine's name.
    pub id: String,
    /// Under Kubernetes: the pod's uid, from the name of its slice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}

/// Who is responsible for a process: the answer to "whose is it?".
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Owner {
    /// A service that provost itself started.
    OwnService {
        /// Its id.
        id: String,
    },
    /// A unit of the system manager.
    SystemUnit {
        /// The unit.
        unit: UnitName,
    },
    /// A unit of somebody's user manager.
    UserUnit {
        /// The user whose manager it is.
        uid: u32,
        /// The unit.
        unit: UnitName,
    },
    /// A login session, whose scope holds everything that was started in it.
    Session {
        /// logind's id of the session.
        id: String,
        /// Who is logged in, where the cgroup path tells.
        uid: Option<u32>,
        /// The first process of the tree that this owner stands for. Things started in one
        /// session have nothing to do with each other.
        root: Identity,
    },
    /// A container.
    Container {
        /// Which one.
        container: Container,
        /// Whose runtime it would be: a user's, where it stands in the part of the cgroup tree
        /// that is that user's, whatever the names there say.
        manager: Manager,
        /// The unit that holds it, where its cgroup is one.
        unit: Option<UnitName>,
    },
    /// Nobody: a process in no unit of its own.
    Bare {
        /// The first process of the tree that this owner stands for.
        root: Identity,
    },
    /// The kernel.
    Kernel,
}

impl Owner {
    /// The `kind` of the JSON output.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::OwnService { .. } => "own-service",
            Self::SystemUnit { .. } => "system-unit",
            Self::UserUnit { .. } => "user-unit",
            Self::Session { .. } => "session",
            Self::Container { .. } => "container",
            Self::Bare { .. } => "bare",
            Self::Kernel => "kernel",
        }
    }

    /// The unit, where the owner is one (not the unit around a container).
    pub fn unit(&self) -> Option<(Manager, &UnitName)> {
        match self {
            Self::SystemUnit { unit } => Some((Manager::System, unit)),
            Self::UserUnit { uid, unit } => Some((Manager::User(*uid), unit)),
            _ => None,
        }
    }
}
