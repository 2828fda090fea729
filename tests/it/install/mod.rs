//! `install`, `uninstall` and `doctor` on a real systemd, bus and polkit; and the packages.

mod attacks;
mod doctor;
mod package;
mod rules;
mod system;
mod user;

use crate::rig::{Result, Rig};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    system::register(trials);
    user::register(trials);
    attacks::register(trials);
    rules::register(trials);
    doctor::register(trials);
    package::register(trials);
}

/// Where the rig has the program under test.
const PROGRAM: &str = "/usr/local/bin/provost";

/// Whether a unit's page is looked for: only where there is a program for pages.
fn man(rig: &Rig) -> &'static str {
    if rig.exists("/usr/bin/man") { "--man=yes" } else { "--man=no" }
}

/// A copy of the program in a user's hands, of a version that differs in nothing but its last byte.
fn download(rig: &Rig, user: &str, path: &str, version: char) -> Result<()> {
    let folder = path.rsplit_once('/').map_or("/", |parts| parts.0);
    let script = format!(
        "mkdir -p {folder} && cp {PROGRAM} {path} && printf {version} >> {path} && chown -R {user}: {folder} && chmod 755 {folder} {path}"
    );
    rig.as_root().run(["sh", "-c", &script])?.ok().map(drop)
}

/// Runs `body` with provost installed for the system, by itself, and its daemon running.
fn installed<T>(rig: &Rig, body: impl FnOnce() -> Result<T>) -> Result<T> {
    struct Uninstall<'r>(&'r Rig);
    impl Drop for Uninstall<'_> {
        fn drop(&mut self) {
            let _ = self.0.as_root().run([PROGRAM, "uninstall", "--system"]);
            let _ = self.0.as_root().run(["rm", "-rf", "/var/lib/provost", "/var/log/provost", "/etc/provost"]);
        }
    }
    let uninstall = Uninstall(rig);
    rig.as_root().run([PROGRAM, "install", "--system", "--now"])?.ok()?;
    let done = body();
    drop(uninstall);
    done
}
