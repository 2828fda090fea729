//! Connections to the system bus and to the bus of a user.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zbus::Connection;
use zbus::connection::Builder;

use super::CallError;

/// How long a call may take that asks nobody for a password. A manager that reloads its units
/// answers nobody for some seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The same on the bus of another user, who may want to keep root waiting.
const OTHERS: Duration = Duration::from_secs(3);

/// How long a bus may take to say hello. The socket of a user's bus is in the user's hands, and must
/// not hold up root for ever.
const HELLO: Duration = Duration::from_secs(5);

/// The system bus.
pub(crate) async fn connect_system() -> Result<Connection, CallError> {
    let connect = Builder::system().method_timeout(TIMEOUT).build();
    match tokio::time::timeout(HELLO, connect).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(zbus::Error::Connection(error, address))) => Err(CallError::Lost(format!("{address}: {error}"))),
        Ok(Err(other)) => Err(other.into()),
        Err(_) => Err(CallError::Timeout),
    }
}

/// Where the bus of a user is: the runtime folder that the caller's environment names, if it is
/// that user's, else `/run/user/UID`.
pub(crate) fn user_bus_path(uid: u32, runtime_dir: Option<&str>) -> PathBuf {
    let own = |dir: &&str| std::fs::metadata(dir).is_ok_and(|m| m.uid() == uid);
    match runtime_dir.filter(own) {
        Some(dir) => Path::new(dir).join("bus"),
        None => PathBuf::from(format!("/run/user/{uid}/bus")),
    }
}

/// The bus of a user. A bus lets in only its own user, not even root: root connects with the
/// user's effective ids.
pub(crate) async fn connect_user(path: &Path, uid: u32, caller_uid: u32) -> Result<Connection, CallError> {
    let lost = |error: io::Error| CallError::Lost(format!("{}: {error}", path.display()));
    let stream = if uid == caller_uid { connect(path) } else { connect_as(path, uid) }.map_err(lost)?;
    let timeout = if uid == caller_uid { TIMEOUT } else { OTHERS };
    let hello = Builder::unix_stream(stream).user_id(uid).method_timeout(timeout).build();
    Ok(tokio::time::timeout(HELLO, hello).await.map_err(|_| CallError::Timeout)??)
}

/// Connects without waiting for whoever should accept.
fn connect(path: &Path) -> io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// Connects in a thread that takes the user's effective ids. Real and saved ids stay, so that the
/// user cannot signal provost meanwhile.
fn connect_as(path: &Path, uid: u32) -> io::Result<UnixStream> {
    use rustix::process::{Gid, Uid};
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    let gid = user.map_or(uid, |u| u.gid.as_raw());
    std::thread::scope(|scope| {
        let as_user = || {
            rustix::thread::set_thread_groups(&[])?;
            rustix::thread::set_thread_res_gid(None, Some(Gid::from_raw(gid)), None)?;
            rustix::thread::set_thread_res_uid(None, Some(Uid::from_raw(uid)), None)?;
            connect(path)
        };
        scope.spawn(as_user).join().unwrap_or_else(|_| Err(io::Error::other("the connecting thread panicked")))
    })
}
