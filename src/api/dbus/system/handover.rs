//! The name on the bus outlives the program: the connection that has it is left open for the next
//! program in the same process, until that has the name itself.
//!
//! systemd takes the name for the sign of life of the daemon (`Type=dbus`), and ends one that gives
//! it up.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use zbus::connection::Builder;
use zbus::fdo::RequestNameFlags;

/// Where the bus is, unless the environment says otherwise.
const USUAL: &str = "unix:path=/run/dbus/system_bus_socket";

/// The connections of the program before this one, and of this one.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    before: Mutex<Option<OwnedFd>>,
    own: Mutex<Option<OwnedFd>>,
}

impl Handover {
    /// `before`: what the program before this one has left.
    pub(crate) fn new(before: Option<OwnedFd>) -> Self {
        Self { before: Mutex::new(before), own: Mutex::default() }
    }

    /// Connects to the bus, in such a way that it can be handed over.
    pub(super) fn connect(&self) -> zbus::Result<Builder<'static>> {
        let address = crate::observe::env("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(|| USUAL.to_owned());
        let plain = address.strip_prefix("unix:path=").filter(|path| !path.contains([',', ';', '%']));
        let Some(path) = plain else { return Ok(Builder::system()) };
        let stream = UnixStream::connect(path)?;
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream.try_clone()?.into());
        stream.set_nonblocking(true)?;
        Ok(Builder::unix_stream(stream))
    }

    /// The name may be taken from this program by the next one, and is taken from the one before it.
    /// Nobody but root may have it.
    pub(super) fn flags(&self) -> RequestNameFlags {
        match *self.before.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(_) => RequestNameFlags::ALLOW_REPLACEMENT | RequestNameFlags::REPLACE_EXISTING,
            None => RequestNameFlags::ALLOW_REPLACEMENT,
        }
    }

    /// This program has the name: the connection of the one before it is closed.
    pub(super) fn named(&self) {
        self.before.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The connection is of no use any more: the next one takes the name from it.
    pub(super) fn keep(&self) {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        *before = before.take().or(own);
    }

    /// The connection was lost, or has given the name up.
    pub(super) fn lost(&self) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// What is left for the next program.
    pub(crate) fn take(&self) -> Option<OwnedFd> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
