//! What to ask whom: from processes, sockets, command lines and variables to checks, in order.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use super::address::Endpoint;
use super::known::{Known, Server};
use super::recognise::{has_option, option, recognise};
use super::settings::{Environ, Settings};
use super::url::To;
use crate::model::{ProcState, Process};

/// As many addresses as are tried.
const MAX: usize = 4;
/// How far a server goes on from its default port when that is taken, as jupyter and gradio do.
const NEAR: u16 = 20;

const FOREIGN: &str = "where it listens cannot be read, and the address that it names is another user's word: \
                       give the address itself to ask there";
const FOREIGN_SOCKET: &str = "the socket that it names is another user's word: give its address itself to ask there";
const CONTAINED: &str = "it names a socket in its container, which cannot be reached from here";
const ELSEWHERE: &str = "where it listens cannot be read, and the host that it names is not this one: \
                         give the address itself to ask there";

/// What is asked about.
#[derive(Clone, Copy, Default)]
pub struct Subject<'a> {
    /// All processes of the owner: the server, what it started, and what stands around it.
    pub processes: &'a [Process],
    /// Every TCP address that they listen on, in the network namespace of the caller; `None` where
    /// that is not known (unreadable, or in a container with a network of its own).
    pub listening: Option<&'a [SocketAddr]>,
    /// Where that is not known: the addresses at which the user listens as whom they run. The kernel
    /// says whose a socket is, if not which process holds it.
    pub of_user: &'a [SocketAddr],
    /// The environment of a process, where it can be read; asked only where it matters.
    pub environ: Option<&'a Environ<'a>>,
    /// The word that the user named it by: it prefers, and without processes names, a known server.
    pub word: Option<&'a str>,
    /// Who asks. Of other users' processes, and of all where it is `None`, no address is believed
    /// that they could write down themselves.
    pub caller_uid: Option<u32>,
    /// They are in a container: the paths that they name are not those of the caller.
    pub contained: bool,
}

/// One check to make.
#[derive(Debug)]
pub(super) enum Candidate<'k> {
    /// Ask a known server.
    Ask(Ask<'k>),
    /// Make a connection.
    Tcp(Endpoint),
    /// A known server runs and does not listen where it should: there is nobody to ask, and
    /// whoever else listens there must not be taken for it.
    Silent {
        /// The server.
        server: &'k Server,
        /// Where it should listen.
        port: u16,
        /// When its process started, where known.
        started: Option<SystemTime>,
    },
    /// A known server runs, and where it would be asked is only what it says of itself: that can
    /// be any address, also one that only the caller reaches.
    Withheld {
        /// The server.
        server: &'k Server,
        /// Why it is not asked.
        why: &'static str,
    },
}

/// How a known server is asked.
#[derive(Debug)]
pub(super) struct Ask<'k> {
    pub(super) server: &'k Server,
    pub(super) to: To,
    /// What stands before all paths; empty or as `/prefix`.
    pub(super) prefix: String,
    /// It speaks TLS.
    pub(super) tls: bool,
    /// A process of it runs, which started then, where known.
    pub(super) runs: Option<Option<SystemTime>>,
}

/// The checks, best first; empty where there is nothing to ask.
pub(super) fn choose<'k>(subject: &Subject<'_>, known: &'k Known) -> Vec<Candidate<'k>> {
    let listening = subject.listening.unwrap_or_default();
    let named = subject.word.and_then(|word| known.by_name(word));
    let mut found = Vec::new();
    for (process, server) in roots(subject, known, named) {
        found.extend(of_server(subject, server, Some(process)));
    }
    if found.is_empty() {
        match named {
            // The processes did not tell, or there are none: the word does.
            Some(server) if subject.processes.is_empty() || !listening.is_empty() => {
                found.extend(of_server(subject, server, None));
            }
            _ => found.extend(sorted(listening).into_iter().map(|address| Candidate::Tcp(address.into()))),
        }
    }
    found.truncate(MAX);
    found
}

/// The processes that are known servers, without those that another one of them started: what
/// ollama or llama-swap runs is their own affair. The server that the user named goes first, even
/// where another started it.
fn roots<'a, 'k>(subject: &Subject<'a>, known: &'k Known, named: Option<&Server>) -> Vec<(&'a Process, &'k Server)> {
    let listening = subject.listening.unwrap_or_default();
    let alive = subject.processes.iter().filter(|p| p.state != ProcState::Zombie);
    let mut all: Vec<(&Process, &Server)> =
        alive.filter_map(|p| recognise(known, p, listening).map(|server| (p, server))).collect();
    if let Some(named) = named.filter(|named| all.iter().any(|(_, server)| server.name == named.name)) {
        all.retain(|(_, server)| server.name == named.name);
    }
    let has_ancestor = |process: &Process| {
        let mut at = process.ppid;
        // The list may hold a loop where pids were used again; it cannot be longer than itself.
        for _ in 0..subject.processes.len() {
            if all.iter().any(|(p, _)| p.pid() == at) {
                return true;
            }
            match subject.processes.iter().find(|p| p.pid() == at) {
                Some(parent) => at = parent.ppid,
                None => return false,
            }
        }
        false
    };
    all.iter().filter(|(process, _)| !has_ancestor(process)).copied().collect()
}

fn of_server<'k>(subject: &Subject<'_>, server: &'k Server, process: Option<&Process>) -> Vec<Candidate<'k>> {
    let settings = Settings::new(server, process, subject.environ);
    let ask = |to: To| {
        Candidate::Ask(Ask {
            server,
            to,
            prefix: settings.prefix(),
            tls: settings.tls || process.is_some_and(|p| has_option(&p.cmdline, &server.tls_options)),
            runs: process.map(|p| p.started_at),
        })
    };
    let own = process.is_none_or(|p| is_own(subject, p));
    if let Some(path) = settings.socket() {
        return vec![match (own, subject.contained) {
            (true, false) => ask(To::Unix(path)),
            (false, _) => Candidate::Withheld { server, why: FOREIGN_SOCKET },
            (true, true) => Candidate::Withheld { server, why: CONTAINED },
        }];
    }
    let Some(listening) = subject.listening else {
        return vec![if !settings.stays_here() {
            Candidate::Withheld { server, why: ELSEWHERE }
        } else if own || settings.is_default() {
            ask(To::Tcp(settings.endpoint()))
        } else {
            let theirs = sorted(subject.of_user).into_iter().find(|address| address.port() == settings.port());
            match theirs {
                Some(address) => ask(To::Tcp(address.into())),
                None => Candidate::Withheld { server, why: FOREIGN },
            }
        }];
    };
    if process.is_none() && listening.is_empty() {
        return vec![ask(To::Tcp(settings.endpoint()))];
    }
    let addresses = serving(subject, server, process, &settings, listening);
    if addresses.is_empty() {
        return vec![Candidate::Silent { server, port: settings.port(), started: process.and_then(|p| p.started_at) }];
    }
    addresses.into_iter().map(|address| ask(To::Tcp(address.into()))).collect()
}

/// Whether the command line and the variables are the caller's own words: a program that changed
/// its user has those of whoever started it.
fn is_own(subject: &Subject<'_>, process: &Process) -> bool {
    let (Some(caller), Some(uids)) = (subject.caller_uid, process.uids) else { return false };
    [uids.real, uids.effective, uids.saved] == [caller; 3]
}

/// Of the sockets, those where the server itself answers: one address a port.
fn serving(
    subject: &Subject<'_>,
    server: &Server,
    process: Option<&Process>,
    settings: &Settings<'_>,
    listening: &[SocketAddr],
) -> Vec<SocketAddr> {
    let open = sorted(listening);
    let wanted = settings.port();
    if let Some(address) = open.iter().find(|address| address.port() == wanted) {
        return vec![*address];
    }
    if settings.port_is_said() {
        return Vec::new();
    }
    // The default port is not open. The children's ports are not the server's.
    let port_option = ["--port".to_owned()];
    let others = subject.processes.iter().filter(|p| process.is_none_or(|server| server.pid() != p.pid()));
    let theirs: Vec<u16> = others.filter_map(|p| option(&p.cmdline, &port_option)?.parse().ok()).collect();
    let near = |port: u16| (wanted..=wanted.saturating_add(NEAR)).contains(&port);
    let guess = !server.opens_late || settings.may_be_elsewhere();
    open.into_iter()
        .filter(|address| !theirs.contains(&address.port()) && (guess || near(address.port())))
        .take(MAX)
        .collect()
}

/// One address a port, the easiest to reach: loopback before all interfaces before one interface,
/// IPv4 before IPv6; otherwise in the order given.
fn sorted(listening: &[SocketAddr]) -> Vec<SocketAddr> {
    let rank = |address: &SocketAddr| {
        let ip = address.ip().to_canonical();
        let v6 = u8::from(matches!(ip, IpAddr::V6(_)));
        match ip {
            _ if ip.is_loopback() => v6 * 2,
            _ if ip.is_unspecified() => v6 * 2 + 1,
            _ => 4 + v6,
        }
    };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in listening.iter().filter(|address| address.port() != 0) {
        match addresses.iter_mut().find(|known| known.port() == address.port()) {
            Some(known) if rank(address) < rank(known) => *known = *address,
            Some(_) => {}
            None => addresses.push(*address),
        }
    }
    addresses
}
