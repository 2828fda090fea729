//! The daemon on the session bus of a user, as `busctl` sees it, and who may speak to it.

use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("bus::introspection", introspection);
    trials.rig("bus::strangers", strangers);
}

const UNIT: &str = "provost-on-the-bus";

/// `busctl` shows the manager on the session bus and on the control socket alike.
fn introspection(rig: &Rig) -> Result<()> {
    rig.linger("watson")?;
    let watson = rig.as_user("watson");
    let run = ["systemd-run", "--user", "--quiet", "--collect", "--service-type=notify", "--unit", UNIT];
    let places = ["-E", "XDG_STATE_HOME=/home/watson/bus-state", "-E", "XDG_RUNTIME_DIR=/run/user/1000/bus-test"];
    watson.run(["mkdir", "-p", "-m", "700", "/run/user/1000/bus-test"])?.ok()?;
    let bus = ["-E", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus"];
    let daemon = ["/usr/local/bin/provost", "daemon", "--user", "--sim"];
    watson.run(run.iter().chain(&places).chain(&bus).chain(&daemon))?.ok()?;
    let name = "org.provost.Provost1";
    let path = "/org/provost/Provost1";
    let on_bus = || watson.run(["busctl", "--user", "status", name]).is_ok_and(|output| output.code() == 0);
    eventually("it has its name", on_bus)?;
    let socket = "--address=unix:path=/run/user/1000/bus-test/provost/control.sock";
    for way in ["--user", socket] {
        let shown = watson.run(["busctl", way, "introspect", name, path])?.ok()?;
        for line in ["org.provost.Provost1.Manager", ".List", ".InstanceId", ".Event", "assb", "aa{sv}"] {
            expect!(shown.contains(line), "{way}: no {line}: {shown}");
        }
        let tree = watson.run(["busctl", way, "tree", name])?.ok()?;
        expect!(tree.contains("/org/provost/Provost1/service"), "{way}: {tree}");
        let listed = watson.run([
            "busctl",
            way,
            "call",
            name,
            path,
            "org.provost.Provost1.Manager",
            "List",
            "assb",
            "0",
            "",
            "false",
        ]);
        expect!(listed?.ok()?.starts_with("aa{sv} 0"), "{way}");
        let version =
            watson.run(["busctl", way, "get-property", name, path, "org.provost.Provost1.Manager", "Version"]);
        expect!(version?.ok()?.contains(env!("CARGO_PKG_VERSION")), "{way}");
    }
    let status = watson.run(["systemctl", "--user", "show", "-P", "StatusText", UNIT])?.ok()?;
    expect!(status.trim() == "no services", "{status}");
    watson.run(["systemctl", "--user", "stop", UNIT])?.ok().map(drop)
}

/// The socket lies in a folder that only its owner enters; somebody who gets there all the same is turned away.
fn strangers(rig: &Rig) -> Result<()> {
    let watson = rig.as_user("watson").no_user_manager().env("XDG_STATE_HOME", "/home/watson/strangers");
    let _daemon = watson.spawn(["/usr/local/bin/provost", "daemon", "--user", "--sim"])?;
    let socket = "/tmp/provost-1000/control.sock";
    eventually("it listens", || rig.exists(socket))?;
    let mode = rig.as_root().run(["stat", "-c", "%a %U", "/tmp/provost-1000"])?.ok()?;
    expect!(mode.trim() == "700 watson", "{mode}");
    rig.as_root().run(["chmod", "777", "/tmp/provost-1000", socket])?.ok()?;
    let ask = [
        "busctl",
        "--address=unix:path=/tmp/provost-1000/control.sock",
        "call",
        "org.provost.Provost1",
        "/org/provost/Provost1",
    ];
    let list = ["org.provost.Provost1.Manager", "List", "assb", "0", "", "false"];
    let asked = |who: &str| rig.as_user(who).run(ask.iter().chain(&list));
    expect!(asked("eve")?.code() != 0, "eve is nobody here");
    expect!(asked("watson")?.code() == 0 && asked("root")?.code() == 0, "the owner and root are");
    rig.as_root().run(["rm", "-rf", "/tmp/provost-1000"])?.ok().map(drop)
}
