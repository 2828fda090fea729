//! What is the user's of a service, whom root in its sandbox may not do as it likes with: its folder, its socket.

use super::{NAME, PATH, pid_of, with_config};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("system::sockets", sockets);
}

/// One that leaves its socket behind when it is killed, and lets nobody else use it.
const CONFIG: &str = r#"
[service.sock]
user = "ollama"
cwd = "/srv/sock"
socket = "in/s.sock"
command = ["python3", "-c", """
import os, socket, time
s = socket.socket(socket.AF_UNIX)
s.bind(os.environ['PROVOST_SOCKET'])
os.chmod('in/s.sock', 0o600)
s.listen()
time.sleep(1000)
"""]
restart = { base = "0s" }
ready = { unix = "${socket}", interval = "20ms" }
health = { unix = "${socket}", interval = "100ms" }

[service.inside]
user = "ollama"
cwd = "/srv/sock/in"
command = ["sh", "-c", "pwd > where; exec sleep 1000"]

[service.below]
user = "ollama"
cwd = "/srv/sock/in/app"
command = ["./run"]

[service.by-path]
user = "ollama"
cwd = "/srv/sock/in/app"
env = { PATH = "/usr/bin:/bin:/srv/sock/in/app" }
command = ["own-program"]

[service.nowhere]
user = "ollama"
cwd = "/srv/sock/in/none"
command = ["sleep", "1000"]

[service.no-program]
user = "ollama"
cwd = "/srv/sock/in/app"
command = ["./none"]

[service.temporary]
cwd = "/tmp/provost-trial"
command = ["./serve"]
socket = "s.sock"
ready = { unix = "${socket}", interval = "20ms" }
restart = { base = "0s" }
"#;

/// A program that serves where it is told to.
const SERVE: &str = "#!/usr/bin/python3
import os, socket, time
s = socket.socket(socket.AF_UNIX)
s.bind(os.environ['PROVOST_SOCKET'])
s.listen()
time.sleep(1000)
";

/// As its user it is asked whether it answers, and what an earlier run left is removed.
fn sockets(rig: &Rig) -> Result<()> {
    let root = rig.as_root();
    let make = "rm -rf /srv/sock; mkdir -p /srv/sock/in; chown -R ollama /srv/sock; chmod 700 /srv/sock/in";
    root.run(["sh", "-c", make])?.ok()?;
    let run = "#!/bin/sh\npwd > ran-$PROVOST_SERVICE; exec sleep 1000\n";
    root.run(["mkdir", "-p", "/srv/sock/in/app", "/tmp/provost-trial"])?.ok()?;
    rig.write("/srv/sock/in/app/run", run, 0o700)?;
    rig.write("/srv/sock/in/app/own-program", run, 0o700)?;
    rig.write("/tmp/provost-trial/serve", SERVE, 0o755)?;
    root.run(["chown", "-R", "ollama", "/srv/sock"])?.ok()?;
    with_config(rig, CONFIG, || {
        // Two of them cannot be started.
        let _fails = root.run(["provost", "--system", "up", "-d"])?;
        eventually("it is where it should be", || {
            rig.read("/srv/sock/in/where").is_ok_and(|text| text.trim() == "/srv/sock/in")
        })?;
        unseen(rig)?;
        temporary(rig)?;
        let before = pid_of(rig, "sock")?;
        root.run(["provost", "--system", "kill", "-KILL", "sock"])?.ok()?;
        eventually("it runs again", || pid_of(rig, "sock").is_ok_and(|pid| pid != 0 && pid != before))?;
        let status = || root.run(["provost", "--system", "status", "sock"]).map(|said| said.stdout).unwrap_or_default();
        eventually("it is ready, and well", || status().contains("Health: ok"))?;
        // Where somebody else listens, that is left to them.
        root.run(["provost", "--system", "stop", "sock"])?.ok()?;
        root.run(["rm", "-f", "/srv/sock/in/s.sock"])?.ok()?;
        let other = "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('/srv/sock/in/s.sock'); s.listen(); \
                     time.sleep(1000)";
        let _other = rig.as_user("ollama").spawn(["python3", "-c", other])?;
        eventually("somebody listens", || rig.exists("/srv/sock/in/s.sock"))?;
        let inode = || root.run(["stat", "-c", "%i", "/srv/sock/in/s.sock"])?.ok();
        let theirs = inode()?;
        root.run(["provost", "--system", "start", "sock", "--no-block"])?.ok()?;
        eventually("it has failed", || {
            let said = root.run(["provost", "--system", "list", "--json", "sock"]).map(|said| said.stdout);
            said.is_ok_and(|said| said.contains("exit code 1"))
        })?;
        expect!(inode()? == theirs, "it was removed");
        Ok(())
    })?;
    root.run(["rm", "-rf", "/srv/sock", "/tmp/provost-trial"])?.ok().map(drop)
}

/// What is in a folder that only its user may enter is for its user to find, and to miss.
fn unseen(rig: &Rig) -> Result<()> {
    for id in ["below", "by-path"] {
        let ran = || rig.read(&format!("/srv/sock/in/app/ran-{id}"));
        eventually("it runs", || ran().is_ok_and(|text| text.trim() == "/srv/sock/in/app"))?;
    }
    let why = |id: &str| rig.as_root().run(["provost", "--system", "status", id]).map(|said| said.stdout);
    for (id, missing) in [
        ("nowhere", "the folder /srv/sock/in/none is not there, or its user may not enter it"),
        ("no-program", "/srv/sock/in/app/./none is not there, or its user may not execute it"),
    ] {
        eventually(missing, || why(id).is_ok_and(|said| said.contains(missing)))?;
    }
    Ok(())
}

/// What is in /tmp is seen and asked, and what was left there is removed.
fn temporary(rig: &Rig) -> Result<()> {
    let (path, interface) = (format!("{PATH}/service/temporary"), "org.provost.Provost1.Service");
    let ready = || {
        let said = rig.as_user("eve").run(["busctl", "--system", "get-property", NAME, &path, interface, "Ready"]);
        said.is_ok_and(|said| said.stdout.trim() == "b true")
    };
    eventually("it is ready", ready)?;
    let before = pid_of(rig, "temporary")?;
    rig.as_root().run(["provost", "--system", "kill", "-KILL", "temporary"])?.ok()?;
    eventually("it is ready again", || pid_of(rig, "temporary").is_ok_and(|pid| pid != 0 && pid != before) && ready())
}
