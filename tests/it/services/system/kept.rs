//! What the system's services are known by while no daemon runs, and to the next one.

use super::{NAME, PATH, up, with_config};
use crate::rig::{Result, Rig};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("system::no_orphans_without_daemon", no_orphans);
    trials.exclusive("system::records_gone", records_gone);
}

const REGISTRY: &str = "/var/lib/provost/registry";

/// A daemon that has a /proc of its own writes down the boot that everybody else sees; and what systemd runs for a
/// service is no orphan, even where others have restarted it and no daemon has noticed.
fn no_orphans(rig: &Rig) -> Result<()> {
    with_config(rig, "[service.llm]\ncommand = ['sleep', '1000']\n", || {
        let root = rig.as_root();
        rig.as_user("eve").run(["provost", "--system", "list"])?.ok()?;
        let before = up(rig, "llm")?;
        rig.systemctl(["stop", "provost.service"])?;
        let boot = rig.read("/proc/sys/kernel/random/boot_id")?;
        let record = root.run(["sh", "-c", &format!("cat {REGISTRY}/llm.json")])?.ok()?;
        expect!(record.contains(boot.trim()), "not of this boot ({boot}): {record}");
        let none = || -> Result<()> {
            let said = root.run(["provost", "--system", "orphans", "--clean", "--yes", "--json"])?.ok()?;
            expect!(said.contains("No orphaned processes"), "{said}");
            Ok(())
        };
        none()?;
        rig.systemctl(["restart", "provost-llm.service"])?;
        none()?;
        let main = rig.systemctl(["show", "-P", "MainPID", "provost-llm.service"])?;
        // A version before took for the boot what such a /proc says.
        let show = ["-p", "ProtectProc=invisible", "cat", "/proc/sys/kernel/random/boot_id"];
        let older = root.run([&["systemd-run", "-q", "--pipe", "--wait"][..], &show].concat())?.ok()?;
        let put = format!("s/{}/{}/", boot.trim(), older.trim());
        root.run(["sed", "-i", &put, &format!("{REGISTRY}/llm.json")])?.ok()?;
        rig.systemctl(["start", "provost.service"])?;
        let after = up(rig, "llm")?;
        expect!(after != before && after.to_string() == main.trim(), "{before} {main} {after}");
        Ok(())
    })
}

/// Of records that were damaged or removed, what runs is taken over with its port, though the daemon may not read the
/// environment of what runs as somebody else.
fn records_gone(rig: &Rig) -> Result<()> {
    let service = |id: &str, port: &str| {
        format!("[service.{id}]\ncommand = ['sleep', '1000']\nuser = 'eve'\ncwd = '/'\nport = {port}\n")
    };
    let config =
        service("damaged", "'18471-18479'") + &service("removed", "'18461-18469'") + &service("fixed", "18459");
    with_config(rig, &config, || {
        let root = rig.as_root();
        rig.as_user("eve").run(["provost", "--system", "list"])?.ok()?;
        let ids = ["damaged", "removed", "fixed"];
        let shown = || -> Result<Vec<String>> {
            let show = |id: &&str| -> Result<String> {
                let (pid, path) = (up(rig, id)?, format!("{PATH}/service/{id}"));
                let port = ["busctl", "--system", "get-property", NAME, &path, "org.provost.Provost1.Service", "Port"];
                Ok(format!("{id} {pid} {}", root.run(port)?.ok()?))
            };
            ids.iter().map(show).collect()
        };
        let before = shown()?;
        expect!(before[0].contains("1847") && before[1].contains("1846") && before[2].contains("18459"), "{before:?}");
        let harm = format!("cd {REGISTRY} && echo x > damaged.json && echo x > fixed.json && rm removed.json");
        root.run(["sh", "-c", &format!("systemctl stop provost.service && {harm}")])?.ok()?;
        rig.systemctl(["start", "provost.service"])?;
        let after = shown()?;
        expect!(after == before, "{before:?} {after:?}");
        Ok(())
    })
}
