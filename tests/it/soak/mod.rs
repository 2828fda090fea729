//! The daemon is killed at random moments while services start, crash and stop, some of them before there is a daemon
//! again, and while it is restarted and upgraded: nothing is lost, nothing runs twice, nothing is left behind.
//!
//! [`driver`] is this program again. It kills the daemon and compares; [`worker`] is what the services run: it writes
//! every line of its output to a file of its own as well, and that file is the truth. A few rounds run with all other
//! tests; `PROVOST_SOAK=200 tests/run soak` runs the long version and prints its counts.

mod check;
mod driver;
mod worker;

use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::rig::{Result, Rig};
use crate::trial::Trials;

/// The variable that says which part this program plays.
const ROLE: &str = "PROVOST_SOAK_ROLE";
/// Rounds of an ordinary test run.
const FEW: u32 = 8;

pub fn register(trials: &mut Trials) {
    trials.plain("soak::direct", on_this_machine);
    trials.rig("soak::systemd", |rig| in_rig(rig, "systemd"));
    trials.rig("soak::direct-in-rig", |rig| in_rig(rig, "direct"));
}

/// Plays a part, if this program was started for one.
pub fn main() -> Option<ExitCode> {
    let done = match std::env::var(ROLE).ok()?.as_str() {
        "worker" => worker::main(),
        _ => driver::main(),
    };
    Some(match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", crate::rig::words(&error));
            ExitCode::FAILURE
        }
    })
}

fn rounds() -> u32 {
    std::env::var("PROVOST_SOAK").ok().and_then(|n| n.parse().ok()).unwrap_or(FEW)
}

fn on_this_machine() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let exe = std::env::current_exe()?;
    let output = Command::new(exe)
        .args(["direct", &rounds().to_string(), &dir.path().display().to_string(), env!("CARGO_BIN_EXE_provost")])
        .env(ROLE, "driver")
        .output()?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned().into()) }
}

fn in_rig(rig: &Rig, backend: &str) -> Result<()> {
    rig.linger("watson")?;
    let dir = format!("/home/watson/soak-{backend}");
    let who = rig.as_user("watson").env(ROLE, "driver").timeout(Duration::from_secs(60 + 10 * u64::from(rounds())));
    let output = who.run(["/usr/local/bin/sleeper", backend, &rounds().to_string(), &dir, "/usr/local/bin/provost"])?;
    print!("{}", output.stdout);
    output.ok().map(drop)
}
