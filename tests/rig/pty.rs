//! Commands on a pseudo-terminal of the rig: what they print is awaited, what they ask is typed.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::pty::OpenptFlags;

use super::{As, Result};

/// A command whose controlling terminal is ours.
pub struct Pty {
    child: Child,
    terminal: OwnedFd,
    ended: OwnedFd,
    transcript: Vec<u8>,
    /// Where the next [`Pty::expect`] begins to look.
    seen: usize,
}

impl As<'_> {
    /// Starts a command on a terminal of 120 columns.
    pub fn pty<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Result<Pty> {
        let terminal = self.rig.open("/dev/ptmx", OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
        rustix::pty::unlockpt(&terminal)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let inner = rustix::pty::ioctl_tiocgptpeer(&terminal, flags)?;
        let uid = self.uid()?;
        rustix::fs::fchown(&inner, Some(Uid::from_raw(uid)), Some(Gid::from_raw(5)))?;
        let size = rustix::termios::Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&terminal, size)?;
        let mut command = self.command(argv, true)?;
        let [input, output, errors] = [inner.try_clone()?, inner.try_clone()?, inner].map(Stdio::from);
        let child = command.stdin(input).stdout(output).stderr(errors).spawn()?;
        drop(command);
        let ended = super::process::pidfd(&child)?;
        Ok(Pty { child, terminal, ended, transcript: Vec::new(), seen: 0 })
    }
}

impl Pty {
    /// Waits until `text` is printed, after what the last call has found.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let rest = &self.transcript[self.seen..];
            if let Some(at) = rest.windows(text.len()).position(|w| w == text.as_bytes()) {
                self.seen += at + text.len();
                return Ok(());
            }
            if !self.read(deadline)? {
                return Err(
                    format!("{text:?} did not come within {limit:?}; the terminal shows: {}", self.text()).into()
                );
            }
        }
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        self.type_bytes(format!("{line}\n").as_bytes())
    }

    /// Types a line once the terminal shows no longer what is typed: what comes earlier is thrown away.
    pub fn type_password(&mut self, password: &str) -> Result<()> {
        super::eventually("the terminal's echo is off", || {
            let modes = rustix::termios::tcgetattr(&self.terminal);
            modes.is_ok_and(|m| !m.local_modes.contains(rustix::termios::LocalModes::ECHO))
        })?;
        self.type_line(password)
    }

    /// Types keys as they are: `b"\x03"` is Ctrl-C.
    pub fn type_bytes(&mut self, mut keys: &[u8]) -> Result<()> {
        while !keys.is_empty() {
            keys = &keys[rustix::io::write(&self.terminal, keys)?..];
        }
        Ok(())
    }

    /// Waits for the end of the command: its status and everything the terminal showed.
    pub fn wait(mut self) -> Result<(ExitStatus, String)> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.read(deadline)? {}
        match self.child.try_wait()? {
            Some(status) => Ok((status, self.text())),
            None => Err(format!("not done after 60 s; the terminal shows: {}", self.text()).into()),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.transcript).replace('\r', "")
    }

    /// Reads what the terminal shows; false when the command has ended and all is read, or at the deadline.
    fn read(&mut self, deadline: Instant) -> Result<bool> {
        let mut fds = [PollFd::new(&self.terminal, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
        let left = deadline.saturating_duration_since(Instant::now());
        poll(&mut fds, Some(&left.try_into()?))?;
        let [shows, ended] = [0, 1].map(|i: usize| fds[i].revents());
        let mut buffer = [0; 4096];
        if shows.contains(PollFlags::IN)
            && let Ok(n) = rustix::io::read(&self.terminal, &mut buffer)
            && n > 0
        {
            self.transcript.extend_from_slice(&buffer[..n]);
            return Ok(true);
        }
        if ended.is_empty() && !shows.is_empty() {
            // Nobody has the terminal open: either not yet, or the command is about to end.
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(ended.is_empty() && Instant::now() < deadline)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        super::process::kill_group(&mut self.child);
    }
}
