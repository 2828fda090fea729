//! A user's own: without root, and upgraded while services run, those of the direct backend too.

use super::{PROGRAM, download};
use crate::rig::{Result, Rig, User, eventually};
use crate::services::unit::{expect_daemon, of_unit, pids};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("install::user", user);
    trials.rig("install::user_without_manager", without_manager);
    trials.rig("install::user_of_another_folder", of_another_folder);
}

const CONFIG: &str = "[service.unit]\ncommand = [\"sleep\", \"1000\"]\n\
    [service.child]\ncommand = [\"sleep\", \"1000\"]\nbackend = \"direct\"\n";

fn user(rig: &Rig) -> Result<()> {
    rig.add_user(&User::person("ines", 1120, &[]))?;
    rig.linger("ines")?;
    let ines = rig.as_user("ines").folder("/home/ines");
    download(rig, "ines", "/home/ines/new/provost", 'a')?;
    rig.write_as("ines", "/home/ines/.config/provost/provost.toml", CONFIG, 0o600)?;
    rig.as_root().run(["chown", "-R", "ines:", "/home/ines/.config"])?.ok()?;
    let done = ines.run(["new/provost", "install", "--user", "--now", "--linger"])?.ok()?;
    for words in ["created    /home/ines/.local/bin/provost", "enabled    unit provost.service", "answers"] {
        expect!(done.contains(words), "{words}: {done}");
    }
    expect_daemon(&ines)?;
    for (property, value) in
        [("FragmentPath", "/home/ines/.config/systemd/user/provost.service"), ("UnitFileState", "enabled")]
    {
        let is = of_unit(&ines, property)?;
        expect!(is == value, "{property} is {is}");
    }
    // Whoever has the program in the PATH has its pages.
    let path = "/home/ines/.local/bin:/usr/bin:/bin";
    let verified = ines.clone().env("PATH", path).run([
        "systemd-analyze",
        "--user",
        super::man(rig),
        "verify",
        ".config/systemd/user/provost.service",
    ])?;
    expect!(verified.status.success() && verified.stderr.trim().is_empty(), "{verified:?}");
    eventually("the services run", || pids(&ines).is_ok_and(|pids| pids.len() == 2))?;
    let running = pids(&ines)?;
    let daemon = of_unit(&ines, "MainPID")?;

    download(rig, "ines", "/home/ines/newer/provost", 'b')?;
    let upgraded = ines.run(["newer/provost", "install", "--user"])?.ok()?;
    expect!(upgraded.contains("updated    /home/ines/.local/bin/provost"), "{upgraded}");
    expect!(upgraded.contains("restarted  daemon") && upgraded.contains("answers"), "{upgraded}");
    expect!(of_unit(&ines, "MainPID")? == daemon, "the daemon executes its program anew");
    let exe = ines.run(["cmp", &format!("/proc/{}/exe", daemon), "newer/provost"])?;
    expect!(exe.status.success(), "{exe:?}");
    expect!(pids(&ines)? == running, "{running:?} before, {:?} now", pids(&ines));
    let idle = ines.run([".local/bin/provost", "install", "--user"])?.ok()?;
    expect!(!idle.contains("created") && !idle.contains("updated") && !idle.contains("restarted"), "{idle}");

    // The bus starts it when it is asked for something.
    ines.run(["systemctl", "--user", "stop", "provost.service"])?.ok()?;
    let (name, path) = ("org.provost.Provost1", "/org/provost/Provost1");
    let property = [name, path, "org.provost.Provost1.Manager", "Version"];
    ines.run(["busctl", "--user", "get-property"].iter().chain(&property))?.ok()?;
    expect!(of_unit(&ines, "ActiveState")? == "active", "{:?}", of_unit(&ines, "StatusText"));

    let away = ines.run([".local/bin/provost", "uninstall", "--purge"])?.ok()?;
    expect!(
        away.contains("stopped    services all") && away.contains("removed    /home/ines/.local/bin/provost"),
        "{away}"
    );
    expect!(of_unit(&ines, "LoadState")? == "not-found", "{away}");
    let left = rig
        .as_root()
        .run(["find", "/home/ines", "-name", "*provost*", "-not", "-path", "*/new*", "-type", "f"])?
        .ok()?;
    expect!(left.trim() == "/home/ines/.config/provost/provost.toml", "{left}");
    for pid in running {
        expect!(!rig.is_running(pid.try_into()?), "{pid} runs still");
    }
    for path in ["/home/ines/.local/state/provost", "/run/user/1120/provost"] {
        expect!(!rig.exists(path), "{path} is left: {away}");
    }
    Ok(())
}

/// A shell's own file names folders that the manager, older than the shell, knows nothing of: the unit is where the
/// manager finds it, and the daemon reads what the shell's user wrote.
fn of_another_folder(rig: &Rig) -> Result<()> {
    rig.add_user(&User::person("olga", 1122, &[]))?;
    rig.linger("olga")?;
    rig.write_as("olga", "/home/olga/conf/provost/provost.toml", CONFIG, 0o600)?;
    let olga = rig.as_user("olga").folder("/home/olga");
    let named = ["XDG_CONFIG_HOME=/home/olga/conf", "XDG_STATE_HOME=/home/olga/state dir/100%"];
    let shell = |args: &[&str]| olga.run(["env"].iter().chain(&named).chain(&["provost"]).chain(args));
    let done = shell(&["install", "--user", "--now"])?.ok()?;
    expect!(done.contains("created    /home/olga/.config/systemd/user/provost.service"), "{done}");
    expect!(done.contains("enabled    unit provost.service") && done.contains("answers"), "{done}");
    let listed = || shell(&["list", "-o", "json"]).map(|output| output.stdout).unwrap_or_default();
    eventually("the services of that config run", || listed().matches("\"pid\":").count() >= 2)?;
    let kept = olga.run(["find", "/home/olga/.local/state", "-name", "*.json"])?;
    expect!(kept.stdout.trim().is_empty() && rig.exists("/home/olga/state dir/100%/provost"), "{kept:?}");
    let again = shell(&["install", "--user"])?.ok()?;
    expect!(!again.contains("created") && !again.contains("updated") && !again.contains("restarted"), "{again}");
    let away = shell(&["uninstall", "--user"])?.ok()?;
    expect!(away.contains("removed    /home/olga/.config/systemd/user/provost.service"), "{away}");
    let loaded = olga.run(["systemctl", "--user", "show", "-P", "LoadState", "provost.service"])?.ok()?;
    expect!(loaded.trim() == "not-found", "{away}");
    Ok(())
}

/// Where no manager runs the files are there all the same, and it is said that nothing starts them.
fn without_manager(rig: &Rig) -> Result<()> {
    rig.add_user(&User::person("nell", 1121, &[]))?;
    let nell = rig.as_user("nell").no_user_manager().folder("/home/nell");
    let done = nell.run([PROGRAM, "install", "--user", "--now"])?.ok()?;
    expect!(done.contains("skipped    unit provost.service"), "{done}");
    let listed = nell.run(["sh", "-c", "ls .config/systemd/user/provost.service .local/bin/provost"])?;
    expect!(
        !listed.status.success() && listed.stdout.contains("provost.service"),
        "the program stays where it is: {listed:?}"
    );
    let away = nell.run([PROGRAM, "uninstall", "--user"])?.ok()?;
    expect!(away.contains("removed"), "{away}");
    let left = nell.run(["find", "/home/nell", "-mindepth", "1", "-type", "f"])?.ok()?;
    expect!(left.trim().is_empty(), "{left}");
    Ok(())
}
