//! A daemon that dies, or does not answer, while a verb waits for it.

use std::time::{Duration, Instant};

use super::{Backend, Body, Stage, sleeper};
use crate::rig::{Result, eventually};

pub(super) const BODIES: &[(&str, Body)] = &[
    ("waits_for_a_daemon_that_dies", waits_for_a_daemon_that_dies),
    ("a_daemon_that_does_not_answer", a_daemon_that_does_not_answer),
];

/// Who waits for a daemon that is killed follows the next, where a manager starts one; else that is said, and nothing is
/// taken for stopped that runs on.
fn waits_for_a_daemon_that_dies(stage: &Stage<'_>) -> Result<()> {
    let slow = "[service.slow]\ncommand = [\"sh\", \"-c\", \"trap 'sleep 4; exit 0' TERM; while :; do sleep 0.2; done\"]\n\
                after = [\"first\"]\n";
    stage.config(&(sleeper("first", "") + slow))?;
    for verb in [&["down"][..], &["down", "--all"], &["stop", "first", "slow"], &["restart", "slow"]] {
        stage.ok(&["up", "-d"])?;
        let (first, before, daemon) = (stage.pid("first")?, stage.pid("slow")?, daemon_pid(stage)?);
        let waiting = stage.who().pty([&["provost"], verb].concat())?;
        eventually("it is being stopped", || stage.service("slow").is_ok_and(|slow| slow["state"] == "stopping"))?;
        stage.who().run(["kill", "-KILL", &daemon])?.ok()?;
        let (status, said) = waiting.wait()?;
        expect!(!said.contains("I/O error"), "{verb:?}: {said}");
        match (stage.backend, verb) {
            (Backend::Direct, _) => {
                expect!(status.code() == Some(8), "{verb:?}: {status:?}: {said}");
                expect!(said.contains("the daemon ended while it was waited for"), "{verb:?}: {said}");
                expect!(stage.rig.is_running(first), "{verb:?}: it goes on");
            }
            (Backend::Systemd, ["restart", ..]) => {
                expect!(status.success() && stage.pid("slow")? != before, "{verb:?}: {status:?}: {said}");
            }
            (Backend::Systemd, _) => {
                expect!(status.success() && !stage.rig.is_running(first), "{verb:?}: {status:?}: {said}");
            }
        }
    }
    Ok(())
}

/// It is said by every verb, whatever the records say; and a time that was given is kept.
fn a_daemon_that_does_not_answer(stage: &Stage<'_>) -> Result<()> {
    stage.config(&sleeper("one", ""))?;
    // A name that was mistyped is nothing that is down.
    for running in [false, true] {
        let typo = stage.provost(&["down", "-c", "nosuch.toml"])?;
        expect!(typo.code() == 6 && typo.stderr.contains("nosuch.toml"), "{running}: {typo:?}");
        stage.ok(&["up", "-d"])?;
    }
    let daemon = daemon_pid(stage)?;
    stage.who().run(["kill", "-STOP", &daemon])?.ok()?;
    let said = || -> Result<()> {
        for (verb, code) in [(&["status", "one"][..], 8), (&["stop", "one"], 8), (&["logs", "one"], 0)] {
            let said = stage.provost(verb)?;
            expect!(said.code() == code && said.stderr.contains("does not answer"), "{verb:?}: {said:?}");
        }
        let shown = stage.ok(&["inspect", "one"])?;
        expect!(shown.contains("does not answer") && !shown.contains("no daemon runs"), "{shown}");
        let since = Instant::now();
        let late = stage.provost(&["stop", "one", "--timeout", "1s"])?;
        expect!(late.code() == 7 && since.elapsed() < Duration::from_secs(4), "{late:?}");
        Ok(())
    };
    let said = said();
    stage.who().run(["kill", "-CONT", &daemon])?.ok()?;
    said
}

fn daemon_pid(stage: &Stage<'_>) -> Result<String> {
    let (daemon, _) = stage.json(&["daemon", "status"])?;
    Ok(daemon["daemon"]["pid"].to_string())
}
