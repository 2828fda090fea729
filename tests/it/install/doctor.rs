//! `doctor` on hosts that lack something.

use serde_json::Value;

use super::{PROGRAM, installed};
use crate::rig::{As, Result, Rig, User, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("install::doctor_on_hosts", hosts);
    trials.exclusive("install::doctor_of_an_install", of_an_install);
}

/// (state, found, mend) of a check.
fn check(who: &As<'_>, flags: &[&str], name: &str) -> Result<(String, String, String)> {
    let output = who.run([PROGRAM, "doctor", "-o", "json"].iter().chain(flags))?;
    let report: Value = serde_json::from_str(&output.stdout)?;
    let found = report["checks"].as_array().into_iter().flatten().find(|check| check["name"] == name);
    let found = found.ok_or_else(|| format!("no {name}: {report}"))?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Ok((text("state"), text("found"), text("mend")))
}

fn hosts(rig: &Rig) -> Result<()> {
    rig.add_user(&User::person("dora", 1140, &[]))?;
    rig.linger("dora")?;
    let dora = rig.as_user("dora");
    let shown = dora.run([PROGRAM, "doctor"])?;
    expect!(shown.code() == 0 && shown.stdout.contains("ok       systemd"), "{shown:?}");
    for name in [
        "systemd",
        "user manager",
        "lingering",
        "system bus",
        "session bus",
        "polkit",
        "pidfd",
        "owners of ports",
        "config",
    ] {
        let (state, found, _) = check(&dora, &[], name)?;
        expect!(state == "ok", "{name}: {found}");
    }
    let (state, _, mend) = check(&dora.clone().no_user_manager(), &[], "user manager")?;
    expect!(state == "warning" && mend.contains("enable-linger dora"), "{mend}");
    let (state, found, _) = check(&dora.clone().no_systemd(), &[], "system bus")?;
    expect!(state == "warning", "{found}");
    rig.write_as("dora", "/home/dora/.config/provost/provost.toml", "[service.x]\nno = 1\n", 0o600)?;
    let (state, found, mend) = check(&dora, &[], "config")?;
    expect!(state == "problem" && mend.starts_with("provost config check"), "{found}");
    expect!(dora.run([PROGRAM, "doctor"])?.code() == 1, "a problem is told by the exit code");
    Ok(())
}

fn of_an_install(rig: &Rig) -> Result<()> {
    let root = rig.as_root();
    let (_, found, mend) = check(&rig.as_user("watson"), &[], "helper")?;
    expect!(mend == "provost install --system", "{found}");
    installed(rig, || {
        let (state, found, _) = check(&rig.as_user("watson"), &[], "helper")?;
        expect!(state == "ok", "{found}");
        for name in ["installed", "daemon", "leftovers"] {
            let (state, found, _) = check(&root, &["--system"], name)?;
            expect!(state == "ok", "{name}: {found}");
        }
        // Somebody opens the folder of the program to everybody.
        root.run(["chmod", "o+w", "/usr/local/bin"])?.ok()?;
        let (state, found, _) = check(&root, &["--system"], "installed")?;
        root.run(["chmod", "o-w", "/usr/local/bin"])?.ok()?;
        expect!(state == "problem" && found.contains("/usr/local/bin may be written by others"), "{found}");
        rig.remove("/etc/tmpfiles.d/provost.conf")?;
        let (state, found, mend) = check(&root, &["--system"], "installed")?;
        expect!(state == "warning" && found.contains("tmpfiles") && mend == "provost install --system", "{found}");
        root.run(["sh", "-c", &mend])?.ok()?;
        let (state, found, _) = check(&root, &["--system"], "installed")?;
        expect!(state == "ok", "{found}");
        broken(rig, &root)?;
        rig.write("/var/lib/provost/registry/broken.json", "{", 0o600)?;
        let (state, found, _) = check(&root, &["--system"], "leftovers")?;
        expect!(state == "warning" && found.contains("broken.json"), "{found}");
        Ok(())
    })
}

/// What somebody broke is found, and what is said to mend it mends it.
fn broken(rig: &Rig, root: &As<'_>) -> Result<()> {
    let sh = |script: &str| root.run(["sh", "-c", script])?.ok();
    let older = "sed 's/0\\.1\\.0/0.0.9/g' /usr/local/bin/provost > /root/older && chmod 755 /root/older && \
        mkdir -p /run/systemd/system/provost.service.d && \
        printf '[Service]\\nExecStart=\\nExecStart=/root/older daemon --system\\n' > /run/systemd/system/provost.service.d/older.conf && \
        systemctl daemon-reload && systemctl restart provost && rm -r /run/systemd/system/provost.service.d && \
        systemctl daemon-reload";
    let states = [
        ("polkit actions", "problem", "rm /usr/share/polkit-1/actions/org.provost.policy"),
        (
            "daemon",
            "problem",
            "systemctl stop provost && rm /etc/systemd/system/provost.service && \
            systemctl daemon-reload && systemctl mask provost",
        ),
        ("unit", "warning", "touch -d tomorrow /etc/systemd/system/provost.service"),
        ("leftovers", "warning", "mkdir -p /run/provost/env && touch /run/provost/env/nobody"),
        ("leftovers", "warning", "systemd-run -q --slice=provost.slice --unit=provost-nobody.service sleep 1000"),
        ("installed", "warning", "truncate -s 100 /var/lib/provost/installed.json"),
        ("polkit", "warning", "systemctl mask --now polkit"),
        ("daemon", "warning", older),
    ];
    for (name, expected, script) in states {
        sh(script)?;
        // polkit reads its folders again in its own time.
        let is = |state: &str| check(root, &["--system"], name).is_ok_and(|check| check.0 == state);
        let seen = eventually("what is broken is seen", || is(expected));
        let (_, found, mend) = check(root, &["--system"], name)?;
        expect!(seen.is_ok() && !mend.is_empty(), "after {script}: {found}");
        let mended = root.run(["sh", "-c", &mend])?;
        // Its unit was taken away above.
        if name == "daemon" && expected == "problem" {
            sh("provost install --system --now")?;
        }
        let good = eventually("it is mended", || is("ok"));
        expect!(good.is_ok(), "{mend} ({mended:?}) after {script}: {:?}", check(root, &["--system"], name));
    }
    rig.remove("/root/older")
}
