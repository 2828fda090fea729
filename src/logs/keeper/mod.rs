//! A small process that holds the pipes of captured output open, so that what is in them outlives
//! both the service that wrote it and the daemon that was to read it.
//!
//! What is in a pipe is gone once nobody holds it open. A service that ends while no daemon runs
//! would take its last words along, and with them the reason of its end. So the first pipe that a
//! daemon makes is given to a keeper ([`process`]), which the daemon starts for that: this program
//! again, with [`WORD`], in a session of its own, with nothing of the daemon's but a socket. The
//! next daemon finds the keeper by that socket ([`link`]) and goes on with it.
//!
//! The keeper reads nothing and decides nothing. It ends when it holds nothing and no daemon is
//! connected: after a daemon that ended and left no service.
//!
//! A message is one packet. Its first byte says what it is; what is not known is passed over, so
//! that a keeper and a daemon of different versions get on:
//!
//! * [`HOLD`], with descriptors: these are held. One that is held already is held once.
//! * [`LET_GO`], with the device and inode numbers of pipes: these are held no more.
//!
//! What was sent is held from then on, by the kernel, also before the keeper has read it.

mod link;
mod process;
#[cfg(test)]
pub(super) mod tests;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, Stat};

use crate::paths::Places;
use crate::sys::spawn::{Child, Program, spawn};

pub(super) use link::Link;

/// The argument that makes this program a keeper. The runtime folder follows, for people who look
/// at the list of processes, and to remove the socket.
pub(crate) const WORD: &str = "--keep-output";
/// The socket, in the runtime folder.
const SOCKET: &str = "keeper";
const HOLD: u8 = b'h';
const LET_GO: u8 = b'g';
/// Device and inode.
const NUMBERS: usize = 16;

/// Makes a keeper, which gets the listening socket.
pub(super) type Make = fn(OwnedFd, &Places) -> io::Result<Option<Child>>;

/// Whether this is the program `provost`, and not one that uses the library.
static IS_PROVOST: AtomicBool = AtomicBool::new(false);

/// How a keeper is made here. A program that only uses the library is not executed once more.
pub(super) fn make() -> Option<Make> {
    IS_PROVOST.load(Ordering::Relaxed).then_some(execute as Make)
}

/// The first thing that the program does: it is a keeper if it was started as one.
pub(crate) fn main() -> Option<ExitCode> {
    IS_PROVOST.store(true, Ordering::Relaxed);
    let mut words = std::env::args_os().skip(1);
    let (word, runtime) = (words.next()?, words.next()?);
    let socket = std::io::stdout();
    if word != WORD || !rustix::net::sockopt::socket_acceptconn(&socket).is_ok_and(|listens| listens) {
        return None;
    }
    process::prepare();
    process::serve(socket.as_fd(), &path(Path::new(&runtime)));
    Some(ExitCode::SUCCESS)
}

fn path(runtime: &Path) -> PathBuf {
    runtime.join(SOCKET)
}

/// Executes this program as a keeper: in a session of its own, with an empty environment (and so
/// with the mark of no service), and with no descriptor but the socket, as its standard output.
fn execute(listener: OwnedFd, places: &Places) -> io::Result<Option<Child>> {
    let program = crate::control::own_program().map_err(io::Error::other)?;
    let runtime = places.runtime.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    let argv = ["provost", WORD, runtime].map(str::to_owned);
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let program = Program {
        env: Some(Vec::new()),
        cwd: Some(Path::new("/")),
        ..Program::new(Path::new(&program), &argv, listener.as_fd(), null.as_fd())
    };
    spawn(&program)?.run().map(Some)
}

/// What a pipe is known by.
fn numbers(found: &Stat) -> [u8; NUMBERS] {
    let mut all = [0; NUMBERS];
    let (device, inode) = all.split_at_mut(NUMBERS / 2);
    device.copy_from_slice(&found.st_dev.to_ne_bytes());
    inode.copy_from_slice(&found.st_ino.to_ne_bytes());
    all
}
