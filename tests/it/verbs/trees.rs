//! Ending processes with all that descends from them.

use std::time::{Duration, Instant};

use super::{json, provost};
use crate::rig::{Identity, Process, Result, Rig, eventually};
use crate::trial::Trials;

const SLEEPER: &str = "/usr/local/bin/sleeper";

pub fn register(trials: &mut Trials) {
    trials.rig("trees::whole", whole);
    trials.rig("trees::ladder", ladder);
    trials.rig("trees::force", force);
    trials.rig("trees::force_unit", force_unit);
    trials.rig("trees::growing", growing);
    trials.rig("trees::parent_only", parent_only);
    trials.rig("trees::own_ancestor", own_ancestor);
}

/// A process of eve's in no unit, once it is ready; `args` may name files below `/tmp/NAME`.
fn start(rig: &Rig, name: &str, args: &[&str]) -> Result<(Process, Identity)> {
    rig.make_cgroup(&format!("/{name}"))?;
    let log = format!("/tmp/{name}.log");
    let first = ["sleeper", "--setsid", "--log", &log];
    let process = rig.as_user("eve").in_unit(&format!("/{name}")).spawn(first.iter().chain(args))?;
    let id = logged(rig, &log)?;
    Ok((process, id))
}

/// The process that wrote this log.
fn logged(rig: &Rig, log: &str) -> Result<Identity> {
    let pid = || rig.read(log).ok()?.lines().find_map(|l| l.strip_prefix("START ")?.parse().ok());
    eventually(&format!("{log} is written"), || pid().is_some())?;
    let pid: u32 = pid().unwrap_or_default();
    rig.identity(pid).ok_or_else(|| format!("{pid} has ended").into())
}

/// A child with a session, one with a group whose parent is gone, and their children: nothing of it is left, and nothing
/// else is touched.
fn whole(rig: &Rig) -> Result<()> {
    let (_beside, beside) = start(rig, "trees-beside", &[])?;
    let logs = ["a", "b", "c"].map(|n| format!("/tmp/trees-whole-{n}.log"));
    let inner = ["--log", &logs[1], "--session-child", "--", "--log", &logs[2]];
    let outer = [&["--orphan-child", "--session-child", "--", "--log", &logs[0], "--child", "--"][..], &inner].concat();
    let (_root, root) = start(rig, "trees-whole", &outer)?;
    // Both children run the same: the logs have two of each, of whom the later ones are taken as well.
    let mut all = vec![root];
    for log in &logs {
        let pids = || -> Vec<u32> {
            let text = rig.read(log).unwrap_or_default();
            text.lines().filter_map(|l| l.strip_prefix("START ")?.parse().ok()).collect()
        };
        eventually("both branches are there", || pids().len() == 2)?;
        all.extend(pids().into_iter().filter_map(|pid| rig.identity(pid)));
    }
    expect!(all.len() == 7, "{all:?}");
    let (plan, _) = json(&rig.as_user("eve"), ["stop", "--dry-run", &format!("pid:{}", root.pid)])?;
    expect!(all.iter().all(|p| rig.lives(*p)), "a dry run ended something: {plan}");
    let (done, code) = json(&rig.as_user("eve"), ["stop", &format!("pid:{}", root.pid)])?;
    let left: Vec<_> = all.iter().filter(|p| rig.lives(**p)).collect();
    expect!(code == 0 && left.is_empty(), "{left:?} of {all:?} {done}");
    expect!(rig.lives(beside), "a process beside it was ended");
    Ok(())
}

/// The signals in their order, each with its wait.
fn ladder(rig: &Rig) -> Result<()> {
    // What ends by a signal has long enough for it, however busy the machine is.
    for (name, ignored, signals, last) in [
        ("trees-term", &[][..], "TERM:30s,INT:200ms,KILL", "SIGTERM"),
        ("trees-int", &["--ignore", "TERM"][..], "TERM:200ms,INT:30s,KILL", "SIGINT"),
        ("trees-kill", &["--ignore", "TERM", "--ignore", "INT"][..], "TERM:200ms,INT:200ms,KILL", "SIGKILL"),
    ] {
        let (_process, id) = start(rig, name, ignored)?;
        let output = provost(&rig.as_user("eve"), ["stop", &format!("pid:{}", id.pid), "--signals", signals])?;
        expect!(output.code() == 0 && output.stdout.contains(last), "{name}: {output:?}");
        expect!(!rig.lives(id), "{name} lives");
    }
    let (_process, id) = start(rig, "trees-left", &["--ignore", "TERM"])?;
    let output =
        provost(&rig.as_user("eve"), ["stop", &format!("pid:{}", id.pid), "--signals", "TERM:100ms,TERM:100ms"])?;
    expect!(output.code() == 1 && output.stderr.contains("still alive"), "{output:?}");
    expect!(rig.lives(id), "it was ended all the same");
    Ok(())
}

/// SIGKILL at once.
fn force(rig: &Rig) -> Result<()> {
    let (_process, id) = start(rig, "trees-force", &["--ignore", "TERM", "--session-child", "--", "--ignore", "TERM"])?;
    let started = Instant::now();
    let output = provost(&rig.as_user("eve"), ["stop", "--force", &format!("pid:{}", id.pid)])?;
    expect!(output.code() == 0 && !rig.lives(id), "{output:?}");
    expect!(output.stdout.contains("2 processes ended by SIGKILL"), "{output:?}");
    expect!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    Ok(())
}

/// A unit that ignores SIGTERM and has a minute for it.
fn force_unit(rig: &Rig) -> Result<()> {
    let text = format!("[Service]\nExecStart={SLEEPER} --ignore TERM --log /tmp/trees-u.log\nTimeoutStopSec=60\n");
    rig.started("trees-u.service", &text)?;
    let id = logged(rig, "/tmp/trees-u.log")?;
    let started = Instant::now();
    let output = provost(&rig.as_root(), ["stop", "--force", "unit:trees-u.service"])?;
    expect!(output.code() == 0 && !rig.lives(id), "{output:?}");
    expect!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let state = rig.active_state("trees-u.service")?;
    expect!(state == "failed" || state == "inactive", "{state}");
    rig.systemctl(["reset-failed", "trees-u.service"]).map(drop).or(Ok(()))
}

/// A process that starts others while it is being ended leaves none of them.
fn growing(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/trees-growing")?;
    let script = "trap '' TERM INT; while :; do sleep 300 & done & while :; do sleep 301 & sleep 0.002; done";
    let script = format!("ulimit -u 400; {script}");
    rig.write("/tmp/trees-growing", format!("#!/bin/bash\n{script}\n"), 0o755)?;
    let process = rig.as_user("eve").in_unit("/trees-growing").spawn(["/tmp/trees-growing"])?;
    let output =
        provost(&rig.as_user("eve"), ["stop", &format!("pid:{}", process.pid), "--signals", "TERM:100ms,KILL"])?;
    let left = rig.cgroup_pids("/trees-growing")?;
    let left: Vec<_> = left.into_iter().filter_map(|pid| rig.identity(pid)).collect();
    expect!(output.code() == 0 && left.is_empty(), "{left:?} {output:?}");
    Ok(())
}

/// `kill` reaches the process itself and no other.
fn parent_only(rig: &Rig) -> Result<()> {
    let (_process, id) = start(rig, "trees-parent", &["--child", "--", "--log", "/tmp/trees-parent-child.log"])?;
    let child = logged(rig, "/tmp/trees-parent-child.log")?;
    let output = provost(&rig.as_user("eve"), ["kill", &format!("pid:{}", id.pid)])?;
    expect!(output.code() == 0, "{output:?}");
    eventually("it ends", || !rig.lives(id))?;
    expect!(rig.lives(child), "its child was signalled, too");
    let output = provost(&rig.as_user("eve"), ["stop", &format!("pid:{}", child.pid)])?;
    expect!(output.code() == 0 && !rig.lives(child), "{output:?}");
    Ok(())
}

/// provost does not end what it runs below.
fn own_ancestor(rig: &Rig) -> Result<()> {
    for verb in ["stop", "kill"] {
        let script = format!("trap 'echo hit' TERM; provost {verb} pid:$$; echo $?");
        let who = rig.as_user("eve").in_unit("/");
        let output = who.run(["bash", "-c", &script])?;
        let expected = if verb == "stop" { "4\n" } else { "hit\n" };
        expect!(output.stdout.contains(expected), "{verb}: {output:?}");
    }
    Ok(())
}
