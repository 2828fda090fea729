//! A stream socket in the file system (or, with a leading `@`, in the abstract namespace).

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use super::fault::Fault;

/// Why it is not known whether anybody answers.
pub(crate) const DENIED: &str = "permission denied on the socket or a folder above it";

/// Connects; a socket that is missing, stale or no stream socket is told apart.
pub(super) async fn connect(path: &Path, deadline: Instant, limit: Duration) -> Result<UnixStream, Fault> {
    let connecting = UnixStream::connect(name(path));
    let error = match timeout_at(deadline, connecting).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => error,
        Err(_) => return Err(Fault::TimedOut { doing: "no connection", after: limit }),
    };
    let why = match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::ConnectionRefused if is_file(path) => "it is no socket".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused: nothing listens on the socket".to_owned(),
        io::ErrorKind::PermissionDenied => DENIED.to_owned(),
        io::ErrorKind::WouldBlock => "the server's queue of connections is full".to_owned(),
        _ => return Err(Fault::of_io("connecting", &error)),
    };
    Err(Fault::Io { doing: "connecting", why })
}

/// `@NAME` is an abstract socket, which the standard library spells with a leading NUL.
fn name(path: &Path) -> std::path::PathBuf {
    match path.to_str().and_then(|p| p.strip_prefix('@')) {
        Some(name) => format!("\0{name}").into(),
        None => path.to_owned(),
    }
}

fn is_file(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|m| !m.file_type().is_socket())
}
