//! What happens in a child between fork and exec: the one place with unsafe code.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What a child does before it becomes its program. It starts in a session of its own in any case, and so has no terminal.
#[derive(Default)]
pub struct Start {
    /// `cgroup.procs` of the cgroup it moves to.
    pub cgroup: Option<File>,
    /// Its standard input becomes its controlling terminal.
    pub take_terminal: bool,
    /// It is killed when the thread that started it ends.
    pub die_with_parent: bool,
}

/// Makes `command` do so.
pub fn before_exec(command: &mut Command, start: Start) {
    let hook = move || {
        rustix::process::setsid()?;
        if let Some(file) = &start.cgroup {
            rustix::io::write(file, b"0")?;
        }
        if start.take_terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        if start.die_with_parent {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        }
        Ok(())
    };
    // SAFETY: the hook makes system calls only: it neither allocates nor takes a lock, so it may run after a fork in a
    // program with threads.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(hook);
    }
}
