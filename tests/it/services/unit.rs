//! The daemon that the command line starts as a unit of the user manager.

use std::time::Duration;

use crate::rig::{As, Result, Rig, User, eventually, until};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("unit::started_and_gone", started_and_gone);
    trials.rig("unit::without_its_records", without_its_records);
    trials.rig("unit::manager_gone", manager_gone);
}

const UNIT: &str = "provost.service";

/// A property of the daemon's unit.
pub fn of_unit(who: &As<'_>, property: &str) -> Result<String> {
    Ok(who.run(["systemctl", "--user", "show", "-P", property, UNIT])?.ok()?.trim().to_owned())
}

/// How the daemon of a user has to run as a unit, started by hand or installed.
pub fn expect_daemon(who: &As<'_>) -> Result<()> {
    for (property, value) in [
        ("ActiveState", "active"),
        ("Type", "notify"),
        ("Restart", "on-failure"),
        ("RestartUSec", "1s"),
        ("StartLimitIntervalUSec", "0"),
        ("KillMode", "process"),
        ("OOMPolicy", "continue"),
        ("Delegate", "yes"),
    ] {
        let is = of_unit(who, property)?;
        expect!(is == value, "{property} is {is}");
    }
    Ok(())
}

/// The main processes of what runs.
pub fn pids(who: &As<'_>) -> Result<Vec<u64>> {
    let listed: serde_json::Value = serde_json::from_str(&who.run(["provost", "list", "-o", "json"])?.ok()?)?;
    let services = listed["services"].as_array().ok_or("no list")?;
    Ok(services.iter().filter_map(|service| service["pid"].as_u64()).collect())
}

/// `up --detach` starts it; it survives restarts and SIGKILL with every service; with its last service it leaves.
fn started_and_gone(rig: &Rig) -> Result<()> {
    rig.add_user(&User::person("unity", 1040, &[]))?;
    rig.linger("unity")?;
    let who = rig.as_user("unity");
    let sleeper = "command = [\"sleep\", \"1000\"]";
    let two =
        format!("[service.one]\n{sleeper}\nlog = {{ file = true }}\n[service.two]\n{sleeper}\nafter = [\"one\"]\n");
    rig.write_as("unity", "/home/unity/provost.toml", two, 0o600)?;
    let who = who.folder("/home/unity");
    who.run(["provost", "up", "--detach", "-c", "/home/unity/provost.toml"])?.ok()?;
    expect_daemon(&who)?;
    let before = pids(&who)?;
    expect!(before.len() == 2, "{before:?}");
    eventually("its status counts them", || of_unit(&who, "StatusText").is_ok_and(|s| s == "2 services: 2 running"))?;

    let keeper = || who.run(["pgrep", "-u", "unity", "-f", "provost --keep-output"]).map(|found| found.stdout);
    let kept = keeper()?;
    expect!(kept.lines().count() == 1, "the keepers of output: {kept:?}");
    who.run(["provost", "daemon", "restart"])?.ok()?;
    expect!(pids(&who)? == before, "after a restart");
    let daemon = of_unit(&who, "MainPID")?;
    who.run(["kill", "-9", &daemon])?.ok()?;
    eventually("the manager starts it again", || {
        of_unit(&who, "ActiveState").is_ok_and(|s| s == "active") && of_unit(&who, "MainPID").is_ok_and(|p| p != daemon)
    })?;
    expect!(pids(&who)? == before, "after SIGKILL");
    expect!(keeper()? == kept, "{:?} keeps the output, and no longer {kept:?}", keeper());

    who.run(["provost", "down", "-c", "/home/unity/provost.toml"])?.ok()?;
    eventually("it leaves with its last service", || of_unit(&who, "ActiveState").is_ok_and(|s| s == "inactive"))?;
    let left = who.run(["systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "provost*"])?.ok()?;
    expect!(left.trim().is_empty(), "{left}");
    eventually("nothing is left for the keeper", || keeper().is_ok_and(|found| found.is_empty()))
}

/// A daemon that cannot read its records takes nothing for new: it is tried until it can, and every verb says why not.
fn without_its_records(rig: &Rig) -> Result<()> {
    rig.add_user(&User::person("norah", 1042, &[]))?;
    rig.linger("norah")?;
    let who = rig.as_user("norah");
    let config = "[service.one]\ncommand = [\"sleep\", \"1000\"]\n[service.two]\ncommand = [\"sleep\", \"1000\"]\n";
    rig.write_as("norah", "/home/norah/provost.toml", config, 0o600)?;
    let who = who.folder("/home/norah");
    who.run(["provost", "up", "--detach"])?.ok()?;
    who.run(["provost", "stop", "two"])?.ok()?;
    let before = pids(&who)?;
    expect!(before.len() == 1, "{before:?}");
    let found = who.run(["find", "/home/norah/.local/state/provost", "-name", "registry"])?.ok()?;
    let records = found.trim();

    who.run(["chmod", "000", records])?.ok()?;
    who.run(["kill", "-9", &of_unit(&who, "MainPID")?])?.ok()?;
    // More often than a manager bears by default within ten seconds.
    let tries = || of_unit(&who, "NRestarts").ok().and_then(|tries| tries.parse::<u32>().ok());
    until("it is tried again and again", Duration::from_secs(30), || tries().is_some_and(|tries| tries > 6))?;
    let why = format!("the records cannot be read: {records}: Permission denied");
    let why_none = format!("the daemon did not start: {records} cannot be used: Permission denied");
    for verb in [
        &["list"][..],
        &["status", "one"],
        &["logs", "one"],
        &["stop", "one"],
        &["inspect", "service:one"],
        &["registry"],
        &["down"],
        &["orphans"],
        &["start", "one"],
    ] {
        let said = who.run([&["provost"], verb].concat())?;
        expect!(said.code() == 1 && said.stderr.contains(&why), "{verb:?}: {said:?}");
    }
    let up = || who.run(["provost", "up", "--detach"]);
    let said = up()?;
    expect!(said.code() == 1 && said.stderr.contains(&why_none), "{said:?}");
    expect!(of_unit(&who, "ActiveState")? == "activating", "who asks in vain does not end it");

    who.run(["chmod", "700", records])?.ok()?;
    eventually("it takes over what runs", || of_unit(&who, "ActiveState").is_ok_and(|s| s == "active"))?;
    expect!(pids(&who)? == before, "{:?} run, and {before:?} did", pids(&who));

    who.run(["provost", "down"])?.ok()?;
    let gone = || of_unit(&who, "ActiveState").is_ok_and(|s| s == "inactive");
    eventually("it leaves with its last service", gone)?;
    who.run(["chmod", "000", records])?.ok()?;
    let said = up()?;
    expect!(said.code() == 1 && said.stderr.contains(&why_none), "{said:?}");
    eventually("one that was asked for in vain is not tried for ever", gone)?;
    who.run(["chmod", "700", records])?.ok()?;
    Ok(())
}

/// What ended with its user's manager is started without it, and can be stopped.
fn manager_gone(rig: &Rig) -> Result<()> {
    rig.add_user(&User::person("parting", 1078, &[]))?;
    rig.linger("parting")?;
    let config = "/home/parting/provost.toml";
    let service = "command = [\"sleep\", \"1000\"]\n";
    rig.write_as("parting", config, format!("[service.one]\n{service}[service.two]\n{service}"), 0o600)?;
    rig.as_user("parting").folder("/home/parting").run(["provost", "up", "--detach", "-c", config])?.ok()?;
    rig.as_root().run(["loginctl", "disable-linger", "parting"])?.ok()?;
    eventually("the manager has ended", || !rig.exists("/sys/fs/cgroup/user.slice/user-1078.slice/user@1078.service"))?;
    eventually("so has its folder", || !rig.exists("/run/user/1078"))?;
    let who = rig.as_user("parting").folder("/home/parting");
    who.run(["provost", "start", "one"])?.ok()?;
    let listed: serde_json::Value = serde_json::from_str(&who.run(["provost", "list", "-o", "json"])?.ok()?)?;
    let one =
        listed["services"].as_array().and_then(|all| all.iter().find(|one| one["id"] == "one")).ok_or("no one")?;
    expect!(one["state"] == "running" && one["backend"] == "direct", "{listed}");
    who.run(["provost", "down", "-c", config])?.ok()?;
    expect!(pids(&who)?.is_empty(), "{:?}", pids(&who));
    Ok(())
}
