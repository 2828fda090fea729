//! Nobody takes the daemon from the others; several who want the same get one of it.

use std::time::{Duration, Instant};

use super::{MANAGER, NAME, PATH, allow, pid_of, up, with_config};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("system::flood", flood);
    trials.exclusive("system::one_restart", one_restart);
}

const ONE: &str = "[service.llm]\ncommand = ['sleep', '1000']\n[service.db]\ncommand = ['sleep', '1001']\n";

/// 10,000 calls of one user at once, and 1,000 that would open a prompt: others are served meanwhile.
fn flood(rig: &Rig) -> Result<()> {
    with_config(rig, ONE, || {
        let (watson, eve) = (rig.as_user("watson"), rig.as_user("eve").timeout(Duration::from_secs(300)));
        watson.run(["provost", "--system", "list"])?.ok()?;
        let before = up(rig, "llm")?;
        let _rule = allow(rig, "watson", "db", &["restart"])?;
        for (count, method) in [("10000", "list"), ("1000", "stop")] {
            let mut flood = eve.spawn(["/usr/local/bin/flood", count, method])?;
            eventually("the flood has begun", || rig.exists("/tmp/flood-began"))?;
            let mut longest = Duration::ZERO;
            let mut asked = 0;
            while asked < 5 || (flood.alive() && asked < 50) {
                let begin = Instant::now();
                watson.run(["provost", "--system", "--no-ask-password", "list"])?.ok()?;
                longest = longest.max(begin.elapsed());
                asked += 1;
            }
            watson.run(["provost", "restart", "db"])?.ok()?;
            expect!(longest < Duration::from_secs(15), "{method}: somebody else waited {longest:?}");
            println!("{count} calls of {method}: others waited {longest:?} at most");
            flood.wait()?;
            rig.as_root().run(["rm", "-f", "/tmp/flood-began"])?;
        }
        expect!(pid_of(rig, "llm")? == before, "it was stopped");
        Ok(())
    })
}

/// Several users restart the same service at the same time: it is restarted once.
fn one_restart(rig: &Rig) -> Result<()> {
    with_config(rig, ONE, || {
        let (watson, eve) = (rig.as_user("watson"), rig.as_user("eve"));
        watson.run(["provost", "--system", "list"])?.ok()?;
        up(rig, "llm")?;
        let rules = (allow(rig, "watson", "llm", &["restart"])?, allow(rig, "eve", "llm", &["restart"])?);
        let started = || -> Result<usize> {
            let call = ["busctl", "--system", "--json=short", "call", NAME, PATH, MANAGER, "RecentEvents"];
            let events = rig.as_user("eve").run(call)?.ok()?;
            Ok(events.matches("\"to\":{\"type\":\"s\",\"data\":\"starting\"}").count())
        };
        let before = started()?;
        // While polkit rests, all of them have come before any of them is allowed.
        rig.systemctl(["kill", "-s", "STOP", "polkit.service"])?;
        let mut all = Vec::new();
        for who in [&watson, &eve, &watson, &eve] {
            let call = ["busctl", "--system", "call", NAME, PATH, MANAGER, "Restart", "ass", "1", "llm", ""];
            all.push(who.spawn(call)?);
        }
        let waiting = || -> bool {
            let owner = rig.as_root().run(["busctl", "--system", "list", "--no-legend"]);
            owner.is_ok_and(|list| list.stdout.lines().filter(|line| line.contains(" busctl ")).count() >= 5)
        };
        eventually("all have called", waiting)?;
        std::thread::sleep(Duration::from_millis(300));
        rig.systemctl(["kill", "-s", "CONT", "polkit.service"])?;
        for mut one in all {
            expect!(one.wait()?.success(), "it was refused");
        }
        up(rig, "llm")?;
        expect!(started()? == before + 1, "{} restarts", started()? - before);
        // The same of several who need it.
        rig.as_root().run(["provost", "stop", "llm"])?.ok()?;
        drop(rules);
        let rules = (allow(rig, "watson", "llm", &["start"])?, allow(rig, "eve", "llm", &["start"])?);
        let before = started()?;
        let mut all = Vec::new();
        for who in [&watson, &eve, &watson, &eve] {
            all.push(who.spawn(["provost", "ensure", "llm"])?);
        }
        for mut one in all {
            expect!(one.wait()?.success(), "it is not ensured");
        }
        up(rig, "llm")?;
        expect!(started()? == before + 1, "{} starts", started()? - before);
        drop(rules);
        Ok(())
    })
}
