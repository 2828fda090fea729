//! Services as targets of the verbs for any process.

use super::{Body, Stage, sleeper};
use crate::rig::Result;

pub(super) const BODIES: &[(&str, Body)] = &[
    ("means", means),
    ("parts", parts),
    ("waits", waits),
    ("of_others", of_others),
    ("started_by_id", started_by_id),
    ("what_stops_with_it", what_stops_with_it),
];

fn means(stage: &Stage<'_>) -> Result<()> {
    stage.config(&sleeper("llm", "reload = { signal = \"USR1\" }"))?;
    stage.ok(&["up", "-d"])?;
    let pid = stage.pid("llm")?;
    for target in ["llm", "service:llm", &format!("pid:{pid}")] {
        let (seen, code) = stage.json(&["inspect", target])?;
        let owner = &seen["owners"][0];
        expect!(code == 0 && owner["kind"] == "own-service" && owner["exact"] == "service:llm", "{target}: {seen}");
        expect!(owner["actions"]["stop"]["means"] == "own-service", "{target}: {seen}");
        expect!(owner["actions"]["stop"]["verdict"] == "allowed", "{target}: {seen}");
        expect!(owner["service"]["state"] == "running" && owner["processes"][0]["pid"] == pid, "{target}: {seen}");
    }
    expect!(stage.ok(&["start", "llm"])?.contains("nothing to do"), "it runs");
    let restarted = stage.ok(&["restart", "llm"])?;
    let now = stage.pid("llm")?;
    expect!(restarted.starts_with("llm: restarted") && now != pid, "{restarted}");
    expect!(stage.ok(&["kill", "-CONT", "llm"])?.contains("SIGCONT"), "kill");
    let (stopped, code) = stage.json(&["stop", &format!("pid:{now}")])?;
    expect!(code == 0 && stopped["outcome"] == "stopped", "{stopped}");
    expect!(stage.service("llm")?["state"] == "stopped", "it came again");
    expect!(stage.ok(&["stop", "llm"])?.contains("nothing to do"), "stopped already");
    let status = stage.provost(&["status", "llm"])?;
    expect!(status.code() == 3 && status.stdout.ends_with("Health: llm is stopped\n"), "{status:?}");
    expect!(stage.ok(&["list"])?.ends_with("Health: nothing runs"), "nor is all of it well");
    expect!(stage.provost(&["kill", "llm"])?.code() == 1, "nothing runs");
    expect!(stage.provost(&["stop", "llm", "nothere"])?.code() == 5, "one that is not there");
    let overview = stage.ok(&[])?;
    expect!(overview.contains("provost: stopped (you)"), "{overview}");
    Ok(())
}

/// A child of a service is not the service.
fn parts(stage: &Stage<'_>) -> Result<()> {
    stage.config("[service.tree]\ncommand = [\"sh\", \"-c\", \"sleep 999 & wait\"]\n")?;
    stage.ok(&["up", "-d"])?;
    let main = stage.pid("tree")?;
    let child = || stage.who().run(["pgrep", "-P", &main.to_string()])?.ok();
    crate::rig::eventually("it has a child", || child().is_ok())?;
    let child = child()?;
    let (refused, code) = stage.json(&["stop", &format!("pid:{child}")])?;
    expect!(code == 2 && refused["plan"]["unlock"].as_str().is_some_and(|u| u.contains("service:tree")), "{refused}");
    let (alone, code) = stage.json(&["stop", &format!("pid:{child}"), "--only-process", "--dry-run"])?;
    expect!(code == 0 && alone["plan"]["means"] == "signal", "{alone}");
    Ok(())
}

fn waits(stage: &Stage<'_>) -> Result<()> {
    stage.config(&sleeper("llm", ""))?;
    stage.ok(&["up", "-d"])?;
    stage.ok(&["wait", "llm", "--for", "running", "--timeout", "5s"])?;
    stage.ok(&["wait", "llm", "--timeout", "5s"])?;
    expect!(stage.provost(&["wait", "llm", "--for", "gone", "--timeout", "300ms"])?.code() == 7, "it runs");
    let mut gone = stage.who().spawn(["provost", "wait", "llm", "--for", "gone", "--timeout", "30s"])?;
    stage.ok(&["stop", "llm"])?;
    expect!(gone.wait()?.success(), "it did not see the end");
    let mut back = stage.who().spawn(["provost", "wait", "llm", "--for", "running", "--timeout", "30s"])?;
    stage.ok(&["start", "llm"])?;
    expect!(back.wait()?.success(), "it did not see the start");
    Ok(())
}

fn of_others(stage: &Stage<'_>) -> Result<()> {
    stage.config(&sleeper("theirs", ""))?;
    stage.ok(&["up", "-d"])?;
    let uid = stage.rig.uid(&stage.user)?.to_string();
    let root = stage.rig.as_root().env("SUDO_UID", uid);
    for verb in ["stop", "status", "restart"] {
        let wrong = root.run(["provost", verb, "theirs"])?;
        let words = format!("theirs belongs to {}'s instance; run without sudo", stage.user);
        expect!(wrong.code() == 5 && wrong.stderr.contains(&words), "{verb}: {wrong:?}");
    }
    expect!(stage.service("theirs")?["state"] == "running", "root stopped it");
    Ok(())
}

/// `start ID` of what was never started loads the config, and starts a daemon.
fn started_by_id(stage: &Stage<'_>) -> Result<()> {
    stage.config(&(sleeper("db", "") + &sleeper("web", "after = [\"db\"]") + &sleeper("other", "")))?;
    let (plan, code) = stage.json(&["start", "web", "--dry-run"])?;
    expect!(code == 0 && plan["plan"]["steps"][0]["load"].is_string(), "{plan}");
    let started = stage.ok(&["start", "web"])?;
    expect!(started.starts_with("web: started, running"), "{started}");
    expect!(stage.service("db")?["state"] == "running" && stage.service("other")?["state"] == "stopped", "{started}");
    let status = stage.ok(&["status", "web"])?;
    expect!(status.lines().any(|line| line.split_whitespace().eq(["after", "db"])), "{status}");
    Ok(())
}

/// A stop says what stops before it, also where it is only asked what it would do.
fn what_stops_with_it(stage: &Stage<'_>) -> Result<()> {
    stage.config(
        &(sleeper("base", "") + &sleeper("mid", "after = [\"base\"]") + &sleeper("top", "after = [\"mid\"]")),
    )?;
    stage.ok(&["up", "-d"])?;
    let would = stage.ok(&["stop", "base", "--dry-run"])?;
    expect!(would.contains("mid, top stop before it, because they come after it"), "{would}");
    let stopped = stage.provost(&["stop", "base"])?;
    expect!(stopped.code() == 0 && stopped.stderr.contains("mid, top stop before it"), "{stopped:?}");
    expect!(stage.service("top")?["state"] == "stopped", "{stopped:?}");
    let started = stage.provost(&["start", "mid"])?;
    expect!(started.stderr.contains("base starts before it, where it does not run"), "{started:?}");
    Ok(())
}
