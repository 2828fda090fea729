//! Whose config and folders the system's daemon believes.

use super::{CONFIG, MANAGER, NAME, PATH, up, with_config};
use crate::rig::{Result, Rig};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("system::whose_config", whose_config);
    trials.exclusive("system::daemon_restart", daemon_restart);
}

/// A config that others can write is refused, with the reason; state that leads elsewhere is not used.
fn whose_config(rig: &Rig) -> Result<()> {
    let config = "[service.mine]\ncommand = ['sleep', '1000']\n";
    with_config(rig, config, || {
        let root = rig.as_root();
        let load = || root.run(["busctl", "--system", "call", NAME, PATH, MANAGER, "Load", "sa{ss}", CONFIG, "0"]);
        load()?.ok()?;
        up(rig, "mine")?;
        for (spoil, mend, why) in [
            (["chown", "watson", CONFIG], ["chown", "root", CONFIG], "belongs to watson"),
            (["chmod", "o+w", CONFIG], ["chmod", "644", CONFIG], "can be written by others"),
            (["chmod", "g+w", "/etc/provost"], ["chmod", "755", "/etc/provost"], "its folder /etc/provost"),
            (["chown", "watson", "/etc/provost"], ["chown", "root", "/etc/provost"], "its folder /etc/provost"),
        ] {
            root.run(spoil)?.ok()?;
            let (loaded, up) = (load()?, root.run(["provost", "up", "-d"])?);
            root.run(mend)?.ok()?;
            expect!(loaded.code() != 0 && loaded.stderr.contains(why), "{spoil:?}: {loaded:?}");
            expect!(up.code() == 6 && up.stderr.contains(why), "{spoil:?}: {up:?}");
        }
        load()?.ok()?;
        // A link to what is somebody else's is no way around that.
        rig.write_as("watson", "/home/watson/provost.toml", config, 0o644)?;
        rig.link("/home/watson/provost.toml", "/etc/provost/other.toml")?;
        let other = root.run([
            "busctl",
            "--system",
            "call",
            NAME,
            PATH,
            MANAGER,
            "Load",
            "sa{ss}",
            "/etc/provost/other.toml",
            "0",
        ])?;
        expect!(other.code() != 0 && other.stderr.contains("belongs to watson"), "{other:?}");
        root.run(["provost", "down", "--all"])?.ok()?;
        rig.systemctl(["stop", "provost.service"])?;
        // State that leads into somebody's hands.
        root.run(["rm", "-rf", "/var/lib/provost"])?.ok()?;
        root.run(["install", "-d", "-o", "watson", "/home/watson/state"])?.ok()?;
        rig.link("/home/watson/state", "/var/lib/provost")?;
        let said = root.run(["timeout", "20", "provost", "daemon", "--system", "--sim"])?;
        expect!(said.code() == 1 && said.stderr.contains("belongs to watson"), "{said:?}");
        root.run(["rm", "/var/lib/provost", "/etc/provost/other.toml"])?.ok().map(drop)
    })
}

/// The daemon is restarted, by its name on the bus or not, and no service notices.
fn daemon_restart(rig: &Rig) -> Result<()> {
    let config = "[daemon]\non_stop = 'stop'\n[service.stays]\ncommand = ['sleep', '1000']\n";
    with_config(rig, config, || {
        let (root, eve) = (rig.as_root(), rig.as_user("eve"));
        eve.run(["provost", "--system", "list"])?.ok()?;
        let (before, daemon) = (up(rig, "stays")?, rig.main_pid("provost.service")?);
        let done = root.run(["provost", "daemon", "restart"])?.ok()?;
        expect!(done.contains("every service kept running"), "{done}");
        expect!(up(rig, "stays")? == before, "the service was stopped");
        expect!(rig.active_state("provost.service")? == "active", "it did not come back");
        expect!(rig.main_pid("provost.service")? == daemon, "its unit was restarted");
        let said = eve.run(["provost", "--system", "daemon", "restart"])?;
        expect!(said.code() == 4, "{said:?}");
        let status = eve.run(["provost", "--system", "daemon", "status"])?;
        expect!(status.code() == 0, "{status:?}");
        Ok(())
    })
}
