//! Starts that come to nothing are told for sure, and what is followed goes on over the daemon's end.

use std::time::Duration;

use serde_json::Value;

use super::{Body, Stage, sleeper};
use crate::rig::{Result, eventually, until};

pub(super) const BODIES: &[(&str, Body)] = &[
    ("dies_at_once", dies_at_once),
    ("earlier_dies_at_once", earlier_dies_at_once),
    ("being_written", being_written),
    ("what_was_waited_for", what_was_waited_for),
    ("waits_end_with_the_failure", waits_end_with_the_failure),
    ("events_go_on", events_go_on),
    ("known_without_a_daemon", known_without_a_daemon),
    ("known_before_its_start", known_before_its_start),
    ("other_variables", other_variables),
];

/// A program that was executed and ends a moment later is not up, however its end and the question
/// race each other.
fn dies_at_once(stage: &Stage<'_>) -> Result<()> {
    let dies = "command = [\"sh\", \"-c\", \"sleep 0.0$WAIT; exit 3\"]\nrestart = { policy = \"never\" }\n";
    let one = |wait: u32| format!("[service.dies-{wait}]\n{}", dies.replace("$WAIT", &wait.to_string()));
    stage.config(&(sleeper("good", "") + &(0..10).map(one).collect::<String>()))?;
    for wait in 0..10 {
        let id = format!("dies-{wait}");
        let said = stage.provost(&["up", "-d", &id])?;
        expect!(said.code() == 1 && said.stderr.contains("ended with exit code 3"), "{id}: {said:?}");
    }
    for verb in [&["start", "dies-5"][..], &["restart", "dies-5"], &["run", "--", "sh", "-c", "sleep 0.05; exit 3"]] {
        let said = stage.provost(verb)?;
        expect!(said.code() == 1, "{verb:?}: {said:?}");
    }
    stage.ok(&["up", "-d", "good"])?;
    Ok(())
}

/// A program that somebody is just writing is tried again until that is done, and until then the reason is said.
fn being_written(stage: &Stage<'_>) -> Result<()> {
    stage.rig.write_as(&stage.user, &format!("{}/tool", stage.home), "#!/bin/sh\nexec sleep 1000\n", 0o755)?;
    let restart = "restart = { base = \"100ms\", max = \"100ms\", tries = -1 }";
    stage.config(&format!("[service.tool]\ncommand = [\"./tool\"]\n{restart}\n"))?;
    let writer = stage.who().spawn_as("sleep", ["sh", "-c", "exec sleep 1000 >> tool"])?;
    stage.ok(&["start", "tool", "--no-block"])?;
    eventually("it is tried again", || {
        let tool = stage.service("tool").unwrap_or_default();
        tool.to_string().contains("/tool is being written") && tool["failures"].as_u64() > Some(2)
    })?;
    drop(writer);
    eventually("it runs", || stage.service("tool").is_ok_and(|tool| tool["state"] == "running"))
}

/// The same holds for what was started because another comes after it.
fn earlier_dies_at_once(stage: &Stage<'_>) -> Result<()> {
    let one = |wait: u32| {
        format!(
            "[service.dies-{wait}]\ncommand = [\"sh\", \"-c\", \"sleep 0.1{wait}; exit 3\"]\n\
             restart = {{ policy = \"never\" }}\n{}",
            sleeper(&format!("later-{wait}"), &format!("after = [\"dies-{wait}\"]"))
        )
    };
    let done = "[service.done]\ncommand = [\"true\"]\noneshot = true\n";
    let last = sleeper("last", "after = [\"done\", \"good\"]");
    stage.config(&((0..5).map(one).collect::<String>() + done + &sleeper("good", "") + &last))?;
    for wait in 0..5 {
        let (verb, id) = (if wait % 2 == 0 { &["up", "-d"][..] } else { &["start"] }, format!("later-{wait}"));
        let said = stage.provost(&[verb, &[&id]].concat())?;
        expect!(said.code() == 1 && said.stderr.contains("ended with exit code 3"), "{id}: {said:?}");
        expect!(said.stderr.contains(&format!("dies-{wait}")), "{id}: {said:?}");
    }
    stage.ok(&["up", "-d", "last"])?;
    // What failed before is not what this one starts.
    stage.ok(&["up", "-d", "good"])?;
    Ok(())
}

/// A time that ran out is told with what it was waited for.
fn what_was_waited_for(stage: &Stage<'_>) -> Result<()> {
    let asked = "ready = { http = \"http://127.0.0.1:9/health\" }";
    let told = "ready = { log = \"listening on\" }";
    stage.config(&(sleeper("asked", asked) + &sleeper("told", told) + &sleeper("later", "after = [\"asked\"]")))?;
    for (id, why) in [
        ("asked", "it is running, not ready yet: waits for http GET http://127.0.0.1:9/health"),
        ("told", "waits for a line of its output that matches 'listening on'"),
        ("later", "it is starting, waits for asked"),
    ] {
        let late = stage.provost(&["start", id, "--timeout", "500ms"])?;
        expect!(late.code() == 7 && late.stderr.contains(why), "{late:?}");
    }
    let late = stage.provost(&["up", "-d", "--timeout", "500ms", "asked"])?;
    expect!(late.code() == 7 && late.stderr.contains("waits for http GET"), "{late:?}");
    Ok(())
}

/// Who waits for a service that fails meanwhile is told, and does not wait on.
fn waits_end_with_the_failure(stage: &Stage<'_>) -> Result<()> {
    stage.config(
        "[service.bad]\ncommand = [\"sh\", \"-c\", \"until [ -e go ]; do sleep 0.1; done; exit 4\"]\n\
         ready = { log = \"never\" }\nrestart = { policy = \"never\" }\n",
    )?;
    stage.ok(&["start", "bad", "--no-block"])?;
    eventually("it runs", || stage.pid("bad").is_ok())?;
    let mut waiting = stage.who().pty(["provost", "wait", "bad", "--for", "available", "--timeout", "5min"])?;
    stage.rig.write_as(&stage.user, &format!("{}/go", stage.home), "", 0o600)?;
    waiting.expect("ended with exit code 4", Duration::from_secs(60))?;
    let (status, said) = waiting.wait()?;
    expect!(status.code() == Some(3), "{status:?}: {said}");
    Ok(())
}

/// Every event once, in order, also where the daemon executes its program anew; and who follows a
/// daemon that was killed follows the next.
fn events_go_on(stage: &Stage<'_>) -> Result<()> {
    stage.config(&(sleeper("one", "") + &sleeper("two", "")))?;
    stage.ok(&["up", "-d", "one"])?;
    let _follower = stage.who().spawn_as("provost", ["sh", "-c", "exec provost events -f -o json > told 2> said"])?;
    let file = format!("{}/told", stage.home);
    let told = || -> Vec<Value> {
        let text = stage.rig.read(&file).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let is_stop = |event: &Value| event["id"] == "two" && event["to"] == "stopped";
    let stops = |events: &[Value]| events.iter().filter(|event| is_stop(event)).count();
    eventually("it listens", || !told().is_empty())?;
    for round in 1..=3 {
        stage.ok(&["start", "two"])?;
        stage.ok(&["daemon", "restart"])?;
        stage.ok(&["stop", "two"])?;
        until("the last one is told", Duration::from_secs(30), || stops(&told()) == round)?;
    }
    let events = told();
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
    expect!(numbers == expected, "{numbers:?}");
    let said = stage.rig.read(&format!("{}/said", stage.home))?;
    expect!(!said.contains("missed") && !said.contains("another daemon"), "{said}");
    Ok(())
}

/// A port and a socket that are written down are known to others before they are served; and who errs in
/// an id is told the one that was meant.
fn known_before_its_start(stage: &Stage<'_>) -> Result<()> {
    let told = "[service.web]\ncommand = [\"sh\", \"-c\", \"echo $AT; sleep 1000\"]\n\
                env = { AT = \"${service.gateway.port} ${service.gateway.socket}\" }\n";
    stage.config(&(told.to_owned() + &sleeper("gateway", "port = 8123\nsocket = \"g.sock\"\nenabled = false")))?;
    stage.ok(&["up", "-d", "web"])?;
    let at = format!("8123 {}/g.sock", stage.home);
    eventually("it was told", || stage.ok(&["logs", "web"]).is_ok_and(|lines| lines.contains(&at)))?;
    for verb in ["start", "stop", "status", "logs"] {
        let said = stage.provost(&[verb, "gatewy"])?;
        expect!(said.code() == 5 && said.stderr.contains("near it: gateway"), "{verb}: {said:?}");
    }
    Ok(())
}

/// What the record knows is told without a daemon, and what runs is measured.
fn known_without_a_daemon(stage: &Stage<'_>) -> Result<()> {
    let well = "[service.well]\ncommand = [\"sh\", \"-c\", \"trap 'exit 0' TERM; while :; do sleep 0.05; done\"]\n";
    stage.config(&(sleeper("stays", "") + &sleeper("ends", "restart = { policy = \"never\" }") + well))?;
    stage.ok(&["up", "-d"])?;
    let (pid, well) = (stage.pid("ends")?, stage.pid("well")?);
    stage.provost(&["kill", "-KILL", "ends"])?;
    eventually("it has failed", || stage.service("ends").is_ok_and(|ends| ends["state"] == "failed"))?;
    stage.ok(&["restart", "stays"])?;
    stage.ok(&["daemon", "stop", "--services", "keep"])?;
    let (known, code) = stage.json(&["status", "stays", "ends"])?;
    let [stays, ends] = [&known["services"][0], &known["services"][1]];
    expect!(code == 3 && stays["state"] == "running" && stays["restarts"] == 1, "{known}");
    expect!(stays["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0) && stays["processes"] == 1, "{stays}");
    expect!(ends["state"] == "failed" && ends["last_exit"]["signal"] == 9 && !ends["stopped_at"].is_null(), "{ends}");
    let stayed = stays["pid"].as_u64().ok_or("no pid")?;
    expect!(stayed != u64::from(pid), "{known}");
    // Of one that ends well systemd keeps the unit, and calls it active.
    for (id, signal, pid) in [("stays", "-KILL", stayed), ("well", "-TERM", u64::from(well))] {
        stage.rig.as_root().run(["kill", signal, &pid.to_string()])?.ok()?;
        eventually("its end is seen", || {
            let said = stage.provost(&["status", id]).map(|said| said.stdout).unwrap_or_default();
            said.contains(&format!("it ended while no daemon ran; provost start {id} starts both"))
        })?;
    }
    Ok(())
}

/// A variable of the shell that is another one is said of what runs on with the old one.
fn other_variables(stage: &Stage<'_>) -> Result<()> {
    stage.config(&sleeper("a", "env = { KEY = \"${KEY}\" }"))?;
    let up = |key: &str| stage.who().env("KEY", key).run(["provost", "up", "-d"]);
    let without = stage.provost(&["up", "-d"])?;
    expect!(
        without.code() == 1 && without.stderr.contains("of the last 'provost up' was asked: set it"),
        "{without:?}"
    );
    for (key, said) in [("1", false), ("1", false), ("2", true)] {
        let ran = up(key)?;
        expect!(ran.code() == 0 && ran.stderr.contains("KEY is not what it was") == said, "{key}: {ran:?}");
    }
    stage.ok(&["restart", "a"])?;
    let ran = up("2")?;
    expect!(ran.code() == 0 && !ran.stderr.contains("KEY"), "{ran:?}");
    Ok(())
}
