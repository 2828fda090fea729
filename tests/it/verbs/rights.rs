//! The permissions that provost prints: installed, they allow exactly what they say.

use super::{json, provost};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

const SLEEP: &str = "[Service]\nExecStart=/usr/local/bin/sleeper\n";

pub fn register(trials: &mut Trials) {
    trials.rig("rights::polkit_rule", polkit_rule);
    trials.rig("rights::polkit_rule_of_an_instance", polkit_rule_of_an_instance);
    trials.rig("rights::polkit_rule_of_a_transient_unit", polkit_rule_of_a_transient_unit);
    trials.exclusive("rights::sudoers_line", sudoers_line);
    trials.rig("rights::sudo_with_password", sudo_with_password);
}

/// What provost prints for eve, as an installed file that goes when this is dropped.
struct Installed<'r>(&'r Rig, String);

impl<'r> Installed<'r> {
    fn rule(rig: &'r Rig, target: &str, path: &str) -> Result<Self> {
        let text = provost(&rig.as_user("eve"), ["inspect", target, "--polkit-rule"])?.ok()?;
        expect!(text.contains("/etc/polkit-1/rules.d/"), "no word of how to install it: {text}");
        rig.write(path, text, 0o644)?;
        let installed = Self(rig, path.to_owned());
        eventually("polkit has read the rule", || {
            json(&rig.as_user("eve"), ["stop", target, "--dry-run"])
                .is_ok_and(|(a, _)| a["plan"]["verdict"] == "allowed")
        })?;
        Ok(installed)
    }
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        let _ = self.0.remove(&self.1);
    }
}

/// This unit, these verbs, this user: nothing else.
fn polkit_rule(rig: &Rig) -> Result<()> {
    let (unit, other) = ("rights-a.service", "rights-b.service");
    rig.started(unit, &format!("{SLEEP}ExecReload=/bin/true\n"))?;
    rig.started(other, SLEEP)?;
    let _rule = Installed::rule(rig, &format!("unit:{unit}"), "/etc/polkit-1/rules.d/50-rights-a.rules")?;
    let eve = rig.as_user("eve");
    for verb in ["stop", "start", "restart", "reload", "stop"] {
        let done = provost(&eve, ["--no-ask-password", verb, &format!("unit:{unit}")])?;
        expect!(done.code() == 0, "{verb}: {done:?}");
    }
    // Nothing of that name runs now: the name must not do for another command, as root.
    let transient = eve.run(["systemd-run", "--no-ask-password", "--unit", unit, "touch", "/tmp/rights-owned"])?;
    expect!(!transient.status.success() && !rig.exists("/tmp/rights-owned"), "{transient:?}");
    provost(&eve, ["start", &format!("unit:{unit}")])?.ok()?;
    let refused: &[&[&str]] = &[
        &["kill", unit],
        &["set-property", "--runtime", unit, "CPUWeight=10"],
        &["freeze", unit],
        &["mask", "--runtime", unit],
        &["disable", unit],
        &["daemon-reload"],
        &["stop", other],
        &["restart", other],
        &["isolate", "multi-user.target"],
        &["stop", "rights-a.socket"],
    ];
    for args in refused {
        let said = eve.run(["systemctl", "--no-ask-password"].iter().chain(*args))?;
        expect!(!said.status.success(), "eve may {args:?}: {said:?}");
    }
    for verb in ["stop", "restart"] {
        let said = rig.as_user("watson").run(["systemctl", "--no-ask-password", verb, unit])?;
        expect!(!said.status.success(), "watson may {verb}: {said:?}");
    }
    expect!(rig.active_state(unit)? == "active" && rig.active_state(other)? == "active", "something was stopped");
    Ok(())
}

/// A name that needs escapes in JavaScript, and of which only this instance is meant.
fn polkit_rule_of_an_instance(rig: &Rig) -> Result<()> {
    rig.unit("rights-i@.service", SLEEP)?;
    let (unit, other) = ("rights-i@a\\x2db.service", "rights-i@b.service");
    rig.systemctl(["start", unit, other])?;
    let _rule = Installed::rule(rig, &format!("unit:{unit}"), "/etc/polkit-1/rules.d/50-rights-i.rules")?;
    let eve = rig.as_user("eve");
    let done = provost(&eve, ["restart", &format!("unit:{unit}")])?;
    expect!(done.code() == 0, "{done:?}");
    let refused = provost(&eve, ["restart", &format!("unit:{other}")])?;
    expect!(refused.code() == 4, "{refused:?}");
    Ok(())
}

/// Without a unit file the name alone would let anything be started as root: only stop is allowed.
fn polkit_rule_of_a_transient_unit(rig: &Rig) -> Result<()> {
    let unit = "rights-t.service";
    rig.as_root().run(["systemd-run", "--quiet", "--unit", unit, "/usr/local/bin/sleeper"])?.ok()?;
    let _rule = Installed::rule(rig, &format!("unit:{unit}"), "/etc/polkit-1/rules.d/50-rights-t.rules")?;
    let eve = rig.as_user("eve");
    let refused = provost(&eve, ["restart", &format!("unit:{unit}")])?;
    expect!(refused.code() == 4, "{refused:?}");
    let done = provost(&eve, ["stop", &format!("unit:{unit}")])?;
    expect!(done.code() == 0, "{done:?}");
    let started = eve.run(["systemd-run", "--no-ask-password", "--unit", unit, "touch", "/tmp/rights-root"])?;
    expect!(!started.status.success() && !rig.exists("/tmp/rights-root"), "{started:?}");
    Ok(())
}

/// Where there is no polkit it is a line for sudoers.
fn sudoers_line(rig: &Rig) -> Result<()> {
    rig.unit("rights-s@.service", SLEEP)?;
    let (unit, other) = ("rights-s@a\\x2db:c.service", "rights-s@axx2db:c.service");
    rig.systemctl(["start", unit, other])?;
    let eve = rig.as_user("eve");
    let target = format!("unit:{unit}");
    rig.without_polkit(|| {
        let text = provost(&eve, ["inspect", &target, "--polkit-rule"])?.ok()?;
        expect!(text.contains("NOPASSWD"), "{text}");
        rig.write("/etc/sudoers.d/provost", text, 0o440)?;
        let checked = rig.as_root().run(["visudo", "-c", "-f", "/etc/sudoers.d/provost"])?;
        expect!(checked.status.success(), "{checked:?}");
        let plain = provost(&eve, ["restart", &target])?;
        expect!(plain.code() == 4, "sudo was used unasked: {plain:?}");
        for verb in ["restart", "stop", "start"] {
            let done = provost(&eve, [verb, &target, "--sudo"])?;
            expect!(done.code() == 0, "{verb}: {done:?}");
        }
        let (seen, _) = json(&eve, ["inspect", &target, "--sudo"])?;
        expect!(seen["owners"][0]["actions"]["stop"]["means"] == "sudo", "{seen}");
        for args in [["stop", other], ["kill", unit], ["disable", unit], ["stop", "dbus.service"]] {
            let said = eve.run(["sudo", "-n", "systemctl"].iter().chain(&args))?;
            expect!(!said.status.success(), "eve may {args:?}: {said:?}");
        }
        let refused = provost(&eve, ["stop", &format!("unit:{other}"), "--sudo"])?;
        expect!(refused.code() == 4 && rig.active_state(other)? == "active", "{refused:?}");
        rig.remove("/etc/sudoers.d/provost")
    })
}

/// watson may do everything through sudo, with a password: which `--sudo` does not ask for.
fn sudo_with_password(rig: &Rig) -> Result<()> {
    rig.started("rights-w.service", SLEEP)?;
    rig.write("/etc/sudoers.d/rights-w", "watson ALL=(ALL:ALL) ALL\n", 0o440)?;
    let (seen, _) = json(&rig.as_user("watson"), ["inspect", "unit:rights-w.service", "--sudo"])?;
    let stop = &seen["owners"][0]["actions"]["stop"];
    expect!(stop["verdict"] == "needs-password" && stop["means"] == "system-unit", "{stop}");
    let refused = provost(&rig.as_user("watson"), ["stop", "unit:rights-w.service", "--sudo"])?;
    expect!(refused.code() == 4 && rig.active_state("rights-w.service")? == "active", "{refused:?}");
    rig.remove("/etc/sudoers.d/rights-w")
}
