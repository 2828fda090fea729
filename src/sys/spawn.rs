//! Starts a program that outlives its parent, in a session of its own.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Starts the command with its output appended to `log` and nothing to read; the process id.
pub(crate) fn detached(argv: &[String], log: File) -> io::Result<u32> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    #[expect(clippy::disallowed_methods, reason = "the one place that starts detached programs")]
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // SAFETY: between fork and exec only setsid(2) is called, which is async-signal-safe: it takes
    // no lock and allocates nothing.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(drop).map_err(io::Error::from));
    }
    Ok(command.spawn()?.id())
}
