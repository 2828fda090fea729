//! The registry where it cannot be read or written.

use super::{json, provost};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("registry::of_others", of_others);
    trials.rig("registry::full_and_read_only", full_and_read_only);
    trials.exclusive("registry::of_roots_own_manager", of_roots_own_manager);
}

/// An ordinary user cannot read the system's records, and is told so.
fn of_others(rig: &Rig) -> Result<()> {
    rig.as_root().run(["mkdir", "-p", "-m", "700", "/var/lib/provost/registry"])?.ok()?;
    let (refused, code) = json(&rig.as_user("eve"), ["registry", "--system"])?;
    expect!(code == 4 && refused["error"]["message"].to_string().contains("/var/lib/provost"), "{code} {refused}");
    let (own, code) = json(&rig.as_root(), ["registry", "--user"])?;
    expect!(code == 0 && own["processes"].as_object().is_some_and(serde_json::Map::is_empty), "{own}");
    Ok(())
}

/// Nothing is started that cannot be recorded, what is recorded stays, and the error says why.
fn full_and_read_only(rig: &Rig) -> Result<()> {
    let root = rig.as_root();
    let user = crate::rig::User::person("reader", 1077, &[]);
    rig.add_user(&user)?;
    let reader = rig.as_user("reader");
    let home = "/home/reader/.local/state";
    reader.run(["mkdir", "-p", home])?.ok()?;
    root.run(["mount", "-t", "tmpfs", "-o", "size=256k,uid=1077,mode=700", "tmpfs", home])?.ok()?;
    let work = || -> Result<()> {
        let ensured = provost(&reader, ["ensure", "first", "--timeout", "2s", "--", "sleeper"])?;
        expect!(ensured.code() == 0, "{ensured:?}");
        let (before, _) = json(&reader, ["registry"])?;
        let pid = before["processes"]["first"]["pid"].as_u64();
        expect!(pid.is_some() && before["processes"]["first"]["status"] == "running", "{before}");
        let full = format!("head -c 300000 /dev/zero >{home}/fill; true");
        reader.run(["sh", "-c", &full])?.ok()?;
        for (state, why) in [("full", "No space left on device"), ("read-only", "Read-only file system")] {
            if state == "read-only" {
                // Its output is open for writing.
                let (done, code) = json(&reader, ["kill", "-s", "KILL", &format!("pid:{}", pid.unwrap_or_default())])?;
                expect!(code == 0, "{done}");
                eventually("it has ended", || !rig.is_running(pid.unwrap_or_default().try_into().unwrap_or_default()))?;
                // So are the files of its daemon.
                provost(&reader, ["daemon", "stop"])?.ok()?;
                root.run(["mount", "-o", "remount,ro", home])?.ok()?;
            }
            let refused = provost(&reader, ["ensure", "second", "--", "sleeper", "--second"])?;
            expect!(refused.code() == 1 && refused.stderr.contains(why), "{state}: {refused:?}");
            let found = reader.run(["pgrep", "-f", "sleeper --second"])?;
            expect!(found.code() == 1, "{state}: it was started all the same: {found:?}");
            let (after, code) = json(&reader, ["registry"])?;
            let (first, now) = (&before["processes"]["first"], &after["processes"]["first"]);
            let same = now["started_at"] == first["started_at"] && now["command_line"] == first["command_line"];
            expect!(code == 0 && same && after["processes"]["second"].is_null(), "{state}: {after}");
            expect!((now["status"] == "running") == (state == "full"), "{state}: {after}");
        }
        Ok(())
    };
    let worked = work();
    let unmounted = root.run(["umount", "-l", home])?.ok();
    worked.and(unmounted.map(drop))
}

/// Where no daemon runs, what root's own manager runs is looked for there, and not in the system's.
fn of_roots_own_manager(rig: &Rig) -> Result<()> {
    let root = rig.as_root().env("XDG_RUNTIME_DIR", "/run/user/0");
    root.run(["loginctl", "enable-linger", "root"])?.ok()?;
    let answers = || root.run(["systemctl", "--user", "show", "-P", "Version"]).is_ok_and(|said| said.code() == 0);
    eventually("its manager answers", answers)?;
    let list = || -> Result<(String, Option<u64>)> {
        let (listed, code) = json(&root, ["list", "--user"])?;
        let own = &listed["services"][0];
        expect!(code == 0 && own["id"] == "own", "{code} {listed}");
        Ok((own["state"].as_str().unwrap_or_default().to_owned(), own["pid"].as_u64()))
    };
    let work = || -> Result<()> {
        provost(&root, ["run", "--user", "--name", "own", "--", "sleep", "1000"])?.ok()?;
        let before = list()?;
        expect!(before.0 == "running" && before.1.is_some(), "{before:?}");
        root.run(["systemctl", "--user", "stop", "provost.service"])?.ok()?;
        expect!(list()? == before, "without a daemon: {:?}, and it was {before:?}", list());
        // Of the system's units one may have the same name.
        root.run(["systemd-run", "--unit", "provost-own", "sleep", "1000"])?.ok()?;
        let other = root.run(["systemctl", "show", "-P", "MainPID", "provost-own"])?.ok()?;
        let (found, code) = json(&root, ["inspect", "--user", &format!("pid:{}", other.trim())])?;
        expect!(code == 0 && found["owners"][0]["service"].is_null(), "{code} {found}");
        Ok(())
    };
    let worked = work();
    root.run(["systemctl", "stop", "provost-own"])?;
    provost(&root, ["remove", "--user", "own"])?.ok()?;
    root.run(["loginctl", "disable-linger", "root"])?.ok()?;
    root.run(["systemctl", "stop", "user@0.service"])?.ok()?;
    worked
}
