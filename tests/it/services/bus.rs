//! The daemon on the session bus of a user, as `busctl` sees it, and who may speak to it.

use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("bus::introspection", introspection);
    trials.rig("bus::strangers", strangers);
    trials.rig("bus::service", service);
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

/// `busctl` shows a service: its properties with their types, and what changes of them, as it changes.
fn service(rig: &Rig) -> Result<()> {
    rig.add_user(&crate::rig::User::person("bess", 1090, &[]))?;
    rig.linger("bess")?;
    let bess = rig.as_user("bess").folder("/home/bess");
    let config =
        "[service.\"web-1.x\"]\ncommand = [\"sleep\", \"1000\"]\nname = \"Web\"\nport = 24901\nmeta = { a = 1 }\n";
    rig.write_as("bess", "/home/bess/provost.toml", config, 0o600)?;
    bess.run(["provost", "up", "-d"])?.ok()?;
    let (name, path) = ("org.provost.Provost1", "/org/provost/Provost1/service/web_2d1_2ex");
    let interface = "org.provost.Provost1.Service";
    let tree = bess.run(["busctl", "--user", "tree", "--list", name])?.ok()?;
    expect!(tree.lines().any(|line| line == path), "{tree}");
    let shown = bess.run(["busctl", "--user", "introspect", name, path])?.ok()?;
    let line = |member: &str| shown.lines().find(|line| line.starts_with(&format!(".{member} "))).unwrap_or_default();
    for (member, words) in [
        ("State", "property  s         \"running\"     emits-change"),
        ("Id", "property s \"web-1.x\" const"),
        ("Name", "property s \"Web\" emits-change"),
        ("Ready", "property b true emits-change"),
        ("Port", "property q 24901 emits-change"),
        ("CommandLine", "property as 2 \"sleep\" \"1000\" emits-change"),
        ("Meta", "property a{sv} 1 \"a\" t 1 emits-change"),
        ("Restarts", "property t 0 emits-change"),
        ("MemoryBytes", "property t"),
        ("StateChanged", "signal ss"),
    ] {
        let mut rest = line(member);
        for word in words.split_whitespace() {
            rest = rest.split_once(word).ok_or_else(|| format!("{member}: no {word}: {shown}"))?.1;
        }
    }
    let property = |of: &str| bess.run(["busctl", "--user", "get-property", name, path, interface, of])?.ok();
    let pid = property("Pid")?.trim_start_matches("u ").parse::<u32>()?;
    expect!(rig.is_running(pid), "{pid} does not run");
    expect!(property("State")? == "s \"running\"", "{}", property("State")?);
    let missing = bess.run(["busctl", "--user", "get-property", name, path, interface, "Nothing"])?;
    expect!(missing.code() != 0 && missing.stderr.contains("Nothing"), "{missing:?}");

    let limit = std::time::Duration::from_secs(20);
    let mut monitor = bess.pty(["busctl", "--user", "--json=short", "monitor", name])?;
    // Not every version says when it begins: it is asked for something until it shows that.
    eventually("the monitor shows calls", || {
        property("Id").is_ok() && monitor.expect("\"Get\"", std::time::Duration::from_secs(1)).is_ok()
    })?;
    bess.run(["provost", "restart", "web-1.x"])?.ok()?;
    let state = |word: &str| format!("\"State\":{{\"type\":\"s\",\"data\":\"{word}\"}}");
    for words in ["StateChanged", "PropertiesChanged", &state("running")] {
        monitor.expect(words, limit)?;
    }
    bess.run(["provost", "stop", "web-1.x"])?.ok()?;
    monitor.expect(&state("stopped"), limit)?;
    expect!(property("State")? == "s \"stopped\"" && property("Pid")? == "u 0", "{}", property("Pid")?);
    // What is no service has no object.
    let none = bess.run(["busctl", "--user", "introspect", name, "/org/provost/Provost1/service/none"])?;
    expect!(!none.stdout.contains(interface), "{none:?}");
    bess.run(["provost", "rm", "web-1.x"])?.ok().map(drop)
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
