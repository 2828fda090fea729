//! From a process that serves a port for a container to the container itself.
//!
//! The proxies of container runtimes listen on the host and pass everything on. Whose they are is
//! told by their arguments, or by the network namespace that they lead into; the runtime itself
//! is not asked. A name is only a hint: the container that it leads to must be one whose runtime
//! runs as the same user, so that nobody's own `docker-proxy` claims another's container.

mod inside;
mod proxies;

use std::net::SocketAddr;

use inside::Inside;
use proxies::{By, PROXIES, Proxy};

use super::proc::ProcFs;
use super::sockets::Listener;
use crate::model::{Manager, Process};

/// What a process does for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Serves {
    /// It is no proxy.
    Nothing,
    /// It passes on to the container in which this process runs.
    Container(u32),
    /// It is a proxy, and which container it serves cannot be told: why, and what tells it.
    Unknown(String),
}

/// The process in the container that this one serves, where it is a proxy and that is known.
pub(super) fn served(proc: &ProcFs, process: &Process, addr: SocketAddr) -> Option<u32> {
    match serves(proc, process, addr) {
        Serves::Container(pid) => Some(pid),
        Serves::Nothing => None,
        Serves::Unknown(reason) => {
            tracing::debug!(pid = process.pid(), %reason, "a proxy");
            None
        }
    }
}

/// The same where nobody's open files can be read: a proxy among these processes whose command
/// line says that it publishes this very address, and that runs as the user who listens.
pub(super) fn publisher(proc: &ProcFs, among: &[u32], listener: &Listener) -> Option<u32> {
    let publishes = |process: &Process| {
        let says = |option| value(&process.cmdline, &[option]);
        let port = says("-host-port").and_then(|port| port.parse().ok());
        let ip = says("-host-ip").and_then(|ip| ip.parse().ok());
        port == Some(listener.addr.port())
            && ip == Some(listener.addr.ip())
            && process.uids.is_some_and(|uids| uids.effective == listener.uid)
    };
    proc.processes(among).iter().filter(|p| publishes(p)).find_map(|p| served(proc, p, listener.addr))
}

/// What a process that listens on this address does for a container.
pub(crate) fn serves(proc: &ProcFs, process: &Process, addr: SocketAddr) -> Serves {
    match proxy(process) {
        None => Serves::Nothing,
        Some(row) => among(proc, process, row, addr, &inside::all(proc)),
    }
}

fn proxy(process: &Process) -> Option<&'static Proxy> {
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let names = [process.exe.as_deref().map(base), process.cmdline.first().map(|first| base(first))];
    let is = |row: &&Proxy| {
        row.names.contains(&process.comm.as_str())
            || names.iter().flatten().any(|name| row.names.contains(&name.as_str()))
    };
    PROXIES.iter().find(is)
}

/// The container among these processes of containers.
fn among(proc: &ProcFs, process: &Process, row: &Proxy, addr: SocketAddr, all: &[Inside]) -> Serves {
    let near: Vec<&Inside> = all.iter().filter(|inside| is_same_user(process, inside)).collect();
    let told = match row.by {
        By::Address(option) => by_address(proc, process, option, &near),
        By::Id(options) => by_id(process, options, &near),
        By::Network => by_network(proc, process, &near),
    };
    let why = match told {
        Ok(pid) => return Serves::Container(pid),
        Err(why) => why,
    };
    Serves::Unknown(format!(
        "{} passes port {} on to a container, and which one cannot be told: {why}; ask {}",
        row.names.first().unwrap_or(&"it"),
        addr.port(),
        row.ask.replace("PORT", &addr.port().to_string())
    ))
}

/// A container of the system, and a proxy of root; or both of the same user.
fn is_same_user(process: &Process, inside: &Inside) -> bool {
    let uid = process.uids.map(|uids| uids.real);
    match inside.manager {
        Manager::User(owner) => uid == Some(owner),
        Manager::System => uid == Some(0),
    }
}

type Told = Result<u32, &'static str>;

/// The processes that remain must be of one container.
fn one<'i>(found: impl Iterator<Item = &'i &'i Inside>, none: &'static str) -> Told {
    let found: Vec<&Inside> = found.copied().collect();
    let first = found.first().ok_or(none)?;
    if found.iter().any(|other| other.container != first.container) {
        return Err("several containers share its network");
    }
    Ok(found.iter().find(|inside| !inside.helper).unwrap_or(first).pid)
}

fn by_id(process: &Process, options: &[&str], all: &[&Inside]) -> Told {
    let id = value(&process.cmdline, options).ok_or("its command line names no container")?;
    one(all.iter().filter(|inside| inside.container.id == id), "no process of that container can be seen")
}

fn by_address(proc: &ProcFs, process: &Process, option: &str, all: &[&Inside]) -> Told {
    let ip = value(&process.cmdline, &[option]).ok_or("its command line names no address")?;
    let has = |inside: &&&Inside| !inside.helper && proc.has_address(inside.pid, ip);
    one(all.iter().filter(has), "no container that can be seen has its address")
}

fn by_network(proc: &ProcFs, process: &Process, all: &[&Inside]) -> Told {
    let here = proc.network(std::process::id());
    let mut networks = proc.networks_of(process);
    networks.retain(|network| Some(*network) != here);
    if networks.is_empty() {
        return Err("its network namespaces cannot be read");
    }
    let has = |inside: &&&Inside| !inside.helper && proc.network(inside.pid).is_some_and(|n| networks.contains(&n));
    one(all.iter().filter(has), "no container that can be seen is in its network namespace")
}

/// The word after one of these options, or what stands behind its `=`.
fn value<'a>(cmdline: &'a [String], options: &[&str]) -> Option<&'a str> {
    let at = |i: usize, word: &'a str| {
        let glued = options.iter().find_map(|option| word.strip_prefix(option)?.strip_prefix('='));
        glued.or_else(|| options.contains(&word).then(|| cmdline.get(i + 1).map(String::as_str)).flatten())
    };
    cmdline.iter().enumerate().skip(1).find_map(|(i, word)| at(i, word))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
