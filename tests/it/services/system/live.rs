//! The system's config is followed only while it is root's alone, what is wrong in it is told without its words, and the
//! commands of events run as the service's user.

use super::{CONFIG, pid_of, with_config};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("system::live", live);
    trials.exclusive("system::events_go_on", events_go_on);
}

/// Who follows events over the bus follows the next daemon: after one that executed its program anew nothing is lost, and
/// after one that was killed, or stopped for as long as anybody likes, it is said that this is another.
fn events_go_on(rig: &Rig) -> Result<()> {
    with_config(rig, "[service.one]\ncommand = ['sleep', '1000']\n", || {
        let (eve, root) = (rig.as_user("eve"), rig.as_root());
        eve.run(["provost", "--system", "list"])?.ok()?;
        eventually("it runs", || pid_of(rig, "one").is_ok_and(|pid| pid != 0))?;
        let line = "exec provost --system events -f -o json one > told 2> said";
        let follower = eve.clone().folder("/home/eve");
        let mut follower = follower.spawn_as("provost", ["sh", "-c", line])?;
        let told = || -> Vec<serde_json::Value> {
            let text = rig.read("/home/eve/told").unwrap_or_default();
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        };
        let others = || rig.read("/home/eve/said").unwrap_or_default().matches("another daemon runs now").count();
        let is_start = |event: &&serde_json::Value| event["from"] == "starting" && event["to"] == "running";
        let restarts = || told().iter().filter(is_start).count();
        eventually("it listens", || restarts() == 1)?;
        root.run(["provost", "--system", "daemon", "restart"])?.ok()?;
        root.run(["provost", "--system", "restart", "one"])?.ok()?;
        eventually("the restart is told", || restarts() == 2)?;
        let numbers: Vec<u64> = told().iter().filter_map(|event| event["seq"].as_u64()).collect();
        let all = root.run(["provost", "--system", "events", "-o", "json", "one"])?.ok()?;
        expect!(all.lines().count() == numbers.len() && others() == 0, "{numbers:?}\n{all}");
        expect!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        rig.systemctl(["kill", "-s", "KILL", "provost.service"])?;
        eventually("the next one is followed", || others() == 1)?;
        root.run(["provost", "--system", "restart", "one"])?.ok()?;
        eventually("its events are told", || restarts() == 3)?;
        rig.systemctl(["stop", "provost.service"])?;
        // Nobody brings it back who only looks on.
        eventually("it has gone", || rig.active_state("provost.service").is_ok_and(|state| state == "inactive"))?;
        expect!(follower.alive() && others() == 1, "{:?}", rig.read("/home/eve/said"));
        rig.systemctl(["start", "provost.service"])?;
        eventually("that one is followed, too", || others() == 2)?;
        root.run(["provost", "--system", "restart", "one"])?.ok()?;
        eventually("its events are told, too", || restarts() == 4)?;
        drop(follower);
        root.run(["rm", "/home/eve/told", "/home/eve/said"])?.ok().map(drop)
    })
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
        // Of root itself these are not: they would run twice.
        for verb in [&["up", "-d"][..], &["config", "show"], &["down"]] {
            let said = root.run(["provost", "--user"].iter().chain(verb))?;
            expect!(said.code() != 0 && !said.stdout.contains("one"), "{said:?}");
        }
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
