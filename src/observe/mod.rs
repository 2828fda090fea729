//! The host, read: processes, their cgroups and command lines, listening sockets. Nothing here
//! changes anything, and nothing here decides.
//!
//! What reads /proc and /sys/fs/cgroup is synchronous: the kernel answers at once. Each reader has
//! its root folder as an argument, and beside it the pure function that understands the text.

#![allow(dead_code, unused_imports, reason = "read by what comes later in the flow")]

pub(crate) mod cgroup;
pub(crate) mod find;
pub(crate) mod interpreter;
pub(crate) mod proc;
pub(crate) mod sockets;
pub(crate) mod stat;
pub(crate) mod tree;

pub(crate) use proc::{ProcFs, ReadError};
