//! What the system's services are known by while no daemon runs, and to the next one.

use super::{pid_of, up, with_config};
use crate::rig::{Result, Rig};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("system::no_orphans_without_daemon", no_orphans);
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
        rig.systemctl(["start", "provost.service"])?;
        let after = up(rig, "llm")?;
        let main = rig.systemctl(["show", "-P", "MainPID", "provost-llm.service"])?;
        expect!(after != before && main.trim() == after.to_string(), "{before} {after} {main}");
        expect!(pid_of(rig, "llm")? == after, "it was started again");
        Ok(())
    })
}
