//! What services do when they are told to over HTTP.

use serde_json::json;

use super::{Body, Site};
use crate::rig::{Result, eventually};

pub const BODIES: &[(&str, Body)] = &[("services", services), ("targets", targets)];

const SERVICES: &str = "[service.a]\ncommand = [\"sh\", \"-c\", \"trap : HUP; while :; do sleep 0.1; done\"]\nport = 18999\n\
    reload = { signal = \"HUP\" }\nhealth = { heartbeat = { timeout = \"2s\" }, start_period = \"1h\" }\nrestart = { base = \"100ms\" }\n\
    [service.b]\ncommand = [\"sleep\", \"1000\"]\nafter = [\"a\"]\nmeta = { team = \"x\" }\n";

fn services(site: &Site<'_>) -> Result<()> {
    site.start(SERVICES)?;
    let token = site.token("m", "manage")?;
    let post = |path: &str| site.post(&token, &format!("/api/v1/services/{path}"));
    let one = |id: &str| site.get(&token, &format!("/api/v1/services/{id}"))?.good();
    let all = site.get(&token, "/api/v1/services?resources=true")?.good()?;
    expect!(
        all["services"].as_array().is_some_and(|all| all.len() == 2 && all[0]["memory_bytes"].as_u64() > Some(0)),
        "{all}"
    );
    let before = one("a")?;
    let again = post("a/start")?.good()?;
    expect!(again["changed"] == false && again["service"]["pid"] == before["pid"], "{again}");
    let again = post("a/restart?wait=true")?.good()?;
    expect!(again["service"]["state"] == "running" && again["service"]["pid"] != before["pid"], "{again}");
    expect!(post("a/reload")?.good()?["changed"] == true, "it can");
    expect!(post("b/reload")?.status == 409, "it cannot");
    // Signs of life count from the first on: no more of them is a failure.
    expect!(post("b/heartbeat")?.status == 409, "nobody listens");
    let restarts = one("a")?["restarts"].as_u64();
    post("a/heartbeat")?.good()?;
    eventually("it is started again", || one("a").is_ok_and(|a| a["restarts"].as_u64() > restarts))?;
    eventually("it runs again", || one("a").is_ok_and(|a| a["state"] == "running"))?;
    let said = one("a")?["last_error"].clone();
    expect!(said.as_str().is_some_and(|said| said.contains("no heartbeat within 2s")), "{said}");
    let before = one("b")?["restarts"].as_u64();
    post("b/kill?signal=KILL&whom=all")?.good()?;
    eventually("it is started again", || {
        one("b").is_ok_and(|b| b["restarts"].as_u64() > before && b["state"] == "running")
    })?;
    expect!(post("a/stop?wait=true&timeout=40")?.good()?["service"]["state"] == "stopped", "it stops");
    expect!(one("b")?["state"] == "stopped", "what comes after it stops before it");
    expect!(post("c/stop")?.status == 404, "there is none");
    let near = post("aa/stop")?.json()?;
    expect!(near["nearest"] == json!(["a"]), "{near}");
    // Made, and removed again.
    let body = json!({"id": "c", "cwd": site.home, "command": ["sleep", "1000"], "env": {"K": "v"}});
    let made = site.ask(&token, "POST", "/api/v1/services", Some(&body))?;
    expect!(made.status == 201 && made.json()?["project"].is_null(), "{made:?}");
    let twice = site.ask(&token, "POST", "/api/v1/services", Some(&body))?;
    expect!(twice.status == 409, "one runs: {twice:?}");
    site.ask(&token, "DELETE", "/api/v1/services/c", None)?.good()?;
    eventually("it is gone", || site.get(&token, "/api/v1/services/c").is_ok_and(|answer| answer.status == 404))
}

fn targets(site: &Site<'_>) -> Result<()> {
    site.start(SERVICES)?;
    let (token, read) = (site.token("m", "manage")?, site.token("r", "read")?);
    let found = site.get(&read, "/api/v1/inspect?target=service:b")?.good()?;
    expect!(
        found["owners"][0]["service"]["meta"]["team"] == "x"
            && found["owners"][0]["actions"]["stop"]["verdict"] == "allowed",
        "{found}"
    );
    expect!(site.get(&read, "/api/v1/inspect?target=nothing-is-called-so")?.status == 404, "there is none");
    let found = site.get(&read, &format!("/api/v1/probe?target=:{}", site.address.port()))?.good()?;
    expect!(found["state"] == "available", "{found}");
    let gpus = site.get(&read, "/api/v1/gpus")?.good()?;
    expect!(
        gpus["gpus"].is_array() && (gpus["missing"].is_string() || gpus["gpus"][0]["memory_used"].is_u64()),
        "{gpus}"
    );
    let act = |body: serde_json::Value| site.ask(&token, "POST", "/api/v1/actions", Some(&body));
    let pid = site.get(&read, "/api/v1/services/b")?.good()?["pid"].clone();
    let plan = act(json!({"target": "service:b", "action": "stop", "dry_run": true}))?.good()?;
    expect!(plan[0]["plan"]["means"] == "own-service" && plan[0]["outcome"].is_null(), "{plan}");
    expect!(site.get(&read, "/api/v1/services/b")?.good()?["pid"] == pid, "nothing was done");
    let done = act(json!({"target": "service:b", "action": "stop"}))?.good()?;
    expect!(done[0]["outcome"] == "stopped", "{done}");
    // What the user may not do, the daemon does not do for them.
    let refused = act(json!({"target": "pid:1", "action": "kill", "signal": "HUP"}))?;
    expect!(refused.status == 403 || refused.status == 409, "{refused:?}");
    expect!(act(json!({"target": "b", "action": "dance"}))?.status == 422, "no action");
    expect!(act(json!({"target": "", "action": "stop"}))?.status == 400, "no target");
    Ok(())
}
