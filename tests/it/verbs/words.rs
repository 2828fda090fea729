//! The words of targets: what they mean, and what is said where they mean several things or none.

use super::{json, provost};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

const SLEEP: &str = "[Service]\nExecStart=/usr/local/bin/sleeper\n";

pub fn register(trials: &mut Trials) {
    trials.rig("words::ambiguous", ambiguous);
    trials.rig("words::one_owner", one_owner);
    trials.rig("words::globs", globs);
    trials.rig("words::scripts", scripts);
    trials.rig("words::escapes", escapes);
    trials.rig("words::nearest", nearest);
    trials.rig("words::no_target", no_target);
}

/// Two owners: reading shows both, changing refuses and lists the exact forms, each of which works; `--all` takes both.
fn ambiguous(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/words-two")?;
    let eve = rig.as_user("eve").in_unit("/words-two");
    let sleeper = || eve.spawn_as("words-two", ["sleeper", "--comm", "words-two"]);
    let sleepers = [sleeper()?, sleeper()?, sleeper()?];
    let ids: Vec<_> = sleepers.iter().filter_map(|s| rig.identity(s.pid)).collect();
    let alive = || ids.iter().filter(|id| rig.lives(**id)).count();
    let (seen, code) = json(&eve, ["inspect", "words-two"])?;
    expect!(code == 0 && seen["owners"].as_array().is_some_and(|o| o.len() == 3), "{seen}");
    for verb in ["stop", "kill", "restart", "reload", "start"] {
        let (answer, code) = json(&eve, [verb, "words-two"])?;
        let choices = answer["error"]["choices"].as_array().cloned().unwrap_or_default();
        expect!(code == 2 && choices.len() == 3 && alive() == 3, "{verb}: {code} {answer}");
    }
    let said = provost(&eve, ["stop", "words-two"])?;
    let exact = format!("pid:{}", ids[0].pid);
    expect!(said.stderr.contains("ambiguous") && said.stderr.contains(&exact), "{said:?}");
    expect!(provost(&eve, ["stop", &exact])?.code() == 0 && alive() == 2, "{exact}");
    let (answer, code) = json(&eve, ["stop", "words-two", "--all"])?;
    expect!(code == 0 && alive() == 0, "{answer}");
    Ok(())
}

/// A unit with several processes of its name is one thing, and a process that only has its name is another.
fn one_owner(rig: &Rig) -> Result<()> {
    let text =
        "[Service]\nUser=ollama\nExecStart=/usr/local/bin/ollama serve\nEnvironment=OLLAMA_HOST=127.0.0.1:25001\n";
    let _unit = rig.started_for_now("words-one.service", text)?;
    eventually("both are there", || rig.pids_of("words-one.service").is_ok_and(|p| p.len() == 2))?;
    let main = rig.main_pid("words-one.service")?;
    let child = rig.pids_of("words-one.service")?.into_iter().find(|p| *p != main).ok_or("no runner")?;
    for target in
        ["words-one", "unit:words-one.service", "unit:words-one", &format!("pid:{main}"), &format!("pid:{child}")]
    {
        let (seen, _) = json(&rig.as_user("eve"), ["inspect", target])?;
        let owners = seen["owners"].as_array().cloned().unwrap_or_default();
        expect!(owners.len() == 1 && owners[0]["unit"] == "words-one.service", "{target}: {seen}");
        expect!(owners[0]["processes"].as_array().is_some_and(|p| p.len() == 2), "{target}: {seen}");
    }
    Ok(())
}

fn globs(rig: &Rig) -> Result<()> {
    for name in ["words-glob-1.service", "words-glob-2.service"] {
        rig.started(name, SLEEP)?;
    }
    let (answer, code) = json(&rig.as_root(), ["stop", "unit:words-glob-*"])?;
    expect!(code == 0 && answer.as_array().is_some_and(|a| a.len() == 2), "{answer}");
    for name in ["words-glob-1.service", "words-glob-2.service"] {
        expect!(rig.active_state(name)? == "inactive", "{name}");
    }
    let (answer, code) = json(&rig.as_root(), ["inspect", "unit:words-none-*"])?;
    expect!(code == 5, "{answer}");
    Ok(())
}

/// Every agent is an interpreter: what it runs is its name.
fn scripts(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/words-script")?;
    rig.write("/usr/local/bin/words-agent.sh", "#!/bin/bash\nsleep 1000\n", 0o755)?;
    let eve = rig.as_user("eve").in_unit("/words-script");
    let agent = eve.spawn(["/usr/local/bin/words-agent.sh"])?;
    let mut first = Vec::new();
    eventually("the script runs", || {
        first = json(&rig.as_user("eve"), ["inspect", "words-agent"]).map(|(a, _)| vec![a]).unwrap_or_default();
        first.iter().any(|a| a["owners"].as_array().is_some_and(|o| o.len() == 1))
    })?;
    for target in ["words-agent", "words-agent.sh", "cmd:/usr/local/bin/words-agent.sh"] {
        let (seen, _) = json(&rig.as_root(), ["inspect", target])?;
        let found = &seen["owners"][0]["processes"][0];
        expect!(found["cmdline"][1] == "/usr/local/bin/words-agent.sh", "{target}: {seen}");
    }
    drop(agent);
    rig.cgroup_pids("/words-script")?.into_iter().try_for_each(|pid| match rig.identity(pid) {
        Some(id) => rig.signal(id, rustix::process::Signal::KILL).map(drop),
        None => Ok(()),
    })
}

/// Names with escapes mean themselves.
fn escapes(rig: &Rig) -> Result<()> {
    rig.linger("watson")?;
    rig.unit("words-esc@.service", SLEEP)?;
    rig.user_unit("watson", "words-esc@.service", SLEEP)?;
    for name in ["words\\x2desc.service", "words-esc@a\\x2fb.service", "words:colon.service", "words-esc@a-b:c.service"]
    {
        if !name.contains('@') {
            rig.unit(name, SLEEP)?;
        }
        rig.systemctl(["start", "--", name])?;
        for target in [format!("unit:{name}"), name.to_owned(), name.trim_end_matches(".service").to_owned()] {
            let (seen, code) = json(&rig.as_user("eve"), ["inspect", &target])?;
            expect!(code == 0 && seen["owners"][0]["unit"] == name, "{target}: {seen}");
        }
        let pid = rig.main_pid(name)?;
        let (seen, _) = json(&rig.as_user("eve"), ["inspect", &format!("pid:{pid}")])?;
        expect!(seen["owners"][0]["exact"] == format!("unit:{name}"), "{name}: {seen}");
        let (done, code) = json(&rig.as_root(), ["stop", &format!("pid:{pid}")])?;
        expect!(code == 0 && rig.active_state(name)? == "inactive", "{name}: {done}");
    }
    let name = "words-esc@x\\x20y.service";
    let (done, code) = json(&rig.as_user("watson"), ["start", &format!("user-unit:{name}")])?;
    expect!(code == 0, "{done}");
    let state = rig.user_systemctl("watson", ["is-active", "--", name])?;
    expect!(state == "active", "{state}");
    Ok(())
}

fn nearest(rig: &Rig) -> Result<()> {
    rig.started("words-nearby.service", SLEEP)?;
    for target in ["words-nearbi", "unit:words-nearbi.service"] {
        let (answer, code) = json(&rig.as_user("eve"), ["inspect", target])?;
        let near = answer["error"]["nearest"].to_string();
        expect!(code == 5 && near.contains("words-nearby"), "{target}: {answer}");
    }
    Ok(())
}

fn no_target(rig: &Rig) -> Result<()> {
    for verb in ["inspect", "stop", "start", "restart", "reload", "kill", "probe", "ensure", "wait"] {
        let said = provost(&rig.as_user("eve"), [verb])?;
        expect!(said.code() == 2 && said.stderr.contains("needs a TARGET"), "{verb}: {said:?}");
    }
    Ok(())
}
