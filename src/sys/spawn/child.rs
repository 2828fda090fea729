//! What the child does between its birth and exec: system calls, on memory that was prepared
//! before. Nothing here allocates, locks, panics, returns or asks the C library: the memory may be
//! the parent's own, which runs on meanwhile.

use nix::libc::{self, c_int, c_long};

use super::prepared::Prepared;
use super::raw::call;
use super::{MESSAGE, NEVER_RELEASED, Stage};

/// The descriptors of the parent that the child needs.
pub(super) struct Pipes {
    pub(super) stdin: c_int,
    pub(super) stdout: c_int,
    pub(super) stderr: c_int,
    pub(super) gate: c_int,
    pub(super) report: c_int,
    /// The folder of the control group, where it was not born in it.
    pub(super) cgroup: Option<c_int>,
}

/// Where the two pipes are after the descriptors were put in order.
const GATE: c_int = 3;
const REPORT: c_int = 4;
/// Above all those that are put in order, so that none overwrites another.
const SAFE: c_int = 16;
/// What is said by its exit code of one that did not become the program.
const FAILED: usize = 127;

/// Becomes the program, or ends.
pub(super) fn run(ready: &Prepared, pipes: &Pipes) -> ! {
    if let Err((stage, errno)) = steps(ready, pipes) {
        tell(stage, errno, true);
    }
    loop {
        let _ = sys(libc::SYS_exit_group, [FAILED, 0, 0, 0]);
    }
}

fn steps(ready: &Prepared, pipes: &Pipes) -> Result<(), (Stage, c_int)> {
    let at = |stage| move |errno| (stage, errno);
    let entered = pipes.cgroup.map_or(Ok(()), enter);
    descriptors(pipes).map_err(at(Stage::Setup))?;
    entered.map_err(at(Stage::Cgroup))?;
    dispositions();
    sys(libc::SYS_setsid, [0; 4]).map_err(at(Stage::Setup))?;
    limits(ready);
    if let Some(user) = &ready.user {
        let (uid, gid) = (user.uid as usize, user.gid as usize);
        let groups = [user.groups.len(), user.groups.as_ptr() as usize, 0, 0];
        sys(libc::SYS_setgroups, groups).map_err(at(Stage::User))?;
        sys(libc::SYS_setresgid, [gid, gid, gid, 0]).map_err(at(Stage::User))?;
        sys(libc::SYS_setresuid, [uid, uid, uid, 0]).map_err(at(Stage::User))?;
    }
    // As the user that it will be: the folder must be one that this user may enter.
    if let Some(cwd) = &ready.cwd {
        sys(libc::SYS_chdir, [cwd.as_ptr() as usize, 0, 0, 0]).map_err(at(Stage::Cwd))?;
    }
    wait();
    let none = 0_u64;
    let mask = [libc::SIG_SETMASK as usize, &raw const none as usize, 0, size_of::<u64>()];
    sys(libc::SYS_rt_sigprocmask, mask).map_err(at(Stage::Setup))?;
    let program = [ready.path.as_ptr() as usize, ready.argv.as_ptr() as usize, ready.env.as_ptr() as usize, 0];
    sys(libc::SYS_execve, program).map_err(at(Stage::Exec)).map(drop)
}

/// Standard input, output and error, the gate and the report to 0–4; everything else is closed.
fn descriptors(pipes: &Pipes) -> Result<(), c_int> {
    let mut all = [pipes.stdin, pipes.stdout, pipes.stderr, pipes.gate, pipes.report];
    for fd in &mut all {
        *fd = sys(libc::SYS_fcntl, [*fd as usize, libc::F_DUPFD_CLOEXEC as usize, SAFE as usize, 0])? as c_int;
    }
    for (to, fd) in (0..).zip(all) {
        let flags = if to >= GATE { libc::O_CLOEXEC } else { 0 };
        sys(libc::SYS_dup3, [fd as usize, to as usize, flags as usize, 0])?;
    }
    // Closed at once, and not when the program is executed: this may be the gate of another
    // child, which must notice when the parent dies.
    if sys(libc::SYS_close_range, [REPORT as usize + 1, u32::MAX as usize, 0, 0]).is_err() {
        for fd in REPORT + 1..4096 {
            let _ = sys(libc::SYS_close, [fd as usize, 0, 0, 0]);
        }
    }
    Ok(())
}

/// All signals to what they do by default; what is ignored would stay so in the program. By the
/// bare call: the C library refuses the two signals that it keeps for itself.
fn dispositions() {
    // Zeroed, the kernel's sigaction has the default disposition, no flags and an empty mask; it
    // is shorter than this. Numbers that have no disposition to set are refused.
    let default = [0_u64; 8];
    for number in 1..=64 {
        let _ = sys(libc::SYS_rt_sigaction, [number, default.as_ptr() as usize, 0, size_of::<u64>()]);
    }
}

/// What is not to be had is said, and is no reason not to start.
fn limits(ready: &Prepared) {
    let limit = |new: *const [u64; 2], old: *mut [u64; 2]| {
        sys(libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE as usize, new as usize, old as usize])
    };
    let set_soft = |wanted: u64| {
        let mut now = [0; 2];
        if limit(std::ptr::null(), &raw mut now).is_ok() {
            let [_, hard] = now;
            let new = [wanted.min(hard), hard];
            let _ = limit(&raw const new, std::ptr::null_mut());
        }
    };
    match (ready.nofile, ready.soft_nofile) {
        (Some(wanted), _) => {
            let both = [wanted; 2];
            if let Err(errno) = limit(&raw const both, std::ptr::null_mut()) {
                tell(Stage::Nofile, errno, false);
                set_soft(wanted);
            }
        }
        (None, Some(soft)) => set_soft(soft),
        (None, None) => {}
    }
    if let Some(nice) = ready.nice
        && let Err(errno) = sys(libc::SYS_setpriority, [libc::PRIO_PROCESS as usize, 0, nice as usize, 0])
    {
        tell(Stage::Nice, errno, false);
    }
    if let Some(score) = &ready.oom_score
        && let Err(errno) = write_to(libc::AT_FDCWD, c"/proc/self/oom_score_adj", score)
    {
        tell(Stage::OomScore, errno, false);
    }
}

/// Goes into the control group.
fn enter(cgroup: c_int) -> Result<(), c_int> {
    write_to(cgroup, c"cgroup.procs", b"0")
}

fn write_to(dir: c_int, file: &std::ffi::CStr, text: &[u8]) -> Result<(), c_int> {
    let flags = (libc::O_WRONLY | libc::O_CLOEXEC) as usize;
    let fd = sys(libc::SYS_openat, [dir as usize, file.as_ptr() as usize, flags, 0])?;
    let written = sys(libc::SYS_write, [fd, text.as_ptr() as usize, text.len(), 0]);
    let _ = sys(libc::SYS_close, [fd, 0, 0, 0]);
    written.map(drop)
}

/// Waits to be released; ends if nobody is left who could do that.
fn wait() {
    let mut word = 0_u8;
    loop {
        match sys(libc::SYS_read, [GATE as usize, &raw mut word as usize, 1, 0]) {
            Ok(1) => return,
            Err(libc::EINTR) => {}
            _ => drop(sys(libc::SYS_exit_group, [NEVER_RELEASED as usize, 0, 0, 0])),
        }
    }
}

/// The pipe takes a few messages in any case, and where nobody reads there is nothing to be done.
fn tell(stage: Stage, errno: c_int, fatal: bool) {
    let [a, b, c, d] = errno.to_ne_bytes();
    let message: [u8; MESSAGE] = [stage as u8, u8::from(fatal), 0, 0, a, b, c, d];
    let _ = sys(libc::SYS_write, [REPORT as usize, message.as_ptr() as usize, MESSAGE, 0]);
}

fn sys(number: c_long, arguments: [usize; 4]) -> Result<usize, c_int> {
    // SAFETY: every pointer that this module passes leads to a local, to a constant, or into
    // `Prepared`, which stays until this process has executed the program or ended.
    unsafe { call(number, arguments) }
}
