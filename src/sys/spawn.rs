//! Starts a program that outlives its parent, in a session of its own, and not before it is told.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// A child that exists and has not executed its program yet: it waits to be released. If this is
/// dropped, or its holder dies, the child ends without ever having run the program.
#[derive(Debug)]
pub(crate) struct Held {
    pid: u32,
    gate: File,
    /// `Command::spawn` returns only when the program was executed, so that it has its own thread.
    spawning: JoinHandle<io::Result<Child>>,
}

impl Held {
    /// The process id, which is also that of the program once it runs.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it execute the program; the error is that of execve(2).
    pub(crate) fn release(mut self) -> io::Result<Child> {
        // A child that was killed meanwhile is no error here: its end tells.
        let _ = self.gate.write_all(&[1]);
        drop(self.gate);
        join(self.spawning)
    }
}

fn join(spawning: JoinHandle<io::Result<Child>>) -> io::Result<Child> {
    spawning.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it panicked")))
}

/// Makes a child that will execute the command, with its output appended to `log` and nothing to
/// read.
pub(crate) fn detached(argv: &[String], log: File) -> io::Result<Held> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let (ready, tell) = pipe_with(PipeFlags::CLOEXEC)?;
    let (wait, gate) = pipe_with(PipeFlags::CLOEXEC)?;
    #[expect(clippy::disallowed_methods, reason = "the one place that starts detached programs")]
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let own_gate = gate.as_raw_fd();
    // SAFETY: between fork and exec `held_back` makes system calls that are async-signal-safe, and
    // takes no lock and allocates nothing. The descriptors are those of the closure and, for
    // `own_gate`, the child's copy of one that the parent keeps open until this child has ended or
    // been released.
    unsafe {
        command.pre_exec(move || held_back(&tell, &wait, own_gate));
    }
    let spawning = std::thread::Builder::new().name("spawn".to_owned()).spawn(move || command.spawn())?;
    let mut pid = [0; 4];
    match File::from(ready).read_exact(&mut pid) {
        Ok(()) => Ok(Held { pid: u32::from_ne_bytes(pid), gate: gate.into(), spawning }),
        // Nothing was forked, or it ended at once.
        Err(error) => {
            drop(gate);
            Err(join(spawning).err().unwrap_or(error))
        }
    }
}

/// In the child: its own session, its pid to the parent, then the parent's word.
fn held_back(tell: &OwnedFd, wait: &OwnedFd, gate: i32) -> io::Result<()> {
    rustix::process::setsid()?;
    // SAFETY: the child's copy of the parent's end, which nothing here uses; while it is open, the
    // end of the parent would not be noticed.
    unsafe { rustix::io::close(gate) };
    let pid = rustix::process::getpid().as_raw_nonzero().get().to_ne_bytes();
    while let Err(error) = rustix::io::write(tell, &pid) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    let mut word = [0];
    loop {
        match rustix::io::read(wait, &mut word) {
            Ok(1) => return Ok(()),
            Err(Errno::INTR) => {}
            Ok(_) => return Err(Errno::CANCELED.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn nothing_runs_before_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ran");
        let log = || File::create(dir.path().join("log")).unwrap();
        let command = words(&["touch", path.to_str().unwrap()]);

        let held = detached(&command, log()).unwrap();
        let fd = super::super::pidfd::PidFd::open(held.pid()).unwrap();
        assert!(fd.is_alive());
        drop(held);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(fd.ended()).unwrap();
        assert!(!path.exists());

        let held = detached(&command, log()).unwrap();
        let pid = held.pid();
        let mut child = held.release().unwrap();
        assert_eq!(child.id(), pid);
        assert!(child.wait().unwrap().success());
        assert!(path.exists());
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_an_error_of_the_release() {
        let dir = tempfile::tempdir().unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let error = detached(&words(&["/nowhere/at/all"]), log).unwrap().release().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
