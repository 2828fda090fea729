//! Makes the process: by clone3(2), which gives the pidfd and the control group in one step, and
//! where that is not to be had (before Linux 5.3, some containers) by fork(2).
//!
//! The child shares the memory of this process until it executes its program, as vfork(2) has it,
//! but for that the parent runs on: copying the tables of a large process takes milliseconds. A
//! child that becomes another user or sets its oom_score_adj gets a copy, because the kernel would
//! apply these to all who share the memory.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::libc;
use rustix::fs::{Mode, OFlags};

use super::child::{self, Pipes};
use super::prepared::Prepared;
use super::{PidFd, raw};

/// `struct clone_args` of linux/sched.h as of Linux 5.7.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// What a kernel of Linux 5.3 takes: everything before `set_tid`.
const SIZE_5_3: usize = 64;
const CLONE_VM: u64 = 0x100;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Of the child's stack, in units of 16 bytes: 32 KiB. The child's functions use less than two.
const STACK: usize = 2048;

/// What a child uses until it has executed its program or ended.
pub(super) struct Shared {
    ready: Prepared,
    pipes: Pipes,
    stack: Vec<MaybeUninit<u128>>,
}

impl Shared {
    pub(super) fn new(ready: Prepared) -> Self {
        let none = -1;
        let pipes = Pipes { stdin: none, stdout: none, stderr: none, gate: none, report: none, cgroup: None };
        let shares = raw::SHARES && ready.user.is_none() && ready.oom_score.is_none();
        Self { ready, pipes, stack: vec![MaybeUninit::uninit(); if shares { STACK } else { 0 }] }
    }
}

/// What the child is given of the parent's descriptors, which are of the thread that makes it.
pub(super) struct Fds<'a> {
    pub(super) stdout: BorrowedFd<'a>,
    pub(super) stderr: BorrowedFd<'a>,
    pub(super) gate: BorrowedFd<'a>,
    pub(super) report: BorrowedFd<'a>,
    pub(super) cgroup: Option<BorrowedFd<'a>>,
}

impl<'a> Fds<'a> {
    pub(super) const MOST: usize = 5;

    /// In the order in which they stand above.
    pub(super) fn all(&self) -> impl Iterator<Item = BorrowedFd<'a>> {
        [self.stdout, self.stderr, self.gate, self.report].into_iter().chain(self.cgroup)
    }
}

/// A child that was made.
pub(super) struct Made {
    pub(super) pid: u32,
    pub(super) pidfd: PidFd,
    /// Why it was not born in its control group, into which it then goes itself.
    pub(super) outside: Option<io::Error>,
}

/// Makes the child, which waits at its gate. Returns in the parent only. `shared` must stay until
/// the report pipe is at its end: the kernel closes it after the memory was given up.
pub(super) fn fork(shared: &mut Shared, fds: &Fds<'_>) -> io::Result<Made> {
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    shared.pipes = Pipes {
        stdin: null.as_raw_fd(),
        stdout: fds.stdout.as_raw_fd(),
        stderr: fds.stderr.as_raw_fd(),
        gate: fds.gate.as_raw_fd(),
        report: fds.report.as_raw_fd(),
        cgroup: None,
    };
    let _signals = Blocked::all();
    let mut outside = None;
    if let Some(cgroup) = fds.cgroup {
        match clone3(shared, Some(cgroup)) {
            Ok((pid, pidfd)) => return Ok(Made { pid, pidfd, outside }),
            // A kernel before 5.7, or one that has no clone3 here.
            Err(error) => outside = Some(error),
        }
        shared.pipes.cgroup = Some(cgroup.as_raw_fd());
    }
    let made = match clone3(shared, None) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EINVAL | libc::E2BIG)) => {
            plain_fork(shared)
        }
        made => made,
    };
    made.map(|(pid, pidfd)| Made { pid, pidfd, outside })
}

extern "C" fn start(shared: *const u8) -> ! {
    // SAFETY: it is what `clone3` passed, which stays for as long as this process uses it.
    let shared = unsafe { &*shared.cast::<Shared>() };
    child::run(&shared.ready, &shared.pipes)
}

fn clone3(shared: &Shared, cgroup: Option<BorrowedFd<'_>>) -> io::Result<(u32, PidFd)> {
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: CLONE_PIDFD,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    let mut size = SIZE_5_3;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
        size = size_of::<CloneArgs>();
    }
    let pid = if shared.stack.is_empty() {
        // SAFETY: the arguments are of the size that is said, `pidfd` is written before the call
        // returns, and without CLONE_VM the child has memory of its own, as after fork(2). There
        // it calls only `child::run`, which makes system calls and never returns.
        match unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size) } {
            0 => child::run(&shared.ready, &shared.pipes),
            -1 => Err(io::Error::last_os_error()),
            pid => Ok(pid as u32),
        }
    } else {
        args.flags |= CLONE_VM;
        args.stack = shared.stack.as_ptr() as u64;
        args.stack_size = size_of_val(shared.stack.as_slice()) as u64;
        // SAFETY: the stack is a whole number of units of 16 bytes, aligned to them, and nobody
        // else's. It and `shared` stay until the end of the report, as `fork` asks for. `start`
        // makes system calls that leave this thread's errno alone.
        let pid = unsafe { raw::clone_onto(&raw const args, size, start, (&raw const *shared).cast()) };
        pid.map(|pid| pid as u32).map_err(io::Error::from_raw_os_error)
    };
    // SAFETY: the kernel has just opened this descriptor for us, and nobody else knows it.
    pid.map(|pid| (pid, PidFd::from(unsafe { OwnedFd::from_raw_fd(pidfd) })))
}

fn plain_fork(shared: &Shared) -> io::Result<(u32, PidFd)> {
    // SAFETY: the child has memory of its own and makes system calls only.
    match unsafe { libc::fork() } {
        0 => child::run(&shared.ready, &shared.pipes),
        -1 => Err(io::Error::last_os_error()),
        // Not waited for yet, so that the pid cannot be another's.
        pid => Ok((pid as u32, PidFd::open(pid as u32)?)),
    }
}

/// While this lives, the thread takes no signals: in the child no handler of the parent's may run,
/// it would write into pipes that are the parent's.
pub(super) struct Blocked(libc::sigset_t);

impl Blocked {
    pub(super) fn all() -> Self {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: sigfillset initialises the first set, pthread_sigmask the second one; it can fail
        // only for a wrong first argument.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            Self(before.assume_init())
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the set was initialised in `all`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}
