//! The socket file that an earlier run of a service left.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use nix::sys::socket::{getsockopt, sockopt};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::observe::user_name;

/// The argument that makes this program do so, as a user of whom the daemon may not. The path follows.
pub(crate) const WORD: &str = "--stale-socket";

/// Whether this program was started for that: then it is done.
pub(crate) fn main() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let (word, path) = (words.next()?, words.next()?);
    if word != WORD {
        return None;
    }
    Some(match remove(Path::new(&path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("provost: {}", crate::text::escape(&why));
            ExitCode::FAILURE
        }
    })
}

/// Removes it, if nobody listens on it.
///
/// # Errors
/// Somebody does, or that cannot be asked, or it is no socket, or it cannot be removed; with the path.
pub(crate) fn remove(path: &Path) -> Result<(), String> {
    let about = |why: &str| format!("the socket {}: {why}", path.display());
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Err(about("it is no path")) };
    // Everything from here on is in this very folder: a folder that is swapped meanwhile by its
    // owner changes nothing.
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let folder: OwnedFd = match rustix::fs::openat(CWD, folder, flags, Mode::empty()) {
        Ok(folder) => folder,
        // The service makes it, or says that it cannot.
        Err(_) => return Ok(()),
    };
    let found = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(about(&io::Error::from(error).to_string())),
        Ok(found) => found,
    };
    if FileType::from_raw_mode(found.st_mode) != FileType::Socket {
        return Err(about("there is something else of that name"));
    }
    let here = format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), name.to_string_lossy());
    if let Some(why) = in_use(&here, &found) {
        return Err(about(&why));
    }
    match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(about(&format!("it is stale and cannot be removed: {}", io::Error::from(error)))),
    }
}

/// Why it must stay: a connection is accepted, or would be, or nobody can say. A socket of another
/// type than stream tells by refusing the type, and not the connection.
fn in_use(path: &str, found: &Stat) -> Option<String> {
    let mut refused = false;
    for kind in [SocketType::STREAM, SocketType::DGRAM, SocketType::SEQPACKET] {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = match rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None) {
            Ok(socket) => socket,
            Err(error) => return Some(format!("nobody can ask whether it is in use: {}", io::Error::from(error))),
        };
        match SocketAddrUnix::new(path).and_then(|address| rustix::net::connect(&socket, &address)) {
            Err(Errno::CONNREFUSED) => refused = true,
            Err(Errno::PROTOTYPE) => {}
            Ok(()) => return Some(format!("{} listens on it already", listener(&socket))),
            Err(Errno::AGAIN) => return Some("somebody listens on it already".to_owned()),
            Err(error) => {
                let (user, error) = (user_name(found.st_uid), io::Error::from(error));
                return Some(format!("it is {user}'s, and whether it is in use cannot be asked: {error}"));
            }
        }
    }
    (!refused).then(|| "it is of a kind that is not known".to_owned())
}

/// Who called listen(2), as the kernel noted it; nobody that we can see has the number 0.
fn listener(socket: &OwnedFd) -> String {
    match getsockopt(socket, sockopt::PeerCredentials) {
        Ok(peer) if peer.pid() != 0 => format!("pid {} ({})", peer.pid(), user_name(peer.uid())),
        _ => "somebody".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    #[test]
    fn only_a_socket_on_which_nobody_listens_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        remove(&path).unwrap();
        remove(&dir.path().join("none/s")).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let why = remove(&path).unwrap_err();
        assert!(why.contains(&format!("pid {} (", std::process::id())), "{why}");
        drop(listener);
        remove(&path).unwrap();
        assert!(!path.exists());
        let datagram = UnixDatagram::bind(&path).unwrap();
        assert!(remove(&path).unwrap_err().contains("listens"));
        drop(datagram);
        remove(&path).unwrap();
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert!(remove(&path).unwrap_err().contains("something else"));
        assert!(path.exists());
    }
}
