//! The backend of systemd on real managers: the library's own tests of it, run in the rig.
//!
//! What they test cannot be reached from here. So the test program of the library, which cargo built
//! beside this one, is put into the rig and told which manager to use.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::rig::{As, Result, Rig, User};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("backend::user_manager", user_manager);
    // It re-executes PID 1.
    trials.exclusive("backend::system_manager", system_manager);
}

const TESTS: &str = "backend::systemd::";
/// The one that leaves no manager to the others.
const END: &str = "backend::systemd::tests::others::a_manager_that_ends_is_nobodys_wish";

/// The newest test program of the library in the folder of this one.
fn library_tests() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let is_test = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("provost-")
            && !name.contains('.')
            && path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
            && Command::new(path)
                .args(["--list", TESTS])
                .output()
                .is_ok_and(|listed| String::from_utf8_lossy(&listed.stdout).contains(TESTS))
    };
    let mut all: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(own.parent().ok_or("no folder")?)? {
        let entry = entry?;
        all.push((entry.metadata()?.modified()?, entry.path()));
    }
    all.sort();
    let newest = all.into_iter().rev().map(|(_, path)| path).find(|path| is_test(path));
    newest.ok_or_else(|| "the library's tests are not built: cargo test --lib --no-run".into())
}

fn run(rig: &Rig, who: As<'_>, name: &str, manager: &str, which: &[&str]) -> Result<()> {
    let program = format!("/usr/local/bin/{name}");
    rig.copy_program(&library_tests()?, &program)?;
    // A bus that is killed can hold the manager up for 90 s, by itself: see the test.
    let who = who.env("PROVOST_TEST_MANAGER", manager).timeout(Duration::from_secs(300));
    let done = who.run([program.as_str(), "--test-threads=1", "--show-output"].iter().chain(which));
    rig.remove(&program)?;
    let done = done?;
    expect!(done.code() == 0, "{}{}", done.stdout, done.stderr);
    // Only what wants a manager for itself is left to its own run.
    let left = done.stdout.lines().filter(|line| line.starts_with("not run")).count();
    expect!(left == usize::from(which == [TESTS]) && !done.stdout.contains(" 0 passed"), "{}", done.stdout);
    Ok(())
}

fn user_manager(rig: &Rig) -> Result<()> {
    rig.add_user(&User::person("unitary", 1041, &[]))?;
    rig.linger("unitary")?;
    // Its bus is there a moment before the manager is on it.
    let unitary = rig.as_user("unitary");
    let answers = || unitary.run(["systemctl", "--user", "show-environment"]).is_ok_and(|done| done.code() == 0);
    crate::rig::eventually("the manager answers", answers)?;
    run(rig, rig.as_user("unitary"), "provost-tests-user", "user", &[TESTS])?;
    run(rig, rig.as_user("unitary"), "provost-tests-end", "user-to-end", &["--exact", END])
}

fn system_manager(rig: &Rig) -> Result<()> {
    run(rig, rig.as_root(), "provost-tests-system", "system", &[TESTS])
}
