//! What somebody puts into the way of an install as root: variables, programs, libraries, a bus of their own.

use std::time::Duration;

use super::{PROGRAM, download};
use crate::rig::{PASSWORD, Result, Rig};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("install::environment", environment);
    trials.exclusive("install::in_the_way", in_the_way);
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

/// Links where files go are replaced and put back; into a folder that somebody else can change root writes nothing; a
/// list of what was installed that is damaged, or that names other files, removes nothing that is not provost's.
fn in_the_way(rig: &Rig) -> Result<()> {
    const UNIT: &str = "/etc/systemd/system/provost.service";
    const LIST: &str = "/var/lib/provost/installed.json";
    let root = rig.as_root();
    let sh = |script: &str| root.run(["sh", "-c", script])?.ok();
    rig.write("/root/theirs", "theirs", 0o644)?;
    sh(&format!("ln -s /root/theirs {UNIT}"))?;
    sh("mv /usr/local/share /usr/local/share.away; mkdir /home/watson/share; chown watson: /home/watson/share; \
        ln -s /home/watson/share /usr/local/share")?;
    let install = || root.run([PROGRAM, "install", "--system"])?.ok();
    let uninstall = || root.run([PROGRAM, "uninstall", "--system"]);
    let done = install()?;
    let theirs = rig.read("/root/theirs")?;
    let watsons = sh("find /home/watson/share -mindepth 1")?;
    let activation = "/usr/share/dbus-1/system-services/org.provost.Provost1.service";
    let there = rig.exists(activation);
    // By hand: a file of somebody else, with the right sum, and an upgrade that never came about.
    let foreign = "mkdir -p /root/x && printf x > /root/x/file && sed -i \
        's|\"files\": \\[|\"files\": [{\"path\": \"/root/x/file\", \"sum\": \"af63f54c86021707-1\", \"before\": null},|' ";
    sh(&format!("{foreign} {LIST}"))?;
    let away = uninstall()?.ok()?;
    let link = sh(&format!("readlink {UNIT}"))?;
    sh(&format!(
        "rm {UNIT}; rm /usr/local/share; mv /usr/local/share.away /usr/local/share; rm -r /home/watson/share"
    ))?;
    expect!(theirs == "theirs" && watsons.trim().is_empty(), "{theirs} {watsons}");
    expect!(done.contains("belongs to watson; root writes nothing there") && there, "{done}");
    expect!(!rig.exists(activation) && link.trim() == "/root/theirs", "{away}");
    expect!(rig.exists("/root/x/file") && away.contains("kept       /root/x/file"), "{away}");

    install()?;
    sh(&format!("chmod o+w {LIST}"))?;
    let refused = uninstall()?;
    expect!(!refused.status.success() && refused.stderr.contains("may be written by others"), "{refused:?}");
    sh(&format!("chmod 600 {LIST}; truncate -s 100 {LIST}"))?;
    let refused = uninstall()?;
    expect!(refused.stderr.contains("damaged") && rig.exists(UNIT), "{refused:?}");
    let again = install()?;
    expect!(again.contains("kept       /var/lib/provost/installed.json.damaged"), "{again}");
    let away = uninstall()?.ok()?;
    expect!(away.contains(&format!("removed    {UNIT}")) && away.contains("disabled   unit"), "{away}");
    expect!(!rig.exists(UNIT) && !rig.exists("/etc/systemd/system/multi-user.target.wants/provost.service"), "{away}");
    root.run([PROGRAM, "uninstall", "--system", "--purge"])?.ok()?;
    sh("rm -rf /root/theirs /root/x").map(drop)
}
