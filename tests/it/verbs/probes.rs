//! `probe`: known servers by themselves, and the addresses that people give.

use super::json;
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("probe::ollama", ollama);
    trials.rig("probe::llama_server", llama_server);
    trials.rig("probe::of_another_user", of_another_user);
    trials.rig("probe::addresses", addresses);
    trials.rig("probe::overview", overview);
}

/// As anybody: the address from its sockets, the models from its API.
fn ollama(rig: &Rig) -> Result<()> {
    let text =
        "[Service]\nUser=ollama\nExecStart=/usr/local/bin/ollama serve\nEnvironment=OLLAMA_HOST=127.0.0.1:23001\n";
    let _unit = rig.started_for_now("probe-ollama.service", text)?;
    let eve = rig.as_user("eve");
    eventually("it answers", || json(&eve, ["probe", "unit:probe-ollama.service"]).is_ok_and(|(_, c)| c == 0))?;
    for target in ["unit:probe-ollama.service", "probe-ollama", ":23001", "port:23001"] {
        let (answer, code) = json(&eve, ["probe", target])?;
        expect!(code == 0 && answer["state"] == "available" && answer["server"] == "ollama", "{target}: {answer}");
        expect!(answer["url"] == "http://127.0.0.1:23001", "{target}: {answer}");
        expect!(answer["loaded"][0] == "gemma2:2b" && answer["models"][0] == "gemma2:2b", "{target}: {answer}");
        expect!(answer["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{target}: {answer}");
        expect!(answer["by"] == "http GET http://127.0.0.1:23001/api/version", "{target}: {answer}");
    }
    rig.systemctl(["stop", "probe-ollama.service"])?;
    let (answer, code) = json(&eve, ["probe", "unit:probe-ollama.service"])?;
    expect!(code == 3 && answer["state"] != "available", "{answer}");
    Ok(())
}

fn llama_server(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/probe-llama")?;
    let watson = rig.as_user("watson").in_unit("/probe-llama");
    let server = watson.spawn(["llama-server", "--port", "23002", "--loading-for", "1.5"])?;
    let target = format!("pid:{}", server.pid);
    let mut states = Vec::new();
    let watson = rig.as_user("watson");
    eventually("it is available", || {
        let state = json(&watson, ["probe", &target]).map(|(a, code)| (a["state"].to_string(), code));
        states.extend(state.into_iter().filter(|s| states.last() != Some(s)).collect::<Vec<_>>());
        states.last().is_some_and(|(_, code)| *code == 0)
    })?;
    expect!(states.iter().any(|(state, code)| state == "\"starting\"" && *code == 3), "{states:?}");
    let (answer, _) = json(&watson, ["probe", &target])?;
    expect!(answer["models"][0] == "qwen3-4b.gguf" && answer["server"] == "llama-server", "{answer}");
    Ok(())
}

/// Of a process of another user neither the environment nor the files can be read; its command line can.
fn of_another_user(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/probe-other")?;
    let server = rig.as_user("watson").in_unit("/probe-other").spawn(["llama-server", "--port", "23003"])?;
    let eve = rig.as_user("eve");
    let target = format!("pid:{}", server.pid);
    eventually("it answers", || json(&eve, ["probe", &target]).is_ok_and(|(_, c)| c == 0))?;
    let (answer, _) = json(&eve, ["probe", &target])?;
    expect!(answer["url"] == "http://127.0.0.1:23003", "{answer}");
    Ok(())
}

fn addresses(rig: &Rig) -> Result<()> {
    let _server = rig.as_user("watson").spawn(["llama-server", "--port", "23004"])?;
    let _hang = rig.as_user("watson").spawn(["hang", "--port", "23005"])?;
    let eve = rig.as_user("eve");
    eventually("both listen", || {
        ["tcp:127.0.0.1:23004", "tcp:127.0.0.1:23005"]
            .iter()
            .all(|a| json(&eve, ["probe", a]).is_ok_and(|(_, c)| c == 0))
    })?;
    let ask = |args: &[&str], expected: (&str, i32)| -> Result<()> {
        let (answer, code) = json(&eve, ["probe", "--timeout", "2s"].iter().chain(args))?;
        expect!((answer["state"].as_str(), code) == (Some(expected.0), expected.1), "{args:?}: {answer}");
        expect!(answer["detail"].as_str().is_some_and(|d| !d.is_empty() && !d.contains('\n')), "{args:?}: {answer}");
        Ok(())
    };
    let (yes, no, loading) = (("available", 0), ("unavailable", 3), "http://127.0.0.1:23004/health");
    ask(&[loading], yes)?;
    ask(&[loading, "--match", "\"ok\""], yes)?;
    ask(&[loading, "--match", "something else"], no)?;
    ask(&["http://127.0.0.1:23004/nothing"], no)?;
    ask(&["http://127.0.0.1:23004/nothing", "--status", "404"], yes)?;
    ask(&["http://127.0.0.1:23005/", "--timeout", "300ms"][..1], no)?;
    ask(&["tcp:127.0.0.1:23006"], no)?;
    ask(&["unix:/run/dbus/system_bus_socket"], yes)?;
    ask(&["unix:/run/nothing"], no)?;
    ask(&["--", "true"], yes)?;
    ask(&["--", "sh", "-c", "echo why; exit 3"], no)?;
    ask(&["--", "no-such-program"], no)
}

/// Alone it shows the known servers, whoever runs them.
fn overview(rig: &Rig) -> Result<()> {
    rig.started("probe-view.service", "[Service]\nUser=ollama\nExecStart=/usr/local/bin/llama-server --port 23007\n")?;
    let (answer, code) = json(&rig.as_user("eve"), [] as [&str; 0])?;
    let rows = answer["services"].as_array().cloned().unwrap_or_default();
    let row = rows.iter().find(|r| r["target"] == "unit:probe-view.service").ok_or_else(|| answer.to_string())?;
    expect!(code == 0 && row["state"] == "available" && row["name"] == "llama-server", "{row}");
    expect!(row["address"] == "http://127.0.0.1:23007", "{row}");
    Ok(())
}
