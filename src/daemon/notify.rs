//! What the daemon says of itself: sd_notify(3), to the service manager or to whoever started it.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::tasks::AbortOnDrop;

/// Those that listen; there may be none.
#[derive(Debug, Default)]
pub(super) struct Notify {
    listeners: Vec<SocketAddr>,
    socket: Option<UnixDatagram>,
}

impl Notify {
    /// The service manager, if it asks for it, and whoever started the daemon.
    pub(super) fn new(starter: Option<&Path>) -> Self {
        let manager = crate::observe::env("NOTIFY_SOCKET").map(PathBuf::from);
        let listeners: Vec<SocketAddr> =
            manager.as_deref().into_iter().chain(starter).filter_map(|path| address(path).ok()).collect();
        let socket = if listeners.is_empty() { None } else { UnixDatagram::unbound().ok() };
        // Who does not read must not hold up the daemon.
        let socket = socket.filter(|socket| socket.set_nonblocking(true).is_ok());
        Self { listeners, socket }
    }

    /// Whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.socket.is_some()
    }

    /// Says it. One that has gone, or does not read, misses it.
    pub(super) fn say(&self, words: &str) {
        for listener in &self.listeners {
            if let Some(socket) = &self.socket
                && let Err(error) = socket.send_to_addr(words.as_bytes(), listener)
            {
                tracing::debug!("a word to {listener:?} was not heard: {error}");
            }
        }
    }

    /// Says that the daemon lives, as often as the service manager wants to hear it. In a task of its own:
    /// what happens all the time must not put it off, and reading a config or the end of services takes its time.
    pub(super) fn beat(self: &Rc<Self>) -> Option<AbortOnDrop> {
        let (interval, notify) = (Self::watchdog()?, Rc::clone(self));
        Some(AbortOnDrop(crate::tasks::spawn_local(async move {
            loop {
                notify.say("WATCHDOG=1");
                tokio::time::sleep(interval).await;
            }
        })))
    }

    /// Half of what the service manager allows.
    fn watchdog() -> Option<Duration> {
        let number = |name| crate::observe::env(name).and_then(|value| value.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        number("WATCHDOG_USEC").filter(|micros| ours && *micros > 1).map(|micros| Duration::from_micros(micros / 2))
    }
}

fn address(path: &Path) -> std::io::Result<SocketAddr> {
    use std::os::unix::ffi::OsStrExt as _;
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_and_nobody_need_listen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n");
        let heard = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::new(Some(&path));
        assert!(notify.is_heard());
        notify.say("READY=1");
        let mut buffer = [0; 64];
        let n = heard.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"READY=1");
        drop(heard);
        notify.say("STOPPING=1");
        assert!(!Notify::default().is_heard());
    }
}
