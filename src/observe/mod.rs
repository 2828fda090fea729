//! The host, read: processes, their cgroups and owners, units, listening sockets. Nothing here
//! changes anything, and nothing here decides.
//!
//! [`Observer`] is the front. `resolve` turns a target into what it means, `owners` describes the
//! owners of that; below them stand readers of one thing each. What reads /proc and /sys/fs/cgroup
//! is synchronous: the kernel answers at once. Each such reader has its root folder as an
//! argument, and beside it the pure function that understands the text.

mod bus;
mod caller;
pub(crate) mod cgroup;
mod container_owner;
pub(crate) mod containers;
pub(crate) mod find;
mod helper;
mod host;
pub(crate) mod interpreter;
mod listening;
mod nearest;
mod observer;
mod owners;
mod ports;
pub(crate) mod proc;
mod records;
mod resolve;
mod servers;
pub(crate) mod sockets;
pub(crate) mod stat;
mod sudo;
mod supervised;
pub(crate) mod tree;
mod units;
mod verdicts;

pub(crate) use bus::Bus;
pub(crate) use caller::user_name;
pub(crate) use host::{boot_id, boot_id_here, is_booted_by_systemd};
pub use observer::{Observer, Units, Want};
pub(crate) use proc::{ProcFs, ReadError};
pub(crate) use records::{glob, is_running as runs};

/// A variable of the environment, if it is set, not empty, and UTF-8.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A file of the user's own configuration.
fn config_file(name: &str) -> Option<std::path::PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    Some(crate::paths::config_dir(uid)?.join(name)).filter(|_| uid != 0)
}
