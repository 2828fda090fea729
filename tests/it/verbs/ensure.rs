//! `ensure`: does nothing where nothing is to be done, starts what is missing, and waits for what loads.

use std::time::Duration;

use serde_json::Value;

use super::json;
use crate::rig::{As, Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("ensure::available_already", available_already);
    trials.rig("ensure::idle_unit", idle_unit);
    trials.rig("ensure::idle_unit_of_others", idle_unit_of_others);
    trials.rig("ensure::command", command);
    trials.rig("ensure::command_that_fails", command_that_fails);
    trials.rig("ensure::two_at_once", two_at_once);
    trials.rig("ensure::port_taken", port_taken);
    trials.rig("ensure::loading", loading);
    trials.rig("ensure::hanging", hanging);
    trials.rig("ensure::dry_run", dry_run);
}

fn ollama(port: u16) -> String {
    format!("[Service]\nUser=ollama\nExecStart=/usr/local/bin/ollama serve\nEnvironment=OLLAMA_HOST=127.0.0.1:{port}\n")
}

fn ensure(who: &As<'_>, args: &[&str]) -> Result<(Value, i32)> {
    json(who, ["ensure"].iter().chain(args))
}

fn available_already(rig: &Rig) -> Result<()> {
    let _unit = rig.started_for_now("ens-there.service", &ollama(22_001))?;
    eventually("it answers", || {
        ensure(&rig.as_user("eve"), &["unit:ens-there.service", "--timeout", "1s"]).is_ok_and(|(_, c)| c == 0)
    })?;
    let before = rig.main_pid("ens-there.service")?;
    for target in ["unit:ens-there.service", ":22001", "ens-there"] {
        let (answer, code) = ensure(&rig.as_user("eve"), &[target])?;
        expect!(code == 0 && answer["state"] == "available", "{target}: {answer}");
        expect!(answer["started"] == false && answer["means"] == "probe", "{target}: {answer}");
        expect!(answer["url"] == "http://127.0.0.1:22001", "{target}: {answer}");
    }
    expect!(rig.main_pid("ens-there.service")? == before, "it was started anew");
    Ok(())
}

fn idle_unit(rig: &Rig) -> Result<()> {
    let _unit = rig.unit_for_now("ens-idle.service", &ollama(22_002))?;
    let (answer, code) = ensure(&rig.as_root(), &["unit:ens-idle.service"])?;
    expect!(code == 0 && answer["state"] == "available" && answer["started"] == true, "{answer}");
    expect!(answer["means"] == "system-unit", "{answer}");
    expect!(rig.active_state("ens-idle.service")? == "active", "{answer}");
    // A unit is active when its program is executed, which listens a moment later.
    eventually("its server is found", || {
        ensure(&rig.as_root(), &["unit:ens-idle.service"])
            .is_ok_and(|(answer, _)| answer["url"] == "http://127.0.0.1:22002" && answer["started"] == false)
    })?;
    Ok(())
}

/// Who may not start it waits, and says what would unlock more; somebody else may start it meanwhile.
fn idle_unit_of_others(rig: &Rig) -> Result<()> {
    let _unit = rig.unit_for_now("ens-others.service", &ollama(22_003))?;
    let eve = rig.as_user("eve");
    let (answer, code) = ensure(&eve, &["unit:ens-others.service", "--timeout", "500ms"])?;
    expect!(code == 4 && answer["started"] == false, "{answer}");
    expect!(answer["unlock"].as_str().unwrap_or_default().contains("--polkit-rule"), "{answer}");
    expect!(rig.active_state("ens-others.service")? == "inactive", "{answer}");
    let mut waiting = eve.spawn(["provost", "ensure", "unit:ens-others.service", "--timeout", "20s"])?;
    rig.systemctl(["start", "ens-others.service"])?;
    expect!(waiting.wait()?.success(), "it did not see that it came up");
    Ok(())
}

/// Processes of a user whose command line contains this.
fn pids(rig: &Rig, user: &str, text: &str) -> Result<Vec<u32>> {
    let output = rig.as_root().run(["pgrep", "-u", user, "-f", text])?;
    Ok(output.stdout.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| rig.is_running(*pid)).collect())
}

const SERVER: [&str; 3] = ["--", "llama-server", "--port"];

fn command(rig: &Rig) -> Result<()> {
    let eve = rig.as_user("eve");
    let args = [&["ens-llm"][..], &SERVER, &["22004"]].concat();
    let (answer, code) = ensure(&eve, &args)?;
    expect!(code == 0 && answer["state"] == "available" && answer["started"] == true, "{answer}");
    expect!(answer["means"] == "own-service" && answer["url"] == "http://127.0.0.1:22004", "{answer}");
    let [pid] = pids(rig, "eve", "port 22004")?[..] else { return Err(format!("not one: {answer}").into()) };
    // It is supervised, and its output is kept.
    expect!(answer["reason"].as_str().unwrap_or_default().contains("provost logs ens-llm"), "{answer}");
    let (list, _) = json(&eve, ["list", "ens-llm"])?;
    expect!(list["services"][0]["pid"] == pid && list["services"][0]["state"] == "running", "{list}");
    let (again, code) = ensure(&eve, &args)?;
    expect!(code == 0 && again["started"] == false && again["means"] == "probe", "{again}");
    let (seen, _) = json(&eve, ["inspect", "service:ens-llm"])?;
    expect!(seen["owners"][0]["kind"] == "own-service" && seen["owners"][0]["processes"][0]["pid"] == pid, "{seen}");
    let (stopped, code) = json(&eve, ["stop", "service:ens-llm"])?;
    expect!(code == 0 && !rig.is_running(pid), "{stopped}");
    Ok(())
}

fn command_that_fails(rig: &Rig) -> Result<()> {
    let eve = rig.as_user("eve");
    let (answer, code) = ensure(&eve, &["ens-no", "--", "no-such-program"])?;
    expect!(code == 1 && answer.to_string().contains("no-such-program"), "{answer}");
    let (answer, code) = ensure(&eve, &["ens-false", "--timeout", "1s", "--", "false"])?;
    expect!(code != 0, "{answer}");
    let (answer, code) = ensure(&eve, &["ens-nothing"])?;
    expect!(code == 5, "{answer}");
    Ok(())
}

fn two_at_once(rig: &Rig) -> Result<()> {
    // Whose manager stays while the sessions of the callers come and go.
    rig.add_user(&crate::rig::User::person("twins", 1091, &[]))?;
    rig.linger("twins")?;
    let args = [&["ens-two"][..], &SERVER, &["22005", "--loading-for", "0.7"]].concat();
    let answers: Vec<Result<(Value, i32)>> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(|| ensure(&rig.as_user("twins"), &args))).collect();
        callers.into_iter().map(|c| c.join().unwrap_or_else(|_| Err("it panicked".into()))).collect()
    });
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    expect!(answers.iter().all(|(a, code)| *code == 0 && a["state"] == "available"), "{answers:?}");
    let started = answers.iter().filter(|(a, _)| a["started"] == true).count();
    let running = pids(rig, "twins", "port 22005")?;
    expect!(started == 1 && running.len() == 1, "{started} started, {running:?}: {answers:?}");
    json(&rig.as_user("twins"), ["stop", "service:ens-two"]).map(drop)
}

fn port_taken(rig: &Rig) -> Result<()> {
    let _unit = rig.started_for_now("ens-taken.service", &ollama(22_006))?;
    eventually("it listens", || ensure(&rig.as_user("eve"), &[":22006"]).is_ok_and(|(_, c)| c == 0))?;
    let args = [&["ens-late"][..], &SERVER, &["22006"]].concat();
    let (answer, code) = ensure(&rig.as_user("eve"), &args)?;
    let reason = answer["reason"].as_str().unwrap_or_default();
    expect!(code == 1 && answer["started"] == false, "{answer}");
    expect!(reason.contains("22006") && reason.contains("ens-taken.service"), "{reason}");
    expect!(pids(rig, "eve", "port 22006")?.is_empty(), "it was started all the same");
    Ok(())
}

/// A server that loads is neither down nor available, and is not restarted.
fn loading(rig: &Rig) -> Result<()> {
    let text = "[Service]\nUser=ollama\nExecStart=/usr/local/bin/llama-server --port 22007 --loading-for 3\n";
    rig.started("ens-load.service", text)?;
    let pid = rig.main_pid("ens-load.service")?;
    let eve = rig.as_user("eve");
    eventually("it listens", || {
        json(&eve, ["probe", "unit:ens-load.service"]).is_ok_and(|(a, _)| a["state"] == "starting")
    })?;
    let (answer, code) = json(&eve, ["probe", "unit:ens-load.service"])?;
    expect!(code == 3 && answer["state"] == "starting", "{answer}");
    let short = ["unit:ens-load.service", "--timeout", "300ms", "--load-timeout", "600ms"];
    let (answer, code) = ensure(&eve, &short)?;
    expect!(code == 7 && answer["state"] == "starting", "{answer}");
    // --timeout is for what does not answer; what loads has the load timeout.
    let (answer, code) = ensure(&rig.as_root(), &["unit:ens-load.service", "--timeout", "300ms", "--restart"])?;
    expect!(code == 0 && answer["state"] == "available" && answer["started"] == false, "{answer}");
    expect!(rig.main_pid("ens-load.service")? == pid, "it was restarted while it loaded");
    Ok(())
}

/// What runs and does not answer is restarted only when that is wanted.
fn hanging(rig: &Rig) -> Result<()> {
    rig.started("ens-hang.service", "[Service]\nUser=ollama\nExecStart=/usr/local/bin/hang --port 22008\n")?;
    let first = rig.main_pid("ens-hang.service")?;
    let args = ["unit:ens-hang.service", "--timeout", "700ms", "--probe", "http://127.0.0.1:22008/"];
    let (answer, code) = ensure(&rig.as_root(), &args)?;
    expect!(code == 7 && answer["state"] == "unavailable", "{answer}");
    expect!(answer["unlock"].as_str().unwrap_or_default().contains("--restart"), "{answer}");
    expect!(rig.main_pid("ens-hang.service")? == first, "it was restarted unasked");
    let with_restart: Vec<&str> = args.iter().copied().chain(["--restart"]).collect();
    let (answer, code) = ensure(&rig.as_user("eve"), &with_restart)?;
    expect!(code == 4 && rig.main_pid("ens-hang.service")? == first, "{answer}");
    let (answer, code) = ensure(&rig.as_root(), &with_restart)?;
    expect!(code == 7 && answer["started"] == true && answer["means"] == "system-unit", "{answer}");
    expect!(rig.main_pid("ens-hang.service")? != first, "it was not restarted: {answer}");
    Ok(())
}

fn dry_run(rig: &Rig) -> Result<()> {
    let _unit = rig.unit_for_now("ens-dry.service", &ollama(22_009))?;
    let (answer, code) = ensure(&rig.as_root(), &["unit:ens-dry.service", "--dry-run"])?;
    expect!(code == 0 && answer["started"] == false && answer["means"] == "system-unit", "{answer}");
    expect!(rig.active_state("ens-dry.service")? == "inactive", "{answer}");
    let args = [&["ens-dry-command", "--dry-run"][..], &SERVER, &["22010"]].concat();
    let (answer, code) = ensure(&rig.as_user("eve"), &args)?;
    expect!(code == 0 && answer["means"] == "own-service", "{answer}");
    std::thread::sleep(Duration::from_millis(50));
    expect!(pids(rig, "eve", "port 22010")?.is_empty(), "{answer}");
    Ok(())
}
