//! What a command in the rig says until it ends.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::Result;

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The exit code; a signal's number plus 128 for a command that died of one, as a shell says it.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// The standard output without the last line's end, if the command succeeded.
    pub fn ok(self) -> Result<String> {
        match self.status.success() {
            true => Ok(self.stdout.trim_end().to_owned()),
            false => Err(format!("{}: {}{}", self.status, self.stdout, self.stderr).into()),
        }
    }
}

/// Reads what a child says until it ends. Its children may hold the pipes open: that is not waited for.
pub(super) fn collect(child: &mut Child, limit: Duration) -> Result<Output> {
    let (mut out, mut err) =
        (child.stdout.take().ok_or("no pipe for output")?, child.stderr.take().ok_or("no pipe for errors")?);
    let ended = super::process::pidfd(child)?;
    for pipe in [out.as_fd(), err.as_fd()] {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + limit;
    let mut open = [true; 2];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
        fds.extend(open[0].then(|| PollFd::new(&out, PollFlags::IN)));
        fds.extend(open[1].then(|| PollFd::new(&err, PollFlags::IN)));
        let ready = poll(&mut fds, Some(&left.try_into()?))?;
        let over = !fds[0].revents().is_empty();
        drop(fds);
        open = [read_some(&mut out, &mut stdout), read_some(&mut err, &mut stderr)];
        if over {
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            return Ok(Output { status: child.wait()?, stdout: text(stdout), stderr: text(stderr) });
        }
        if ready == 0 {
            super::process::kill_group(child);
            let said = String::from_utf8_lossy(&stderr).into_owned() + &String::from_utf8_lossy(&stdout);
            return Err(format!("not done after {limit:?}; it said: {said}").into());
        }
    }
}

/// Reads what is there without waiting; false at the end of the stream.
fn read_some(pipe: &mut impl Read, into: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 16384];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return false,
            Ok(n) => into.extend_from_slice(&buffer[..n]),
            Err(e) => return e.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}
