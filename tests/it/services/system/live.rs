//! The system's config is followed only while it is root's alone, what is wrong in it is told without its words, and the
//! commands of events run as the service's user.

use super::{CONFIG, pid_of, with_config};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("system::live", live);
}

const ONE: &str = "[service.one]\ncommand = ['sleep', '1000']\nuser = 'ollama'\ncwd = '/srv/live'\n\
                   on.changed = ['sh', '-c', '(id -u; cat) > hook']\n";

fn live(rig: &Rig) -> Result<()> {
    let root = rig.as_root();
    root.run(["sh", "-c", "rm -rf /srv/live; mkdir -p /srv/live; chown ollama /srv/live"])?.ok()?;
    with_config(rig, ONE, || {
        let eve = rig.as_user("eve");
        eve.run(["provost", "--system", "list"])?.ok()?;
        eventually("it runs", || pid_of(rig, "one").is_ok_and(|pid| pid != 0))?;
        let before = pid_of(rig, "one")?;
        let status = || eve.run(["provost", "--system", "daemon", "status"]).map(|o| o.stdout).unwrap_or_default();
        let two = format!("{ONE}[service.two]\ncommand = ['sleep', '1000']\n");
        // Whoever else can write it has nothing run.
        rig.write(CONFIG, &two, 0o666)?;
        eventually("it is not trusted", || status().contains("/etc/provost/provost.toml"))?;
        expect!(pid_of(rig, "two").unwrap_or_default() == 0, "what others can write runs");
        rig.write(CONFIG, format!("{ONE}[service.two]\ncommand = ['sleep', '1000']\nswordfish = 1\n"), 0o600)?;
        eventually("its place is told", || status().contains("provost.toml:8:1"))?;
        expect!(!status().contains("swordfish"), "{}", status());
        let told = eve.run(["provost", "--system", "events"])?.stdout;
        expect!(!told.contains("swordfish"), "{told}");
        let changed = two.replace("'1000']\nuser", "'1000']\nmeta = { x = 1 }\nuser");
        rig.write(CONFIG, &changed, 0o600)?;
        eventually("two runs", || pid_of(rig, "two").is_ok_and(|pid| pid != 0))?;
        expect!(pid_of(rig, "one")? == before, "one was touched");
        expect!(!status().contains("not applied"), "{}", status());
        let hook = || rig.read("/srv/live/hook").unwrap_or_default();
        eventually("its command has run", || hook().starts_with("700\n{") && hook().ends_with("}\n"))?;
        Ok(())
    })
}
