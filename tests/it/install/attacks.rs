//! What somebody puts into the way of an install as root: variables, programs, libraries, a bus of their own.

use std::time::Duration;

use super::{PROGRAM, download};
use crate::rig::{PASSWORD, Result, Rig};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("install::environment", environment);
    trials.rig("install::not_root", not_root);
}

/// Loaded before all others, it leaves a file if that is into a process of root's.
const LIBRARY: &str = "#include <fcntl.h>\n#include <unistd.h>\n\
    __attribute__((constructor)) static void loaded(void) {\n\
    if (geteuid() == 0) close(open(\"/tmp/was-root\", O_CREAT | O_WRONLY, 0666)); }\n";

const TRAP: &str = "#!/bin/sh\n[ $(/usr/bin/id -u) != 0 ] || : > /tmp/was-root\n: > /tmp/was-called\nexit 0\n";

/// With all of it set, from the command on: what leads into the rig is not meant.
const TRAPS: [&str; 7] = [
    "env",
    "LD_PRELOAD=/home/watson/traps/trap.so",
    "LD_LIBRARY_PATH=/home/watson/traps",
    "PATH=/home/watson/traps:/usr/bin:/bin",
    "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/home/watson/traps/bus",
    "XDG_STATE_HOME=/home/watson/traps/state",
    "HOME=/home/watson/traps",
];

fn environment(rig: &Rig) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (source, library) = (folder.path().join("trap.c"), folder.path().join("trap.so"));
    std::fs::write(&source, LIBRARY)?;
    let built = std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).output()?;
    expect!(built.status.success(), "{built:?}");
    rig.write_as("watson", "/home/watson/traps/trap.so", std::fs::read(&library)?, 0o755)?;
    for name in ["sudo", "pkexec", "systemd-sysusers", "systemd-tmpfiles", "systemctl", "groupdel", "pkttyagent"] {
        rig.write_as("watson", &format!("/home/watson/traps/{name}"), TRAP, 0o755)?;
    }
    download(rig, "watson", "/home/watson/evil/provost", 'e')?;
    let program = "/home/watson/evil/provost";
    let traps = ["/tmp/was-root", "/tmp/was-called"];
    for trap in traps {
        let _none = rig.remove(trap);
    }

    // By sudo, which asks on the terminal; where there is none, by pkexec.
    let install = [program, "install", "--system"];
    by_pkexec(rig, &install, &traps)?;
    let mut terminal = rig.as_user("watson").pty(TRAPS.iter().chain(&install))?;
    terminal
        .expect("this needs root: /usr/bin/sudo /home/watson/evil/provost install --system", Duration::from_secs(20))?;
    terminal.expect("assword", Duration::from_secs(20))?;
    terminal.type_password(PASSWORD)?;
    let (status, text) = terminal.wait()?;
    expect!(status.success() && text.contains("/etc/systemd/system/provost.service"), "{text}");
    expect!(!text.contains(PASSWORD), "{text}");
    for trap in traps {
        expect!(!rig.exists(trap), "{trap}: {text}");
    }
    expect!(!rig.exists("/home/watson/traps/state"), "{text}");

    // A root who has them all, but for the library, which nothing can be done about.
    let root = |argv: &[&str]| {
        let others = TRAPS.iter().filter(|word| !word.starts_with("LD_"));
        rig.as_root().run(others.chain(argv))?.ok()
    };
    let gone = root(&[PROGRAM, "uninstall", "--system"])?;
    expect!(gone.contains("removed    /etc/systemd/system/provost.service"), "{gone}");
    let back = root(&[PROGRAM, "install", "--system", "--now"])?;
    expect!(back.contains("answers") && back.contains("created    group provost"), "{back}");
    for trap in traps {
        expect!(!rig.exists(trap), "{trap}: {back}");
    }
    expect!(rig.active_state("provost.service")? == "active", "{back}");
    root(&[PROGRAM, "uninstall", "--system"])?;
    rig.as_root().run(["rm", "-rf", "/var/lib/provost", "/var/log/provost", "/home/watson/traps"])?.ok().map(drop)
}

fn by_pkexec(rig: &Rig, install: &[&str], traps: &[&str]) -> Result<()> {
    rig.rename("/usr/bin/sudo", "/usr/bin/sudo.away")?;
    let asked = || {
        let mut terminal = rig.as_user("watson").pty(TRAPS.iter().chain(install))?;
        terminal.expect(
            "this needs root: /usr/bin/pkexec --disable-internal-agent /home/watson/evil/provost",
            Duration::from_secs(20),
        )?;
        terminal.expect("Password:", Duration::from_secs(20))?;
        terminal.type_password(PASSWORD)?;
        terminal.wait()
    };
    let asked = asked();
    rig.rename("/usr/bin/sudo.away", "/usr/bin/sudo")?;
    let (status, text) = asked?;
    expect!(status.success() && text.contains("/etc/systemd/system/provost.service"), "{text}");
    for trap in traps {
        expect!(!rig.exists(trap), "{trap}: {text}");
    }
    rig.as_root().run([PROGRAM, "uninstall", "--system"])?.ok().map(drop)
}

/// Whoever is not root, and has nobody to ask, changes nothing and is told what to do.
fn not_root(rig: &Rig) -> Result<()> {
    let eve = rig.as_user("eve");
    for verb in ["install", "uninstall"] {
        let refused = eve.run([PROGRAM, verb, "--system"])?;
        expect!(refused.code() == 4 && refused.stderr.contains("as root: "), "{refused:?}");
    }
    // eve may not use sudo: its own words are shown, and its code is passed on.
    let silent = eve.run([PROGRAM, "install", "--system", "--no-ask-password"])?;
    expect!(silent.code() != 0 && silent.stderr.contains("this needs root: /usr/bin/sudo -n"), "{silent:?}");
    Ok(())
}
