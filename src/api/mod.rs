//! The interfaces of the daemon.

pub(crate) mod dbus;
