//! `run` and `ensure`: services without a config.

use super::{Body, Stage};
use crate::rig::Result;

pub(super) const BODIES: &[(&str, Body)] =
    &[("run", run), ("run_waits", run_waits), ("run_that_fails", run_that_fails), ("ensured", ensured)];

fn run(stage: &Stage<'_>) -> Result<()> {
    let said = stage.ok(&["run", "--", "sleep", "1000"])?;
    expect!(said.starts_with("sleep: running (PID "), "{said}");
    let second = stage.ok(&["run", "--", "/bin/sleep", "1000"])?;
    expect!(second.starts_with("sleep-2: running"), "{second}");
    let named = ["run", "--name", "web", "--port", "51000-51010", "-e", "A=$B ${C}", "--"];
    let command = ["sh", "-c", "echo \"$A $PORT ${0}\"; exec sleep 1000", "at ${PORT}"];
    stage.ok(&[&named[..], &command].concat())?;
    let web = stage.service("web")?;
    expect!(web["port"] == 51_000 && web["project"].is_null(), "{web}");
    let shown = web["command_line"].to_string();
    expect!(shown.contains("at 51000") && shown.contains("$A $PORT ${0}"), "{web}");
    let pid = stage.pid("web")?;
    let environ = stage.rig.read(&format!("/proc/{pid}/environ"))?;
    expect!(environ.contains("A=$B ${C}\0") && environ.contains("PORT=51000\0"), "{environ}");
    expect!(environ.contains("PROVOST_SERVICE=web\0"), "{environ}");
    let cwd = stage.who().run(["readlink", &format!("/proc/{pid}/cwd")])?.ok()?;
    expect!(cwd == stage.home, "{cwd}");
    expect!(stage.provost(&["run", "--", "no-such-program"])?.code() == 1, "no such program");
    stage.ok(&["rm", "sleep*", "web"])?;
    expect!(stage.ok(&["list"])?.starts_with("No services."), "something is left");
    Ok(())
}

/// Its output, and its own exit code.
fn run_waits(stage: &Stage<'_>) -> Result<()> {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)] {
        let output = stage.provost(&["run", "--wait", "--", "sh", "-c", script])?;
        expect!(output.code() == code, "{script}: {output:?}");
    }
    expect!(stage.ok(&["list"])?.starts_with("No services."), "something is left");
    Ok(())
}

fn run_that_fails(stage: &Stage<'_>) -> Result<()> {
    let failed = stage.provost(&["run", "--restart", "never", "--", "sh", "-c", "exit 4"])?;
    // Who is faster, the program's end or who looks whether it runs.
    let told = failed.code() == 1 && failed.stderr.contains("exit code 4");
    expect!(told || failed.stdout.starts_with("sh: running"), "{failed:?}");
    let status = stage.provost(&["status", "sh"])?;
    expect!(status.code() == 3 && status.stdout.contains("exit code 4"), "{status:?}");
    Ok(())
}

fn ensured(stage: &Stage<'_>) -> Result<()> {
    // Both backends have one network.
    let port = (51_000 + stage.rig.uid(&stage.user)?).to_string();
    let port = port.as_str();
    let args = ["ensure", "llm", "--", "llama-server", "--port", port];
    let (plan, code) = stage.json(&["ensure", "llm", "--dry-run", "--", "llama-server", "--port", port])?;
    let reason = plan["reason"].as_str().unwrap_or_default();
    expect!(code == 0 && reason.contains("supervised by provost") && plan["means"] == "own-service", "{plan}");
    let (answer, code) = stage.json(&args)?;
    expect!(code == 0 && answer["started"] == true && answer["state"] == "available", "{answer}");
    expect!(answer["means"] == "own-service" && answer["url"] == format!("http://127.0.0.1:{port}"), "{answer}");
    let (again, code) = stage.json(&args)?;
    expect!(code == 0 && again["started"] == false, "{again}");
    // It is supervised: killed, it comes again.
    let pid = stage.pid("llm")?;
    stage.who().run(["kill", "-KILL", &pid.to_string()])?.ok()?;
    crate::rig::eventually("it comes again", || stage.pid("llm").is_ok_and(|now| now != pid))?;
    stage.ok(&["wait", "llm", "--timeout", "20s"])?;
    stage.ok(&["stop", "llm"])?;
    // Idle, and started again as it was.
    let (answer, code) = stage.json(&["ensure", "llm"])?;
    expect!(code == 0 && answer["started"] == true && answer["means"] == "own-service", "{answer}");
    let (bad, code) = stage.json(&["ensure", "bad", "--", "false"])?;
    expect!(code == 1 && bad["reason"].as_str().is_some_and(|r| r.contains("exit code 1")), "{bad}");
    expect!(stage.service("bad")?["state"] == "stopped", "it is tried again and again");
    // What says by itself when it is ready is not available before that.
    let words = "command = [\"sh\", \"-c\", \"until test -e go; do sleep 0.05; done; echo now; exec sleep 1000\"]";
    stage.config(&format!("[service.slow]\n{words}\nready = {{ log = \"now\" }}\n"))?;
    stage.ok(&["start", "slow", "--no-block"])?;
    let (early, code) = stage.json(&["ensure", "slow", "--timeout", "1s"])?;
    let reason = early["reason"].as_str().unwrap_or_default();
    expect!(code == 7 && reason.contains("slow is not ready yet"), "{early}");
    stage.rig.write_as(&stage.user, &format!("{}/go", stage.home), "", 0o644)?;
    let (ready, code) = stage.json(&["ensure", "slow"])?;
    expect!(code == 0 && ready["started"] == false, "{ready}");
    Ok(())
}
