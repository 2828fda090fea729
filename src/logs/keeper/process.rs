//! The keeper itself: it waits, takes, and lets go. No runtime, no allocation but for the list.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, accept_with, recvmsg};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{HOLD, LET_GO, NUMBERS, numbers};

/// So many may be connected; there is one daemon.
const CLIENTS: usize = 4;
/// How often it is looked, while no daemon is there, whether somebody has removed the pipes.
const LOOK: Timespec = Timespec { tv_sec: 600, tv_nsec: 0 };

/// When nothing has come for so long, its own code need not be in memory.
const QUIET: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

/// As many files as may be, and a name for lists of processes.
pub(super) fn prepare() {
    let limit = getrlimit(Resource::Nofile);
    let _as_it_is = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let _only_a_name = rustix::thread::set_name(c"provost-keeper");
}

/// One end of a pipe.
struct Held {
    fd: OwnedFd,
    numbers: [u8; NUMBERS],
}

/// Serves until nothing is held and nobody is connected, and then removes the socket's file.
pub(super) fn serve(listener: BorrowedFd<'_>, path: &Path) {
    let (mut clients, mut held) = (Vec::with_capacity(CLIENTS), Vec::new());
    let (mut removed, mut small) = (false, false);
    loop {
        accept(listener, &mut clients);
        if clients.is_empty() && held.is_empty() {
            if removed {
                return;
            }
            // From now on nobody finds it. Who has found it before is served.
            let _gone = std::fs::remove_file(path);
            removed = true;
            continue;
        }
        if !wait(listener, &clients, !small) && !small {
            crate::sys::memory::unmap_files();
            small = true;
            continue;
        }
        small = false;
        let before = clients.len();
        clients.retain(|client| hear(client, &mut held));
        if clients.is_empty() || clients.len() < before {
            // Pipes that are removed are done with, whether or not there was time to say so.
            held.retain(|one| fstat(&one.fd).is_ok_and(|found| found.st_nlink > 0));
        }
    }
}

fn accept(listener: BorrowedFd<'_>, clients: &mut Vec<OwnedFd>) {
    while clients.len() < CLIENTS
        && let Ok(client) = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
    {
        let own = rustix::process::geteuid().as_raw();
        if getsockopt(&client, sockopt::PeerCredentials).is_ok_and(|peer| peer.uid() == own) {
            clients.push(client);
        }
    }
}

/// Whether somebody has come or said something, and not only time gone by.
fn wait(listener: BorrowedFd<'_>, clients: &[OwnedFd], soon: bool) -> bool {
    let mut all = [const { None }; CLIENTS];
    for (place, client) in all.iter_mut().zip(clients) {
        *place = Some(PollFd::new(client, PollFlags::IN));
    }
    // One that cannot be taken in would be ready for ever.
    let listener = (clients.len() < CLIENTS).then(|| PollFd::from_borrowed_fd(listener, PollFlags::IN));
    let mut fds: Vec<PollFd<'_>> = all.into_iter().flatten().chain(listener).collect();
    let timeout = if soon { Some(&QUIET) } else { clients.is_empty().then_some(&LOOK) };
    poll(&mut fds, timeout).is_ok_and(|ready| ready > 0)
}

/// Takes what a daemon has sent; whether it is still there.
fn hear(client: &OwnedFd, held: &mut Vec<Held>) -> bool {
    loop {
        let mut bytes = [0; 1 + 2 * NUMBERS];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut sent = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let got = match recvmsg(client, &mut [IoSliceMut::new(&mut bytes)], &mut sent, flags) {
            Ok(message) => message.bytes,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => return true,
            Err(_) => 0,
        };
        let fds = sent.drain().filter_map(|part| match part {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        match bytes.get(..got).and_then(<[u8]>::split_first) {
            None => return false,
            Some((&HOLD, _)) => fds.flatten().for_each(|fd| hold(held, fd)),
            Some((&LET_GO, over)) => {
                held.retain(|one| !over.chunks(NUMBERS).any(|numbers| numbers == one.numbers));
            }
            Some(_) => drop(fds.flatten().collect::<Vec<_>>()),
        }
    }
}

fn hold(held: &mut Vec<Held>, fd: OwnedFd) {
    let Ok(found) = fstat(fd.as_fd()) else { return };
    let numbers = numbers(&found);
    let is_pipe = FileType::from_raw_mode(found.st_mode) == FileType::Fifo;
    if is_pipe && !held.iter().any(|one| one.numbers == numbers) {
        held.push(Held { fd, numbers });
    }
}
