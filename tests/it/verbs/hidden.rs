//! What can be done where something is hidden or absent: other users' processes, the buses, systemd itself.

use std::process::{Command, Stdio};

use super::json;
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

const SLEEP: &str = "[Service]\nUser=ollama\nExecStart=/usr/local/bin/sleeper\n";

pub fn register(trials: &mut Trials) {
    trials.rig("hidden::hidepid", hidepid);
    trials.exclusive("hidden::hidepid_everywhere", hidepid_everywhere);
    trials.rig("hidden::port_with_hidepid", port_with_hidepid);
    trials.rig("hidden::no_user_manager", no_user_manager);
    trials.rig("hidden::no_systemd", no_systemd);
    trials.exclusive("hidden::no_bus", no_bus);
    trials.plain("hidden::on_this_host", on_this_host);
}

/// PID 1 still knows the unit of a process that /proc hides.
fn hidepid(rig: &Rig) -> Result<()> {
    rig.started("hidden-a.service", SLEEP)?;
    let pid = rig.main_pid("hidden-a.service")?;
    let eve = rig.as_user("eve").hidepid();
    for target in [format!("pid:{pid}"), "unit:hidden-a.service".to_owned(), "hidden-a".to_owned()] {
        let (seen, code) = json(&eve, ["inspect", &target])?;
        let owner = &seen["owners"][0];
        expect!(code == 0 && owner["unit"] == "hidden-a.service", "{target}: {seen}");
        expect!(!owner["notes"].to_string().is_empty(), "{target}: {seen}");
    }
    let (seen, code) = json(&rig.as_root().hidepid(), ["inspect", &format!("pid:{pid}")])?;
    expect!(code == 0 && seen["owners"][0]["processes"][0]["pid"] == pid, "{seen}");
    Ok(())
}

/// The same with the rig's own /proc, as an administrator would set it.
fn hidepid_everywhere(rig: &Rig) -> Result<()> {
    rig.started("hidden-e.service", SLEEP)?;
    rig.make_cgroup("/hidden-e")?;
    rig.as_root().run(["mount", "-o", "remount,hidepid=2", "/proc"])?.ok()?;
    let look = || -> Result<()> {
        let (seen, code) = json(&rig.as_user("eve"), ["inspect", "unit:hidden-e.service"])?;
        let stop = &seen["owners"][0]["actions"]["stop"];
        expect!(code == 0 && stop["verdict"] == "needs-password", "{seen}");
        let own =
            rig.as_user("eve").in_unit("/hidden-e").run(["sh", "-c", "sleep 100 & provost stop pid:$!; echo $?"])?;
        expect!(own.stdout.ends_with("0\n"), "{own:?}");
        Ok(())
    };
    let looked = look();
    rig.as_root().run(["mount", "-o", "remount,hidepid=0", "/proc"])?.ok()?;
    looked
}

fn port_with_hidepid(rig: &Rig) -> Result<()> {
    let text = "[Service]\nUser=ollama\nExecStart=/usr/local/bin/llama-server --port 26001\n";
    rig.started("hidden-port.service", text)?;
    let eve = rig.as_user("eve").hidepid();
    eventually("it listens", || json(&eve, ["inspect", ":26001"]).is_ok_and(|(_, code)| code == 0))?;
    let (seen, _) = json(&eve, ["inspect", ":26001"])?;
    let owner = &seen["owners"][0];
    expect!(owner["unit"] == "hidden-port.service" && owner["listening"][0] == "127.0.0.1:26001", "{seen}");
    expect!(owner["availability"]["state"] == "available", "{seen}");
    let (answer, code) = json(&eve, ["probe", ":26001"])?;
    expect!(code == 0 && answer["state"] == "available", "{answer}");
    Ok(())
}

/// Nothing of the user's own manager: its units cannot be reached, everything else works.
fn no_user_manager(rig: &Rig) -> Result<()> {
    rig.started("hidden-m.service", SLEEP)?;
    let watson = rig.as_user("watson").no_user_manager();
    let (answer, code) = json(&watson, ["inspect", "user-unit:anything.service"])?;
    expect!(code == 8 && answer["error"]["message"].to_string().contains("user manager"), "{answer}");
    let (seen, code) = json(&watson, ["inspect", "hidden-m"])?;
    expect!(code == 0 && seen["owners"][0]["unit"] == "hidden-m.service", "{seen}");
    Ok(())
}

/// As on a host that systemd did not boot.
fn no_systemd(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/hidden-n")?;
    let process = rig.as_user("eve").in_unit("/hidden-n").spawn(["sleeper"])?;
    let eve = rig.as_user("eve").no_systemd();
    let (answer, code) = json(&eve, ["stop", "unit:dbus.service"])?;
    expect!(code == 8, "{answer}");
    let (seen, code) = json(&eve, ["inspect", &format!("pid:{}", process.pid)])?;
    expect!(code == 0 && seen["owners"][0]["kind"] == "bare", "{seen}");
    let (done, code) = json(&eve, ["stop", &format!("pid:{}", process.pid)])?;
    expect!(code == 0 && !rig.is_running(process.pid), "{done}");
    Ok(())
}

/// The bus itself is gone.
fn no_bus(rig: &Rig) -> Result<()> {
    rig.started("hidden-b.service", SLEEP)?;
    rig.make_cgroup("/hidden-b")?;
    let pid = rig.main_pid("hidden-b.service")?;
    let process = rig.as_user("eve").in_unit("/hidden-b").spawn(["sleeper"])?;
    rig.systemctl(["stop", "dbus.socket", "dbus.service"])?;
    let look = || -> Result<()> {
        for user in ["eve", "root"] {
            let who = rig.as_user(user);
            let (answer, code) = json(&who, ["stop", "unit:hidden-b.service"])?;
            expect!(code == 8, "{user}: {answer}");
            let (answer, code) = json(&who, ["stop", &format!("pid:{pid}")])?;
            expect!(code == 8 && rig.is_running(pid), "{user}: {answer}");
        }
        let (done, code) = json(&rig.as_user("eve"), ["stop", &format!("pid:{}", process.pid)])?;
        expect!(code == 0 && !rig.is_running(process.pid), "{done}");
        Ok(())
    };
    let looked = look();
    rig.systemctl(["start", "dbus.socket", "dbus.service"])?;
    // What was on the bus comes back by itself; the managers are asked until they answer.
    for unit in ["systemd-logind.service", "polkit.service"] {
        rig.systemctl(["restart", unit])?;
    }
    rig.systemctl(["daemon-reexec"])?;
    for user in ["watson", "eve"] {
        rig.linger(user)?;
        rig.user_systemctl(user, ["daemon-reexec"])?;
        let scope = rig.as_user(user).run(["systemd-run", "--user", "--scope", "true"])?;
        expect!(scope.status.success(), "the rig is not whole again: {scope:?}");
    }
    looked
}

/// Without a container: whatever started this machine.
fn on_this_host() -> Result<()> {
    let init = std::fs::read_to_string("/proc/1/comm")?;
    let provost = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_provost")).args(args).output();
    let mut child = Command::new("sleep").arg("100").stdin(Stdio::null()).spawn()?;
    let target = format!("pid:{}", child.id());
    let seen = provost(&["inspect", &target, "-o", "json"])?;
    let report: serde_json::Value = serde_json::from_slice(&seen.stdout)?;
    let owner = &report["owners"][0];
    expect!(owner["processes"][0]["pid"] == child.id(), "{report}");
    if init.trim() != "systemd" {
        expect!(owner["kind"] == "bare", "{report}");
        let unit = provost(&["stop", "unit:dbus.service"])?;
        let said = String::from_utf8_lossy(&unit.stderr);
        expect!(unit.status.code() == Some(8) && said.contains("systemd"), "{said}");
    }
    if owner["kind"] == "bare" || owner["kind"] == "session" {
        let start = provost(&["restart", &target])?;
        expect!(start.status.code() == Some(1), "{start:?}");
        let stop = provost(&["stop", &target])?;
        expect!(stop.status.success(), "{stop:?}");
        let status = child.try_wait()?;
        expect!(status.is_some(), "it still runs");
    }
    let _ = child.kill();
    child.wait()?;
    // Threads of the kernel are seen outside of containers.
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm.trim() == "kthreadd") {
        for verb in ["stop", "kill"] {
            let said = provost(&[verb, "pid:2"])?;
            let text = String::from_utf8_lossy(&said.stderr);
            expect!(said.status.code() == Some(4) && text.contains("kernel"), "{verb}: {said:?}");
        }
    }
    Ok(())
}
