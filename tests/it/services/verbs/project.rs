//! `up --detach`, `down`, `list`, `status`, `enable`, `disable`, `remove`, `events` of a config.

use std::path::{Path, PathBuf};

use super::{Backend, Body, Stage, sleeper};
use crate::rig::Result;

pub(super) const BODIES: &[(&str, Body)] = &[
    ("up_and_down", up_and_down),
    ("the_example", the_example),
    ("ids_and_unknown_ones", ids_and_unknown_ones),
    ("first_that_is_not_ready", first_that_is_not_ready),
    ("not_ready_in_time", not_ready_in_time),
    ("replace", replace),
    ("without_a_daemon", without_a_daemon),
    ("enabled_or_not", enabled_or_not),
    ("events", events),
    ("bad_config", bad_config),
    ("pid_files", pid_files),
    ("restart_of_what_others_need", restart_of_what_others_need),
];

/// The three services of a small stack, the later after the earlier.
fn three() -> String {
    sleeper("embedding", "port = \"50000-60000\"\nmeta = { model_id = \"llama-7b\" }")
        + &sleeper("agent", "after = [\"embedding\"]")
        + &sleeper("gateway", "after = [\"agent\"]")
}

fn up_and_down(stage: &Stage<'_>) -> Result<()> {
    stage.config(&three())?;
    let said = stage.ok(&["up", "-d"])?;
    expect!(said.lines().count() == 3 && said.starts_with("embedding: running (PID "), "{said}");
    let status = stage.provost(&["status"])?;
    expect!(status.code() == 0 && status.stdout.ends_with("Health: ok\n"), "{status:?}");
    expect!(stage.ok(&["list"])?.ends_with("Health: ok"), "list says it, too");
    let (list, code) = stage.json(&["list"])?;
    expect!(code == 0 && list["services"].as_array().is_some_and(|all| all.len() == 3), "{list}");
    let embedding = stage.service("embedding")?;
    expect!(embedding["state"] == "running" && embedding["health"] == "ok", "{embedding}");
    expect!(embedding["port"] == 50_000 && embedding["meta"]["model_id"] == "llama-7b", "{embedding}");
    let table = stage.ok(&["ps"])?;
    expect!(table.starts_with("ID ") && table.lines().all(|line| line.len() <= 80), "{table}");
    // Once more: already so.
    let before = stage.pid("gateway")?;
    stage.ok(&["up", "-d"])?;
    expect!(stage.pid("gateway")? == before, "it was started anew");
    let said = stage.ok(&["down"])?;
    expect!(said.contains("gateway: stopped") && !stage.rig.is_running(before), "{said}");
    let again = stage.ok(&["down"])?;
    expect!(again.contains("nothing to do"), "{again}");
    let status = stage.provost(&["status"])?;
    expect!(status.code() == 3 && status.stdout.contains("gateway: stopped\n"), "{status:?}");
    Ok(())
}

/// The stack of the README, as it lies in the sources: who needs it finds the other by its port, by its socket.
fn the_example(stage: &Stage<'_>) -> Result<()> {
    let provost = PathBuf::from(env!("CARGO_BIN_EXE_provost"));
    let program = provost.with_file_name("examples").join("ocg");
    expect!(program.exists(), "{} is not there: cargo build --example ocg", program.display());
    let (example, built) = (format!("{}/examples/ocg", stage.home), format!("{}/target/debug/examples", stage.home));
    // Both backends share a network; a fixed port is one of them's.
    let port = if stage.backend == Backend::Systemd { "55003" } else { "55004" };
    let config = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ocg/provost.toml"))?;
    expect!(config.contains("port = 55003"), "{config}");
    let config = config.replace("port = 55003", &format!("port = {port}"));
    stage.rig.write_as(&stage.user, &format!("{example}/provost.toml"), config, 0o600)?;
    stage.rig.write_as(&stage.user, &format!("{built}/ocg"), std::fs::read(program)?, 0o755)?;

    let run = |args: &[&str]| stage.who().folder(&example).run(["provost"].iter().chain(args))?.ok();
    let said = run(&["up", "-d"])?;
    let order: Vec<&str> = said.lines().filter_map(|line| line.split_once(": running").map(|(id, _)| id)).collect();
    expect!(order == ["embedding", "agent", "gateway"], "{said}");
    let answer = stage.who().run([
        "provost",
        "probe",
        &format!("http://127.0.0.1:{port}/health"),
        "--match",
        "gateway: ok, agent: ok, embedding: ok",
    ])?;
    expect!(answer.code() == 0, "{answer:?}");
    let embedding = stage.service("embedding")?;
    expect!(embedding["port"].as_u64().is_some_and(|port| (50_000..60_000).contains(&port)), "{embedding}");
    expect!(embedding["meta"]["model_id"] == "demo-7b", "{embedding}");
    let logs = run(&["logs"])?;
    expect!(logs.contains("loading the model"), "{logs}");
    let said = run(&["down"])?;
    expect!(["gateway", "agent", "embedding"].iter().all(|id| said.contains(&format!("{id}: stopped"))), "{said}");
    Ok(())
}

fn ids_and_unknown_ones(stage: &Stage<'_>) -> Result<()> {
    stage.config(&three())?;
    // What it starts after comes with it, and no more.
    stage.ok(&["up", "-d", "agent"])?;
    let (list, _) = stage.json(&["list", "*"])?;
    let running = list["services"].as_array().into_iter().flatten().filter(|s| s["state"] == "running").count();
    expect!(running == 2, "{list}");
    let (status, code) = stage.json(&["status", "agent", "gateway"])?;
    expect!(code == 3 && status["services"].as_array().is_some_and(|all| all.len() == 2), "{status}");
    let wrong = stage.provost(&["up", "-d", "agnet"])?;
    expect!(wrong.code() == 5 && wrong.stderr.contains("near it: agent"), "{wrong:?}");
    let wrong = stage.provost(&["list", "nothere"])?;
    expect!(wrong.code() == 5, "{wrong:?}");
    let stopped = stage.ok(&["down", "agent"])?;
    expect!(stopped == "agent: stopped" && stage.service("embedding")?["state"] == "running", "{stopped}");
    // A config that others could change does not count, and that is said.
    stage.who().run(["chmod", "g+w", "provost.toml"])?.ok()?;
    for verb in [&["up", "-d"][..], &["config", "check"]] {
        let said = stage.provost(verb)?;
        expect!(
            said.code() == 6 && said.stderr.contains("provost.toml does not count, because others may"),
            "{said:?}"
        );
    }
    stage.who().run(["chmod", "g-w", "provost.toml"])?.ok().map(drop)
}

fn first_that_is_not_ready(stage: &Stage<'_>) -> Result<()> {
    let fails = "[service.bad]\ncommand = [\"sh\", \"-c\", \"echo last words; exit 3\"]\n\
                 restart = { policy = \"never\" }\nafter = [\"good\"]\nready = { log = \"never said\" }\n";
    stage.config(&(sleeper("good", "") + fails + &sleeper("later", "after = [\"bad\"]")))?;
    let (answer, code) = stage.json(&["up", "-d"])?;
    expect!(code == 1 && answer["service"]["id"] == "bad", "{answer}");
    expect!(answer["error"]["message"].as_str().is_some_and(|m| m.contains("exit code 3")), "{answer}");
    expect!(stage.service("good")?["state"] == "running", "others keep running");
    let status = stage.provost(&["status"])?;
    expect!(status.code() == 3 && status.stdout.contains("bad: failed"), "{status:?}");
    expect!(status.stdout.lines().last().is_some_and(|line| line.contains("bad has failed")), "{status:?}");
    let one = stage.ok(&["list", "bad"])?;
    expect!(one.contains("exit code 3"), "{one}");
    expect!(answer["log"] == serde_json::json!(["last words"]), "{answer}");
    // One that says nothing is not shown with the words of another before it.
    stage.ok(&["rm", "bad"])?;
    stage.config(&(sleeper("good", "") + &fails.replace("echo last words; exit 3", "exit 4")))?;
    let (answer, _) = stage.json(&["up", "-d"])?;
    expect!(answer["service"]["id"] == "bad" && answer["log"] == serde_json::json!([]), "{answer}");
    Ok(())
}

fn not_ready_in_time(stage: &Stage<'_>) -> Result<()> {
    stage.config(&sleeper("slow", "ready = { tcp = \"127.0.0.1:9\", timeout = \"60s\" }"))?;
    let late = stage.provost(&["up", "-d", "--timeout", "700ms"])?;
    expect!(late.code() == 7 && late.stderr.contains("slow is not ready after 700ms"), "{late:?}");
    let status = stage.provost(&["status"])?;
    expect!(status.code() == 3 && status.stdout.contains("not ready yet"), "{status:?}");
    expect!(status.stdout.ends_with("Health: not yet: slow is not ready\n"), "{status:?}");
    Ok(())
}

fn replace(stage: &Stage<'_>) -> Result<()> {
    stage.config(&three())?;
    stage.ok(&["up", "-d"])?;
    let (embedding, agent) = (stage.pid("embedding")?, stage.pid("agent")?);
    stage.ok(&["up", "-d", "--replace"])?;
    expect!(!stage.rig.is_running(embedding) && !stage.rig.is_running(agent), "the old ones run");
    expect!(stage.pid("agent")? != agent, "not replaced");
    Ok(())
}

/// What reads needs no daemon, and says so; what changes something starts one.
fn without_a_daemon(stage: &Stage<'_>) -> Result<()> {
    stage.config(&three())?;
    stage.ok(&["up", "-d"])?;
    let pid = stage.pid("agent")?;
    let (daemon, _) = stage.json(&["daemon", "status"])?;
    let daemon = daemon["daemon"]["pid"].as_u64().ok_or_else(|| format!("{daemon}"))?.to_string();
    // The manager would start it again at once.
    if stage.backend == super::Backend::Systemd {
        stage.rig.user_systemctl(&stage.user, ["kill", "-s", "KILL", "provost.service"])?;
        stage.rig.user_systemctl(&stage.user, ["stop", "provost.service"])?;
    } else {
        stage.who().run(["kill", "-KILL", &daemon])?.ok()?;
    }
    let list = stage.provost(&["list"])?;
    expect!(list.stderr.contains("no daemon runs; this is what the registry says"), "{list:?}");
    expect!(list.stdout.contains(&format!(" {pid} ")), "{list:?}");
    let status = stage.provost(&["status"])?;
    expect!(status.code() == 0, "{status:?}");
    let events = stage.provost(&["events"])?;
    expect!(events.code() == 8, "{events:?}");
    let (plan, _) = stage.json(&["stop", "gateway", "--dry-run"])?;
    expect!(plan["plan"]["means"] == "own-service" && plan["plan"]["verdict"] == "allowed", "{plan}");
    expect!(plan["plan"]["steps"][0]["start_daemon"] == true, "{plan}");
    let stopped = stage.ok(&["stop", "gateway"])?;
    expect!(stopped.contains("gateway: stopped"), "{stopped}");
    expect!(stage.pid("agent")? == pid, "it was not taken over");
    stage.ok(&["down"])?;
    expect!(!stage.rig.is_running(pid), "down without its daemon left it");
    Ok(())
}

fn enabled_or_not(stage: &Stage<'_>) -> Result<()> {
    stage.config(&(sleeper("one", "") + &sleeper("two", "enabled = false")))?;
    stage.ok(&["up", "-d"])?;
    expect!(stage.service("two")?["state"] == "stopped", "it is not enabled");
    expect!(stage.ok(&["start", "two"])?.contains("two: started"), "asked for by name");
    expect!(stage.ok(&["enable", "two"])? == "two: enabled", "enable");
    expect!(stage.ok(&["enable", "two"])?.contains("nothing to do"), "twice");
    expect!(stage.service("two")?["enabled"] == true, "not enabled");
    stage.ok(&["disable", "one"])?;
    stage.ok(&["down"])?;
    stage.ok(&["up", "-d"])?;
    let states = ["one", "two"].map(|id| stage.service(id).map(|is| is["state"].clone()).unwrap_or_default());
    expect!(states == ["stopped", "running"], "what was said of them is not what up starts: {states:?}");
    stage.ok(&["enable", "one"])?;
    expect!(stage.ok(&["disable", "t*"])? == "two: disabled", "a glob");
    let pid = stage.pid("two")?;
    expect!(stage.ok(&["rm", "two"])? == "two: removed" && !stage.rig.is_running(pid), "it runs");
    expect!(stage.provost(&["list", "two"])?.code() == 5, "it is still known");
    for again in ["reload", "restart"] {
        stage.ok(&["daemon", again])?;
        expect!(stage.provost(&["list", "two"])?.code() == 5, "{again} brings it back");
    }
    stage.ok(&["up", "-d"])?;
    expect!(stage.service("two")?["state"] == "stopped", "up asks for its project");
    Ok(())
}

fn events(stage: &Stage<'_>) -> Result<()> {
    stage.config(&three())?;
    stage.ok(&["up", "-d"])?;
    stage.ok(&["restart", "gateway"])?;
    let output = stage.provost(&["events", "-o", "json", "gateway"])?;
    let events: Vec<serde_json::Value> =
        output.stdout.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
    expect!(events.iter().all(|event| event["id"] == "gateway" && event["message"].is_string()), "{output:?}");
    let states = events.iter().filter(|event| event["event"] == "state" && event["to"] == "running").count();
    expect!(states == 2, "{output:?}");
    let text = stage.ok(&["events"])?;
    expect!(text.contains(" embedding: "), "{text}");
    // What comes is followed.
    let limit = std::time::Duration::from_secs(20);
    let mut following = stage.who().env("NO_COLOR", "1").pty(["provost", "events", "-f", "gateway"])?;
    following.expect("gateway: it is ready", limit)?;
    stage.ok(&["stop", "gateway"])?;
    following.expect("gateway: it is stopped", limit)?;
    // The id of a group stands for its instances.
    stage.config("[service.twin]\ncommand = [\"sleep\", \"1000\"]\ninstances = 2\n")?;
    stage.ok(&["up", "-d"])?;
    let text = stage.ok(&["events", "twin"])?;
    let of = |id: &str| text.contains(&format!("{id}: it is ready"));
    expect!(of("twin-1") && of("twin-2") && !text.contains("gateway"), "{text}");
    Ok(())
}

fn bad_config(stage: &Stage<'_>) -> Result<()> {
    let none = stage.provost(&["up", "-d"])?;
    expect!(none.code() == 6 && none.stderr.contains("provost run"), "{none:?}");
    stage.config("[service.a]\ncommand = []\n[service.b]\nafter = [\"b\"]\n")?;
    let wrong = stage.provost(&["up", "-d"])?;
    expect!(wrong.code() == 6 && wrong.stderr.contains("provost.toml:"), "{wrong:?}");
    stage.config(&sleeper("a", "systemd = { ProtectSystm = \"strict\" }"))?;
    let wrong = stage.provost(&["up", "-d"])?;
    let told = wrong.stderr.contains("provost.toml:3:13") && wrong.stderr.contains("near it: ProtectSystem");
    expect!(wrong.code() == 6 && told, "{wrong:?}");
    expect!(stage.provost(&["daemon", "status"])?.code() == 3, "a daemon was started for it");
    expect!(stage.provost(&["down"])?.code() == 0, "nothing runs");
    Ok(())
}

fn pid_files(stage: &Stage<'_>) -> Result<()> {
    stage.config(&three())?;
    stage.ok(&["up", "-d", "--pid-dir", "pids"])?;
    let pid = stage.pid("agent")?;
    let written = stage.rig.read(&format!("{}/pids/agent.pid", stage.home))?;
    expect!(written.trim() == pid.to_string(), "{written}");
    // The place alone is no reason for a restart.
    stage.ok(&["up", "-d"])?;
    expect!(stage.pid("agent")? == pid, "it was restarted");
    expect!(!stage.rig.exists(&format!("{}/pids/agent.pid", stage.home)), "it is left");
    let none = stage.provost(&["up", "-d", "--pid-dir", "/proc/nosuch"])?;
    let said = none.stderr.contains("agent: pid file /proc/nosuch/agent.pid: ");
    expect!(none.code() == 0 && said && stage.pid("agent")? == pid, "{none:?}");
    stage.ok(&["up", "-d", "--pid-dir", "pids"])?;
    stage.ok(&["down"])?;
    expect!(!stage.rig.exists(&format!("{}/pids/agent.pid", stage.home)), "it is left");
    stage.config("[service.nocmd]\ncommand = \"/nowhere/program\"\n")?;
    expect!(stage.provost(&["up", "-d"])?.code() == 1, "it runs");
    let stopped = stage.provost(&["stop", "nocmd"])?;
    expect!(stopped.stdout.contains("nocmd: stopped, it had not run"), "{stopped:?}");
    Ok(())
}

/// What another one comes after is restarted as anything else is.
fn restart_of_what_others_need(stage: &Stage<'_>) -> Result<()> {
    stage.config(&three())?;
    stage.ok(&["up", "-d"])?;
    for id in ["embedding", "agent", "gateway"] {
        let before = stage.pid(id)?;
        stage.ok(&["restart", id])?;
        expect!(stage.pid(id)? != before, "{id} was not restarted");
    }
    let status = stage.provost(&["status"])?;
    expect!(status.code() == 0, "{status:?}");
    Ok(())
}
