//! The counter-check: what provost says cannot be done is tried by other means, and must not work.

use crate::rig::{Result, Rig};

use super::ask::Forecast;
use super::cells::Cell;
use super::look::{Object, Watched};

/// Tries what is said not to work, or not to work without a password.
///
/// What provost does not want to do although it would work (a part of a unit, a protected unit) is not tried.
pub fn agrees(rig: &Rig, cell: &Cell, watched: &Watched<'_>, forecast: &Forecast, story: &mut String) -> Result<()> {
    let stopper = forecast.stopper.as_deref();
    let policy = forecast.means == "refused" && stopper != Some("impossible");
    let anybody = stopper == Some("impossible");
    if policy || cell.only_process && stopper != Some("not-permitted") {
        return Ok(());
    }
    let argv = match (forecast.verdict.as_str(), forecast.means.as_str(), &watched.object) {
        ("allowed" | "unknown-until-asked", ..) | (_, _, Object::Active(_)) => return Ok(()),
        (_, "container", _) => return Ok(()),
        (_, _, Object::Process(_)) if anybody => return Ok(()),
        (_, _, Object::Process(process)) => return signal(rig, cell, process.pid, story),
        (_, _, Object::Unit(Some(_), _)) | (_, "probe", _) if !anybody => {
            // That the process alone can be signalled must at least be said.
            let by_signal = matches!(cell.action, "stop" | "kill") && !forecast.names_only_process;
            let pid = watched.log.as_ref().filter(|_| by_signal);
            let pid = pid.and_then(|log| last_start(rig, log));
            return pid.map_or(Ok(()), |pid| signal(rig, cell, pid, story));
        }
        (_, _, Object::Unit(user, unit)) => systemctl(cell, *user, unit),
    };
    // What nobody can do, root cannot.
    let who = if anybody { rig.as_root() } else { cell.caller.start(rig, cell.owner.user) };
    refused(&who.run(&argv)?, &argv, story)
}

/// The caller's own `kill`.
fn signal(rig: &Rig, cell: &Cell, pid: u32, story: &mut String) -> Result<()> {
    let pid = pid.to_string();
    let argv = ["kill", "-USR1", pid.as_str()];
    refused(&cell.caller.start(rig, cell.owner.user).run(argv)?, &argv, story)
}

fn systemctl<'a>(cell: &Cell, user: Option<&str>, unit: &'a str) -> Vec<&'a str> {
    let mut argv = vec!["systemctl", "--no-ask-password", cell.action];
    if user.is_some() {
        argv.push("--user");
    }
    if cell.action == "kill" {
        argv.extend(["--kill-whom=main", "--signal=USR1"]);
    }
    argv.extend(["--", unit]);
    argv
}

fn last_start(rig: &Rig, log: &str) -> Option<u32> {
    rig.read(log).ok()?.lines().rev().find_map(|line| line.strip_prefix("START ")?.parse().ok())
}

fn refused(output: &crate::rig::Output, argv: &[&str], story: &mut String) -> Result<()> {
    let said = format!("$ {}   -> {}\n{}{}\n", argv.join(" "), output.code(), output.stdout, output.stderr);
    story.push_str(&said);
    if output.status.success() { Err(format!("it is said not to work, and works: {said}").into()) } else { Ok(()) }
}
