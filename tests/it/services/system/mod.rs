//! The system's daemon on the system bus: what everybody may see, what polkit lets whom do, and that nobody takes it
//! from the others.

mod asked;
mod commands;
mod flood;
mod idle;
mod kept;
mod live;
mod others;
mod sockets;
mod trust;

use crate::rig::{PolkitRule, Result, Rig, eventually};
use crate::trial::Trials;

const NAME: &str = "org.provost.Provost1";
const PATH: &str = "/org/provost/Provost1";
const MANAGER: &str = "org.provost.Provost1.Manager";
const CONFIG: &str = "/etc/provost/provost.toml";

pub fn register(trials: &mut Trials) {
    asked::register(trials);
    commands::register(trials);
    flood::register(trials);
    idle::register(trials);
    kept::register(trials);
    live::register(trials);
    others::register(trials);
    sockets::register(trials);
    trust::register(trials);
    trials.destructive("system::bus_anew", bus_anew);
}

/// A bus that is restarted under the daemon: systemd ends the daemon, whose name is gone, and starts it again without
/// anybody asking for it; its services have not noticed.
fn bus_anew(rig: &Rig) -> Result<()> {
    with_config(rig, "[service.llm]\ncommand = ['sleep', '1000']\n", || {
        let (eve, patience) = (rig.as_user("eve"), std::time::Duration::from_secs(60));
        eve.run(["provost", "--system", "list"])?.ok()?;
        let before = up(rig, "llm")?;
        let follow = "exec provost --system events -f llm > told 2> said";
        let _follower = eve.clone().folder("/home/eve").spawn_as("provost", ["sh", "-c", follow])?;
        let told = |file: &str| rig.read(&format!("/home/eve/{file}")).unwrap_or_default();
        eventually("it listens", || !told("told").is_empty())?;
        let daemon =
            rig.as_root().run(["systemctl", "show", "-P", "MainPID", "provost.service"])?.ok()?.trim().to_owned();
        rig.systemctl(["restart", "dbus.service"])?;
        for unit in ["systemd-logind.service", "polkit.service"] {
            rig.systemctl(["restart", unit])?;
        }
        let main = || rig.as_root().run(["systemctl", "show", "-P", "MainPID", "provost.service"]).and_then(|o| o.ok());
        crate::rig::until("the daemon is back", patience, || {
            main().is_ok_and(|pid| !["0", &daemon].contains(&pid.trim()))
        })?;
        crate::rig::until("it is served again", patience, || pid_of(rig, "llm").is_ok_and(|pid| pid != 0))?;
        expect!(pid_of(rig, "llm")? == before, "its service was restarted");
        let _rule = allow(rig, "watson", "llm", &["restart"])?;
        rig.as_user("watson").run(["provost", "restart", "llm"])?.ok()?;
        let after = up(rig, "llm")?;
        expect!(after != before, "it was not restarted");
        // Who followed what happens still does.
        expect!(told("said").contains("another daemon runs now"), "{}", told("said"));
        eventually("the restart is told", || told("told").contains(&format!("it runs as pid {after}")))?;
        rig.as_root().run(["rm", "/home/eve/told", "/home/eve/said"])?.ok().map(drop)
    })
}

/// Runs `body` with the system's daemon there, and this config.
fn with_config(rig: &Rig, config: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    rig.as_root().run(["mkdir", "-p", "-m", "755", "/etc/provost"])?.ok()?;
    rig.write(CONFIG, config, 0o644)?;
    let done = rig.with_helper(|| {
        let done = body();
        // Services are units of their own, which would stay.
        let _ = rig.as_root().run(["provost", "--system", "down", "--all", "--force"]);
        done
    });
    if done.is_err() {
        let log = rig.as_root().run(["journalctl", "-u", "provost.service", "-n", "40", "--no-pager", "-o", "cat"]);
        eprintln!("the daemon's log:\n{}", log.map(|log| log.stdout).unwrap_or_default());
    }
    let _ = rig.as_root().run(["rm", "-rf", "/etc/provost", "/var/lib/provost", "/run/provost", "/var/log/provost"]);
    done
}

/// A rule of manage-services: this user, these verbs of this service.
fn allow<'r>(rig: &'r Rig, user: &str, id: &str, verbs: &[&str]) -> Result<PolkitRule<'r>> {
    let js = format!(
        "if (action.id == \"org.provost.manage-services\" && subject.user == {user:?} && \
         action.lookup(\"id\") == {id:?} && {verbs:?}.indexOf(action.lookup(\"verb\")) >= 0) \
         return polkit.Result.YES;"
    );
    rig.polkit_rule(&format!("provost-{user}-{id}"), &js)
}

/// The main process of a service of the system, as everybody sees it.
fn pid_of(rig: &Rig, id: &str) -> Result<u32> {
    let path = format!("{PATH}/service/{id}");
    let eve = rig.as_user("eve");
    let said = eve.run(["busctl", "--system", "get-property", NAME, &path, "org.provost.Provost1.Service", "Pid"])?;
    Ok(said.ok()?.trim_start_matches("u ").trim().parse()?)
}

/// Starts the services of the config, as root.
fn up(rig: &Rig, id: &str) -> Result<u32> {
    eventually(&format!("{id} runs"), || pid_of(rig, id).is_ok_and(|pid| pid != 0))?;
    pid_of(rig, id)
}
