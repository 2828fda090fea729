//! `logs`, and the output that `up` and `run` show.

use std::time::Duration;

use serde_json::Value;

use super::{Body, Stage};
use crate::rig::{Result, eventually};

pub(super) const BODIES: &[(&str, Body)] = &[
    ("logs", logs),
    ("logs_are_followed", logs_are_followed),
    ("logs_of_units", logs_of_units),
    ("last_lines_of_a_failure", last_lines_of_a_failure),
    ("output_of_run", output_of_run),
    ("output_in_the_foreground", output_in_the_foreground),
];

const LIMIT: Duration = Duration::from_secs(20);

/// Writes a line to each stream, and another to the first at each SIGUSR1.
const TALKER: &str = "command = [\"sh\", \"-c\", \"trap 'echo again' USR1; echo hello; echo oops >&2; \
                      while :; do sleep 0.1; done\"]\n";

fn pieces(stage: &Stage<'_>, args: &[&str]) -> Result<Vec<Value>> {
    let output = stage.provost(&[&["-o", "json", "logs"], args].concat())?;
    let lines = output.stdout.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>();
    lines.map_err(|e| format!("{e}: {output:?}").into())
}

fn texts(pieces: &[Value]) -> Vec<&str> {
    pieces.iter().filter_map(|piece| piece["text"].as_str()).collect()
}

fn logs(stage: &Stage<'_>) -> Result<()> {
    stage.config(&format!("[service.one]\n{TALKER}[service.two]\n{TALKER}"))?;
    stage.ok(&["up", "-d"])?;
    eventually("both have written", || pieces(stage, &[]).is_ok_and(|all| all.len() == 4))?;
    let all = pieces(stage, &["one"])?;
    let mut said = texts(&all);
    said.sort_unstable();
    expect!(said == ["hello", "oops"] && all.iter().all(|piece| piece["id"] == "one"), "{all:?}");
    let errors = pieces(stage, &["one", "--stderr"])?;
    expect!(texts(&errors) == ["oops"] && errors[0]["stream"] == "stderr", "{errors:?}");
    expect!(pieces(stage, &["one", "-n", "1"])?.len() == 1, "more than the last line");
    expect!(pieces(stage, &["one", "--since", "1h"])?.len() == 2, "of the last hour");
    let people = stage.ok(&["logs"])?;
    expect!(people.contains("one | hello") && people.contains("two | oops"), "{people}");
    expect!(stage.ok(&["logs", "service:one"])?.lines().any(|line| line == "hello"), "one alone has no name before it");
    expect!(stage.provost(&["logs", "nothere"])?.code() == 5, "there is no such thing");
    Ok(())
}

fn logs_are_followed(stage: &Stage<'_>) -> Result<()> {
    stage.config(&format!("[service.one]\n{TALKER}"))?;
    stage.ok(&["up", "-d"])?;
    let mut following = stage.who().env("NO_COLOR", "1").pty(["provost", "logs", "-f", "one"])?;
    following.expect("hello", LIMIT)?;
    stage.ok(&["kill", "-USR1", "one"])?;
    following.expect("again", LIMIT)?;
    Ok(())
}

fn logs_of_units(stage: &Stage<'_>) -> Result<()> {
    if stage.backend == super::Backend::Direct {
        return Ok(());
    }
    stage.rig.started("verbs-talks.service", "[Service]\nExecStart=sh -c 'echo unit speaks; sleep 1000'\n")?;
    let root = stage.rig.as_root();
    eventually("root reads it", || {
        let read = root.run(["provost", "logs", "verbs-talks.service"]);
        read.is_ok_and(|output| output.stdout.contains("unit speaks"))
    })?;
    let denied = stage.provost(&["logs", "verbs-talks.service"])?;
    expect!(denied.code() == 4 && denied.stderr.contains("systemd-journal"), "{denied:?}");
    let bare = stage.provost(&["logs", "pid:1"])?;
    expect!(bare.code() != 0, "{bare:?}");
    Ok(())
}

fn last_lines_of_a_failure(stage: &Stage<'_>) -> Result<()> {
    let script =
        "command = [\"sh\", \"-c\", \"echo last words; sleep 0.3; exit 3\"]\nrestart = { policy = \"never\" }\n";
    let ready = "ready = { tcp = \"127.0.0.1:9\" }\n";
    stage.config(&format!("[service.bad]\n{script}{ready}"))?;
    let failed = stage.provost(&["up", "-d"])?;
    expect!(failed.code() == 1 && failed.stderr.contains("bad has failed: "), "{failed:?}");
    expect!(failed.stderr.contains("\n  last words\n"), "{failed:?}");
    Ok(())
}

fn output_of_run(stage: &Stage<'_>) -> Result<()> {
    let script = "echo out; echo err >&2; sleep 0.2; echo 'a\tb'; exit 6";
    let output = stage.provost(&["run", "--wait", "--", "sh", "-c", script])?;
    expect!(output.code() == 6, "{output:?}");
    expect!(output.stdout == "out\na\tb\n" && output.stderr.contains("err\n"), "{output:?}");
    Ok(())
}

fn output_in_the_foreground(stage: &Stage<'_>) -> Result<()> {
    stage.config(&format!("[service.one]\n{TALKER}"))?;
    let mut up = stage.who().env("NO_COLOR", "1").pty(["provost", "up"])?;
    up.expect("one | oops", LIMIT)?;
    stage.ok(&["kill", "-USR1", "one"])?;
    up.expect("one | again", LIMIT)?;
    up.type_bytes(b"\x03")?;
    expect!(up.wait()?.0.success(), "it failed");
    Ok(())
}
