//! The group that the example rules of polkit speak of, and the system's folders.

use std::path::Path;

use super::layout::Layout;
use super::log::{Log, Outcome};
use super::manager::system_program;
use super::manifest::Manifest;
use crate::error::Error;

const GROUP: &str = "provost";

/// Has systemd's own tools make what the files in /etc/sysusers.d and /etc/tmpfiles.d say.
pub(super) fn make(_layout: &Layout, path: &Path, manifest: &mut Manifest, log: &mut Log<'_>) -> Result<(), Error> {
    let was = exists();
    manifest.group |= was && manifest.adopts;
    if was || log.dry {
        let outcome = if was { Outcome::Unchanged } else { Outcome::Created };
        log.step("group", GROUP, outcome, "");
    } else {
        manifest.group = true;
        manifest.save(path)?;
        match run("systemd-sysusers", &["/etc/sysusers.d/provost.conf"]) {
            Ok(()) => log.step("group", GROUP, Outcome::Created, ""),
            Err(why) => {
                manifest.group = false;
                log.step("group", GROUP, Outcome::Skipped, &why);
            }
        }
    }
    if !log.dry
        && let Err(why) = run("systemd-tmpfiles", &["--create", "/etc/tmpfiles.d/provost.conf"])
    {
        log.step("folder", "/run/provost", Outcome::Skipped, &why);
    }
    Ok(())
}

/// Removes the group. Who is in it loses nothing but that.
pub(super) fn remove(log: &mut Log<'_>) {
    if !exists() {
        return;
    }
    match if log.dry { Ok(()) } else { run("groupdel", &[GROUP]) } {
        Ok(()) => log.step("group", GROUP, Outcome::Removed, ""),
        Err(why) => log.step("group", GROUP, Outcome::Kept, &why),
    }
}

fn exists() -> bool {
    nix::unistd::Group::from_name(GROUP).is_ok_and(|group| group.is_some())
}

/// Runs one of the system's own programs, with nothing of the caller's environment.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let path = system_program(program).ok_or_else(|| format!("{program} is not installed"))?;
    #[expect(clippy::disallowed_methods, reason = "the tools of the system for it, by their full path")]
    let output =
        std::process::Command::new(path).args(arguments).env_clear().env("PATH", super::escalate::PATH).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {} ({})", last, output.status)) }
}
