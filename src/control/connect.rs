//! Connections to daemons.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use zbus::connection::Builder;

use super::bus;
use crate::error::Error;
use crate::model::Instance;
use crate::paths::Places;
use crate::registry::{Holder, Lock};

/// The longest time for an answer. Whatever takes longer is told by events.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// The longest time for a greeting: a daemon that is stopped (SIGSTOP) accepts and says nothing.
const HELLO: Duration = Duration::from_secs(5);

/// How long a daemon that begins (or ends) is waited for, and how often it is looked at meanwhile.
const BEGINNING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// How often a greeting is repeated that the daemon did not finish: it executes its program anew.
const TRIES: usize = 3;

/// A connection to the daemon of this kind, and its socket unless that is a bus's; `None` if none
/// runs, nor is started by the bus.
pub(super) async fn connect(instance: Instance) -> Result<Option<(zbus::Connection, Option<PathBuf>)>, Error> {
    let uid = rustix::process::geteuid().as_raw();
    if instance == Instance::System && uid != 0 {
        return Ok(bus::connect().await?.map(|connection| (connection, None)));
    }
    let Some(places) = Places::of(instance, uid) else { return Ok(None) };
    connect_own(&places).await
}

/// A connection to the daemon that has these places.
async fn connect_own(places: &Places) -> Result<Option<(zbus::Connection, Option<PathBuf>)>, Error> {
    let socket = places.socket();
    let begin = tokio::time::Instant::now();
    loop {
        if let Some(connection) = connect_socket(&socket).await? {
            return Ok(Some((connection, Some(socket))));
        }
        let Some(holder) = Lock::holder(places) else { return Ok(None) };
        // A session that has begun since it was started, or ended, has another runtime folder.
        if holder.socket != socket
            && let Some(connection) = connect_socket(&holder.socket).await?
        {
            return Ok(Some((connection, Some(holder.socket))));
        }
        let place_is_gone = holder.socket.parent().is_some_and(|dir| !dir.exists());
        // One that begins has its lock before it listens: it is not that none runs.
        if place_is_gone || begin.elapsed() > BEGINNING {
            return match Lock::holder_here(places) {
                Some(_) => Ok(None),
                None => Err(out_of_reach(&holder)),
            };
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// It holds the records, so that no other can run, and nobody can ask it anything.
fn out_of_reach(Holder { pid, socket }: &Holder) -> Error {
    Error::Unreachable(format!(
        "a daemon runs as pid {pid}, and its socket {} is gone, as when its session has ended; 'kill {pid}' ends it \
         with what it runs without systemd, and the next one takes over the rest",
        socket.display()
    ))
}

/// A connection to whoever serves this socket, who must be the caller; `None` if nobody does.
pub(super) async fn connect_socket(path: &Path) -> Result<Option<zbus::Connection>, Error> {
    let unreachable = |why: &dyn std::fmt::Display| Error::Unreachable(format!("{}: {why}", path.display()));
    let mut left = TRIES;
    loop {
        let stream = match open(path) {
            Ok(stream) => stream,
            Err(error) if is_none(&error) => return Ok(None),
            Err(error) => return Err(unreachable(&error)),
        };
        let server = getsockopt(&stream, sockopt::PeerCredentials).map_err(|e| unreachable(&e))?.uid();
        let own = rustix::process::geteuid().as_raw();
        if server != own {
            let whose = crate::observe::user_name(server);
            return Err(unreachable(&format_args!("it is served by {whose}, not by you: nothing was asked")));
        }
        let hello = Builder::unix_stream(stream).p2p().method_timeout(TIMEOUT).build();
        match tokio::time::timeout(HELLO, hello).await {
            Ok(Ok(connection)) => return Ok(Some(connection)),
            Ok(Err(zbus::Error::InputOutput(_) | zbus::Error::Handshake(_))) if left > 0 => left -= 1,
            Ok(Err(error)) => return Err(unreachable(&error)),
            Err(_) => return Err(unreachable(&"the daemon does not answer; is it stopped?")),
        }
    }
}

/// Whether nobody serves it: it is not there, nor listened on, nor is its folder one.
fn is_none(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | NotADirectory)
}

/// Connects without waiting for a daemon that does not accept: a full queue is an error.
fn open(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_begins_is_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let places = Places::below(home.path());
        assert!(connect_own(&places).await.unwrap().is_none(), "none runs");
        let lock = Lock::take(&places).unwrap();
        let listens = async {
            tokio::time::sleep(LOOK * 5).await;
            let socket = tokio::net::UnixListener::bind(places.socket()).unwrap();
            // Not one word, however often it is asked.
            loop {
                drop(socket.accept().await.unwrap());
            }
        };
        let found = tokio::select! {
            found = connect_own(&places) => found,
            () = listens => unreachable!(),
        };
        assert!(found.is_err(), "it was reached as soon as it listened");
        drop(lock);
    }

    #[tokio::test]
    async fn one_with_another_runtime_folder_is_reached() {
        let home = tempfile::tempdir().unwrap();
        let there = Places::below(home.path());
        let here = Places { runtime: home.path().join("of-a-session"), ..there.clone() };
        let lock = Lock::take(&there).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(there.socket()).unwrap();
        let found = tokio::time::timeout(HELLO / 10, connect_own(&here)).await;
        assert!(found.is_err(), "it was greeted, and says nothing: {found:?}");
        socket.accept().unwrap();
        drop(socket);
        std::fs::remove_dir_all(&there.runtime).unwrap();
        let said = connect_own(&here).await.unwrap_err().to_string();
        assert!(said.contains(&format!("pid {}, and its socket", std::process::id())), "{said}");
        drop(lock);
        assert!(connect_own(&here).await.unwrap().is_none(), "none runs");
    }
}
