//! The interfaces of the daemon.

pub(crate) mod dbus;
pub(crate) mod http;
