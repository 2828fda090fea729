//! What the kernel has that provost makes use of, each tried on provost itself.

use std::net::{Ipv4Addr, TcpListener};

use super::Check;
use crate::observe::sockets;
use crate::sys::pidfd::PidFd;

pub(super) fn checks() -> Vec<Check> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut all = Vec::new();
    match PidFd::open(std::process::id()) {
        Ok(own) => {
            all.push(Check::ok(
                "pidfd",
                format!("kernel {release}: a signal reaches the process that was meant, or none"),
            ));
            all.push(match own.inode() {
                Some(_) => Check::ok("pidfs", "a process is told from every other of this boot"),
                None => Check::without_cure(
                    "pidfs",
                    format!("not in kernel {release} (6.9 has it): a process is told from others by its start time"),
                ),
            });
        }
        Err(error) => all.push(Check::problem(
            "pidfd",
            format!("cannot be opened ({error}): no process can be signalled safely"),
            "use a kernel of 5.3 or later, outside of a sandbox that forbids pidfd_open",
        )),
    }
    all.push(sock_diag());
    all
}

/// Listens for a moment, and looks at who the kernel says that is.
fn sock_diag() -> Check {
    const NAME: &str = "owners of ports";
    let known = || {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let own = socket.local_addr().ok()?;
        let found = sockets::listeners(Some(own.port())).ok()?;
        found.into_iter().find(|listener| listener.addr == own)
    };
    match known() {
        Some(listener) if listener.cgroup_id.is_some() => {
            Check::ok(NAME, "known of every user's, by the socket's control group")
        }
        Some(_) => Check::without_cure(
            NAME,
            "the kernel does not tell the control group of a socket (5.9 does, with CONFIG_SOCK_CGROUP_DATA): of others' ports only the user is known",
        ),
        None => Check::without_cure(NAME, "the kernel does not list listening sockets here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_tried_here() {
        let all = checks();
        let names: Vec<&str> = all.iter().map(|check| check.name).collect();
        assert_eq!(names, ["pidfd", "pidfs", "owners of ports"]);
    }
}
