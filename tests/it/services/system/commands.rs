//! What the system's daemon runs beside a service, to see whether it is ready and to have it read its configuration again:
//! as the service's user, within its bounds, and gone afterwards.

use std::time::Duration;

use super::{MANAGER, NAME, PATH, pid_of, up, with_config};
use crate::rig::{Result, Rig, eventually, until};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("system::commands", commands);
}

/// Where they write.
const DIR: &str = "/srv/beside";

/// One that tells who it is; one that fails, one that hangs, one that fails soon and often.
const CONFIG: &str = r#"
[defaults]
user = "ollama"
cwd = "/srv/beside"
restart = { policy = "never" }
env = { SECRET = "swordfish" }

[service.good]
command = ["sh", "-c", "touch /tmp/up; exec sleep 1000"]
systemd = { PrivateTmp = true, ProtectSystem = "strict", ReadWritePaths = "/srv/beside" }
limits = { tasks = 50 }
ready = { exec = ["sh", "-c", "test -e /tmp/up || exit 1; (id -u; echo $SECRET; pwd; cat /proc/self/cgroup) > good; touch /etc/x 2>>good || true"], timeout = "30s", interval = "20ms" }
reload = { exec = ["sh", "-c", "mkdir lock || echo two >> twice; id -u >> reloaded; sleep 0.2; rmdir lock"] }

[service.fails]
command = ["sleep", "1000"]
ready = { exec = ["sh", "-c", "id -u >> failed; echo $SECRET; exit 3"], timeout = "2s", interval = "10ms" }

[service.hangs]
command = ["sleep", "1000"]
ready = { exec = ["sh", "-c", "id -u > hung; setsid sleep 777777 & sleep 777777"], timeout = "2s" }

[service.slow]
command = ["sleep", "1000"]
ready = { exec = ["sh", "-c", "mkdir busy || echo two >> twice; id -u > slow; sleep 777778"], timeout = "1h" }
reload = { exec = ["sh", "-c", "echo $SECRET; exit 4"] }

[service.nobody]
command = ["sleep", "1000"]
ready = { exec = ["no-such-program"], timeout = "1s" }
"#;

fn commands(rig: &Rig) -> Result<()> {
    let root = rig.as_root();
    root.run(["sh", "-c", "rm -rf /srv/beside; mkdir -p /srv/beside; chown ollama /srv/beside"])?.ok()?;
    with_config(rig, CONFIG, || {
        let eve = rig.as_user("eve");
        let property = |id: &str, name: &str| -> Result<String> {
            let (path, interface) = (format!("{PATH}/service/{id}"), "org.provost.Provost1.Service");
            eve.run(["busctl", "--system", "get-property", NAME, &path, interface, name])?.ok()
        };
        let ready = |id: &str| property(id, "Ready").is_ok_and(|ready| ready.trim() == "b true");
        let units = || root.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "provost:*"])?.ok();
        let read = |name: &str| rig.read(&format!("{DIR}/{name}")).unwrap_or_default();
        eve.run(["provost", "--system", "list"])?.ok()?;

        // What hangs is one unit, which is no service, tells nobody a secret, and is not mistaken for what it checks.
        let slow = "provost:check:slow.service";
        eventually("its check runs", || !read("slow").is_empty())?;
        let shown = eve.run(["systemctl", "show", slow])?.ok()?;
        expect!(shown.contains("User=ollama") && shown.contains("provost.slice"), "{shown}");
        expect!(!shown.contains("swordfish"), "{shown}");
        let listed = root.run(["provost", "--system", "list", "--json"])?.ok()?;
        expect!(!listed.contains("check:slow"), "{listed}");
        root.run(["provost", "--system", "orphans", "--clean", "--force", "--yes"])?.ok()?;
        expect!(rig.main_pid(slow)? != 0, "it was taken for an orphan");

        let state = |id: &str| property(id, "State").unwrap_or_default();
        until("good is ready", Duration::from_secs(20), || ready("good"))?;
        let said = read("good");
        for word in ["700\nswordfish\n/srv/beside\n", "provost:check:good.service", "/etc/x"] {
            expect!(said.contains(word), "no {word:?}: {said}");
        }
        expect!(!rig.exists("/etc/x"), "it wrote where it may not");
        let failed = |id: &str| state(id).contains("\"failed\"");
        for (id, why) in [("fails", "exit code 3"), ("hangs", "did not end within"), ("nobody", "no such program")] {
            until(&format!("{id} has failed"), Duration::from_secs(20), || failed(id))?;
            let error = property(id, "LastError")?;
            expect!(error.contains(why) && !error.contains("swordfish"), "{id}: {error}");
        }
        let log = root.run(["journalctl", "-u", "provost.service", "--no-pager", "-o", "cat"])?.ok()?;
        expect!(log.matches("exit code 3: swordfish").count() == 1, "{log}");
        for name in ["failed", "hung", "slow"] {
            expect!(read(name).lines().all(|line| line == "700"), "{name}: {}", read(name));
        }
        expect!(read("failed").lines().count() > 5, "it was asked {} times", read("failed").lines().count());
        let left = root.run(["pgrep", "-f", "sleep 777777"])?;
        expect!(left.stdout.is_empty(), "{left:?}");

        // A daemon that is killed finds its check, and does not run a second one beside it.
        let check = |rig: &Rig| rig.main_pid(slow).unwrap_or_default();
        let (daemon, before) = (rig.main_pid("provost.service")?, check(rig));
        root.run(["kill", "-9", &daemon.to_string()])?.ok()?;
        root.run(["rmdir", "/srv/beside/busy"])?.ok()?;
        let anew = || ![0, before].contains(&check(rig)) && rig.exists("/srv/beside/busy");
        until("it is checked anew", Duration::from_secs(20), anew)?;
        expect!(pid_of(rig, "slow")? != 0 && !rig.is_running(before), "the first check runs on");

        // Reloads: as the same user, one after another, and told if they fail.
        up(rig, "good")?;
        let call = ["busctl", "--system", "call", NAME, PATH, MANAGER, "Reload", "as", "1", "good"];
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(root.spawn(call)?);
        }
        for mut one in all {
            expect!(one.wait()?.success(), "a reload failed");
        }
        expect!(read("reloaded") == "700\n".repeat(4), "{}", read("reloaded"));
        let said = root.run(["provost", "--system", "reload", "slow"])?;
        expect!(said.code() == 1 && said.stderr.contains("exit code 4"), "{said:?}");
        expect!(!said.stderr.contains("swordfish"), "{said:?}");
        expect!(!rig.exists("/srv/beside/twice"), "two at once");

        // A service that stops takes its check along.
        root.run(["provost", "--system", "stop", "slow"])?.ok()?;
        eventually("its check has ended", || units().is_ok_and(|units| units.is_empty()))?;
        let left = root.run(["pgrep", "-f", "sleep 777778"])?;
        expect!(left.stdout.is_empty(), "{left:?}");
        let kept = root.run(["ls", "-A", "/run/provost/env"])?.ok()?;
        expect!(!kept.contains(':') && kept.contains("good"), "{kept}");
        Ok(())
    })
}
