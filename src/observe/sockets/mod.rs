//! TCP listeners of every user, and whose they are.
//!
//! The kernel tells anybody about every listening socket of the caller's network namespace, with
//! the cgroup that it was made in (Linux 5.9): so the owner of a port is known where
//! /proc/PID/fd of another user cannot be read.

mod closing;
mod diag;
mod text;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

use super::proc::ProcFs;
use crate::gather::Arrange as _;
pub(crate) use closing::Closings;

/// One listening TCP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// The user that made it.
    pub(crate) uid: u32,
    /// As in `socket:[INODE]` under /proc/PID/fd.
    pub(crate) inode: u64,
    /// The cgroup (version 2) in which it was made; `None` where the kernel does not tell. A
    /// socket that PID 1 listens on for a unit was made in PID 1's.
    pub(crate) cgroup_id: Option<u64>,
}

/// The listeners on this port, or on all; by netlink, and where that fails by /proc/net/tcp,
/// which knows no cgroups.
pub(crate) fn listeners(port: Option<u16>) -> io::Result<Vec<Listener>> {
    let mut all = diag::listeners().or_else(|error| {
        tracing::debug!(%error, "sock_diag");
        text::listeners()
    })?;
    all.retain(|listener| port.is_none_or(|port| port == listener.addr.port()));
    all.arrange_by_key(|listener| (listener.addr, listener.inode));
    Ok(all)
}

/// Which processes have a socket open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holders {
    /// Those that have.
    pub(crate) pids: Vec<u32>,
    /// Those whose descriptors may not be read, so that they may have it too.
    pub(crate) unreadable: Vec<u32>,
}

/// Which of the candidates have one of these sockets open.
pub(crate) fn holders(proc: &ProcFs, inodes: &[u64], candidates: &[u32]) -> Holders {
    let mut holders = Holders::default();
    for pid in candidates {
        let Ok(entry) = proc.entry(*pid) else { continue };
        match entry.sockets() {
            Some(open) if open.iter().any(|inode| inodes.contains(inode)) => holders.pids.push(*pid),
            Some(_) => {}
            None => holders.unreadable.push(*pid),
        }
    }
    holders
}

/// Which of these sockets each of the candidates has open.
pub(crate) fn holders_of(proc: &ProcFs, inodes: &BTreeSet<u64>, candidates: &[u32]) -> Vec<(u64, u32)> {
    let open = |pid: &u32| proc.entry(*pid).ok()?.sockets();
    let all = candidates.iter().filter_map(|pid| Some((*pid, open(pid)?)));
    all.flat_map(|(pid, open)| open.into_iter().filter(|inode| inodes.contains(inode)).map(move |inode| (inode, pid)))
        .collect()
}

/// Where these processes, or the cgroups with these ids, listen. `None` where it cannot be known:
/// nothing was found, and neither cgroups nor descriptors tell. Where only the cgroups tell, a
/// socket that was made elsewhere and handed over (socket activation) is not seen.
pub(crate) fn listening_of(
    proc: &ProcFs,
    listeners: &[Listener],
    pids: &[u32],
    cgroup_ids: &[u64],
) -> Option<Vec<SocketAddr>> {
    let in_cgroup = |listener: &Listener| listener.cgroup_id.is_some_and(|id| cgroup_ids.contains(&id));
    let known = !cgroup_ids.is_empty() && listeners.iter().all(|listener| listener.cgroup_id.is_some());
    let mut unreadable = false;
    let mut open = Vec::new();
    for pid in pids.iter().filter(|_| !listeners.is_empty()) {
        let Ok(entry) = proc.entry(*pid) else { continue };
        match entry.sockets() {
            Some(inodes) => open.extend(inodes),
            None => unreadable = true,
        }
    }
    let theirs = listeners.iter().filter(|listener| in_cgroup(listener) || open.contains(&listener.inode));
    let mut addresses: Vec<SocketAddr> = theirs.map(|listener| listener.addr).collect();
    addresses.sort_unstable();
    addresses.dedup();
    (!addresses.is_empty() || known || !unreadable).then_some(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn own_listeners_are_found_both_ways() {
        let four = TcpListener::bind("127.0.0.1:0").unwrap();
        let six = TcpListener::bind("[::1]:0").ok();
        let own = std::process::id();
        let proc = ProcFs::host().unwrap();
        for socket in std::iter::once(&four).chain(&six) {
            let addr = socket.local_addr().unwrap();
            let found = listeners(Some(addr.port())).unwrap();
            let mine = found.iter().find(|listener| listener.addr == addr).unwrap();
            assert_eq!(mine.uid, rustix::process::getuid().as_raw());
            let by_text = text::listeners().unwrap().into_iter().find(|listener| listener.addr == addr).unwrap();
            assert_eq!((by_text.inode, by_text.uid, by_text.cgroup_id), (mine.inode, mine.uid, None));
            assert_eq!(holders(&proc, &[mine.inode], &[1, own]).pids, [own]);
            assert_eq!(listening_of(&proc, &found, &[own], &[]), Some(vec![addr]));
            if let Some(id) = mine.cgroup_id {
                assert_eq!(listening_of(&proc, &found, &[], &[id]), Some(vec![addr]));
            }
        }
    }

    #[test]
    fn what_does_not_listen_is_not_listed() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        assert_eq!(listeners(Some(client.local_addr().unwrap().port())).unwrap(), []);
        assert_eq!(listeners(Some(socket.local_addr().unwrap().port())).unwrap().len(), 1);
    }

    #[test]
    fn unknown_is_not_nothing() {
        let proc = ProcFs::host().unwrap();
        let listener = |cgroup_id| Listener { addr: "[::]:1".parse().unwrap(), uid: 0, inode: 1, cgroup_id };
        // A process that has gone holds nothing; one without cgroup ids and without descriptors is unknown.
        assert_eq!(listening_of(&proc, &[listener(None)], &[i32::MAX as u32], &[7]), Some(vec![]));
        assert_eq!(listening_of(&proc, &[listener(Some(7))], &[], &[7]), Some(vec!["[::]:1".parse().unwrap()]));
        assert_eq!(listening_of(&proc, &[], &[1], &[]), Some(vec![]));
    }
}
