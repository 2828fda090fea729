//! What the services run: prints numbered lines, keeps the truth, and crashes now and then.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::rig::Result;

static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_: i32) {
    STOP.store(true, Ordering::Relaxed);
}

/// `worker TRUTH CRASHES`: lines go to standard output, every third to standard error, and before that to
/// `TRUTH/ID.out` and `.err`.
pub fn main() -> Result<String> {
    let handler = SigAction::new(SigHandler::Handler(stop), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY-free in tests: the handler stores one atomic.
    #[allow(unsafe_code, reason = "sigaction is unsafe; the handler stores one atomic")]
    unsafe {
        sigaction(Signal::SIGTERM, &handler)?;
    }
    let words: Vec<String> = std::env::args().collect();
    let [_, truth, crashes] = words.as_slice() else { return Err("worker TRUTH CRASHES".into()) };
    let id = std::env::var("PROVOST_SERVICE")?;
    let open = |end: &str| OpenOptions::new().create(true).append(true).open(format!("{truth}/{id}.{end}"));
    let (mut out, mut err) = (open("out")?, open("err")?);
    // Somebody who is easily left behind: in a session of its own, deaf to SIGTERM. Half of them let go of the output,
    // which nobody of the service holds then once the worker has ended.
    let mut left = Command::new("setsid");
    left.args(["sh", "-c", "trap '' TERM; exec sleep 1000"]);
    if super::driver::number(&id) % 4 >= 2 {
        left.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    }
    left.spawn()?;

    let pid = std::process::id();
    let life = Duration::from_millis(u64::from(pid.wrapping_mul(2_654_435_761) % 1200) + 50);
    let begin = Instant::now();
    for n in 0_u64.. {
        let line = format!("{id} {pid} {n}\n");
        if n % 3 == 0 {
            err.write_all(line.as_bytes())?;
            std::io::stderr().write_all(line.as_bytes())?;
        } else {
            out.write_all(line.as_bytes())?;
            std::io::stdout().write_all(line.as_bytes())?;
        }
        if STOP.load(Ordering::Relaxed) {
            break;
        }
        if crashes == "yes" && begin.elapsed() > life {
            match pid % 3 {
                0 => std::process::exit(1),
                1 => std::process::abort(),
                _ => return Err("a crash, as told".into()),
            }
        }
        std::thread::sleep(Duration::from_millis(4));
    }
    std::process::exit(0)
}
