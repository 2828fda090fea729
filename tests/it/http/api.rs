//! What services do when they are told to over HTTP.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Body, Site};
use crate::rig::{Result, eventually, until};

pub const BODIES: &[(&str, Body)] = &[("services", services), ("targets", targets)];

const SERVICES: &str = "[service.a]\ncommand = [\"sh\", \"-c\", \"trap : HUP; while :; do sleep 0.1; done\"]\nport = 18999\n\
    reload = { signal = \"HUP\" }\n\
    [service.h]\ncommand = [\"sleep\", \"1000\"]\nenabled = false\nrestart = { base = \"100ms\" }\n\
    health = { heartbeat = { timeout = \"5s\" }, start_period = \"1s\" }\n\
    [service.brief]\ncommand = [\"sh\", \"-c\", \"sleep 0.05; exit 3\"]\nenabled = false\nrestart = { policy = \"never\" }\n\
    [service.unready]\ncommand = [\"sleep\", \"1000\"]\nenabled = false\nrestart = { policy = \"never\" }\n\
    ready = { exec = [\"false\"], interval = \"100ms\", timeout = \"1s\" }\n\
    [service.later]\ncommand = [\"sleep\", \"1000\"]\nenabled = false\nafter = [\"unready\"]\n\
    [service.b]\ncommand = [\"sleep\", \"1000\"]\nafter = [\"a\"]\nmeta = { team = \"x\" }\n";

fn services(site: &Site<'_>) -> Result<()> {
    site.start(SERVICES)?;
    let token = site.token("m", "manage")?;
    let post = |path: &str| site.post(&token, &format!("/api/v1/services/{path}"));
    let one = |id: &str| site.get(&token, &format!("/api/v1/services/{id}"))?.good();
    let all = site.get(&token, "/api/v1/services?resources=true")?.good()?;
    expect!(
        all["services"].as_array().is_some_and(|all| all.len() == 6 && all[0]["memory_bytes"].as_u64() > Some(0)),
        "{all}"
    );
    let before = one("a")?;
    let again = post("a/start")?.good()?;
    expect!(again["changed"] == false && again["service"]["pid"] == before["pid"], "{again}");
    let again = post("a/restart?wait=true")?.good()?;
    expect!(again["service"]["state"] == "running" && again["service"]["pid"] != before["pid"], "{again}");
    // That it was executed is not that it runs: the rule of the command line.
    for wait in ["start?wait=true", "restart?wait=true"] {
        let brief = post(&format!("brief/{wait}"))?.good()?;
        expect!(brief["service"]["state"] == "failed" && brief["service"]["last_exit"]["code"] == 3, "{brief}");
    }
    let began = Instant::now();
    let later = post("later/start?wait=true")?.good()?;
    expect!(later["service"]["reason"] == "waits for unready, which failed", "{later}");
    expect!(
        began.elapsed() < Duration::from_secs(30),
        "what it comes after had failed long before: {:?}",
        began.elapsed()
    );
    post("later/stop?wait=true")?.good()?;
    let again = post("a/start?wait=true")?.good()?;
    expect!(again["changed"] == false && again["service"]["state"] == "running", "{again}");
    expect!(post("a/reload")?.good()?["changed"] == true, "it can");
    expect!(post("b/reload")?.status == 409, "it cannot");
    expect!(post("b/heartbeat")?.status == 409, "nobody listens");
    // As long as it says that it lives, it runs.
    let began = Instant::now();
    post("h/start?wait=true")?.good()?;
    let pid = one("h")?["pid"].clone();
    until("it lives for longer than it may be silent", Duration::from_secs(60), || {
        post("h/heartbeat").is_ok_and(|answer| answer.status == 200) && began.elapsed() > Duration::from_secs(8)
    })?;
    expect!(one("h")?["pid"] == pid && one("h")?["restarts"] == 0, "{}", one("h")?);
    until("it is silent, and started again", Duration::from_secs(30), || {
        one("h").is_ok_and(|h| h["restarts"].as_u64() >= Some(1))
    })?;
    let said = one("h")?["last_error"].clone();
    expect!(said.as_str().is_some_and(|said| said.contains("no heartbeat within 5s")), "{said}");
    let before = one("b")?["restarts"].as_u64();
    post("b/kill?signal=KILL&whom=all")?.good()?;
    eventually("it is started again", || {
        one("b").is_ok_and(|b| b["restarts"].as_u64() > before && b["state"] == "running")
    })?;
    expect!(post("a/stop?wait=true&timeout=40")?.good()?["service"]["state"] == "stopped", "it stops");
    expect!(one("b")?["state"] == "stopped", "what comes after it stops before it");
    expect!(post("c/stop")?.status == 404, "there is none");
    let near = post("aa/stop")?.json()?;
    expect!(near["nearest"][0] == "a", "{near}");
    // Made, and removed again.
    let body = json!({"id": "c", "cwd": site.home, "command": ["sleep", "1000"], "env": {"K": "v"}});
    let made = site.ask(&token, "POST", "/api/v1/services", Some(&body))?;
    expect!(made.status == 201 && made.json()?["project"].is_null(), "{made:?}");
    let other = json!({"id": "c", "cwd": site.home, "command": ["sleep", "999"]});
    let twice = site.ask(&token, "POST", "/api/v1/services", Some(&other))?;
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
