//! The clients that people have: the examples of the documents that this API follows, schemathesis,
//! promtool.

use std::process::Command;

use super::{Body, Site};
use crate::rig::{Result, eventually};

pub const BODIES: &[(&str, Body)] =
    &[("python_and_curl", python_and_curl), ("schemathesis", schemathesis), ("promtool", promtool)];

const SERVICES: &str = "[service.llama]\ncommand = [\"sh\", \"-c\", \"sleep 1000\", \"-m\", \"/path/to/model.gguf\"]\nport = 18080\n\
    gpus = [\"0\"]\nmeta = { model_id = \"llama-7b\", model_name = \"Llama 2 7B\" }\n[service.ai-agent]\ncommand = [\"sleep\", \"1000\"]\n";

/// The example of process registries, as it is written there but for the address and the token.
const PYTHON: &str = r#"
import requests

# API base URL and authentication
base_url = "http://localhost:8000"
headers = {"Authorization": "Bearer YOUR_TOKEN"}

response = requests.get(f"{base_url}/api/v1/process-registry", headers=headers)
processes = response.json()["processes"]

for gpu_id, process in processes.items():
    print(f"GPU {gpu_id}: PID {process['pid']}, Model {process['model_name']}")

response = requests.post(
    f"{base_url}/api/v1/cleanup-orphaned",
    params={"force": False},
    headers=headers
)
result = response.json()
print(f"Cleaned up {result['killed_count']} orphaned processes")
"#;

const CURL: &str = r#"
curl -X GET "http://localhost:8000/api/v1/process-registry" \
  -H "Authorization: Bearer YOUR_TOKEN"
echo
curl -X POST "http://localhost:8000/api/v1/cleanup-orphaned?force=false" \
  -H "Authorization: Bearer YOUR_TOKEN"
echo
curl -X POST "http://localhost:8000/api/v1/cleanup-orphaned?force=true" \
  -H "Authorization: Bearer YOUR_TOKEN"
echo
curl -X GET "http://localhost:8000/api/pm/list" -H "Authorization: Bearer YOUR_TOKEN"
echo
curl -X POST "http://localhost:8000/api/pm/ai-agent/restart" -H "Authorization: Bearer YOUR_TOKEN"
echo
curl -X POST "http://localhost:8000/api/pm/ai-agent/stop" -H "Authorization: Bearer YOUR_TOKEN"
"#;

/// What it printed, if it went well.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    expect!(output.status.success(), "{}: {out}\n{err}", output.status);
    Ok(out.into_owned())
}

fn python_and_curl(site: &Site<'_>) -> Result<()> {
    site.start(SERVICES)?;
    let token = site.token("m", "manage")?;
    let pid = site.get(&token, "/api/v1/services/llama")?.good()?["pid"].to_string();
    let mine = |text: &str| {
        text.replace("localhost:8000", &format!("localhost:{}", site.address.port())).replace("YOUR_TOKEN", &token)
    };
    let said = output(site.rig.client("/usr/bin/python3", 60)?.args(["-c", &mine(PYTHON)]))?;
    expect!(said.contains(&format!("GPU 0: PID {pid}, Model Llama 2 7B\n")), "{said}");
    expect!(said.contains("Cleaned up 0 orphaned processes"), "{said}");
    // One that a daemon left behind is found and ended.
    let said = output(site.rig.client("sh", 60)?.args(["-c", &mine(CURL).replace("curl ", "curl -sS ")]))?;
    let lines: Vec<serde_json::Value> =
        said.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
    expect!(lines.len() == 6, "{said}");
    let process = &lines[0]["processes"]["0"];
    let keys =
        ["pid", "model_id", "model_name", "model_path", "gpu_id", "port", "started_at", "command_line", "status"];
    expect!(keys.iter().all(|key| process.get(key).is_some_and(|value| !value.is_null())), "{process}");
    expect!(lines[0]["processes"]["ai-agent"]["gpu_id"].is_null(), "{said}");
    for cleaned in &lines[1..3] {
        expect!(
            cleaned["success"] == true && cleaned["killed_count"] == 0 && cleaned["orphaned_pids"].is_array(),
            "{cleaned}"
        );
        expect!(cleaned["message"].is_string(), "{cleaned}");
    }
    let agent = &lines[3][0];
    expect!(agent["id"] == "ai-agent" && agent["status"] == "running" && agent["restartCount"] == 0, "{agent}");
    expect!(
        agent["pid"].as_u64() > Some(0)
            && agent["lastError"] == ""
            && agent["uptime"].as_str().is_some_and(|up| up.ends_with('s')),
        "{agent}"
    );
    expect!(lines[4] == serde_json::json!({"message": "Process restart initiated", "id": "ai-agent"}), "{said}");
    expect!(lines[5] == serde_json::json!({"message": "Process stopped", "id": "ai-agent"}), "{said}");
    let list = site.get(&token, "/api/pm/list")?.good()?;
    expect!(list[0]["status"] == "stopped" && list[0]["pid"] == 0 && list[0]["uptime"] == "0s", "{list}");
    let left = site.get(&token, "/api/v1/process-registry")?.good()?;
    expect!(left["processes"].as_object().map(serde_json::Map::len) == Some(1), "what is stopped leaves it: {left}");
    orphan(site, &token)
}

/// What a service left behind, which its daemon does not track.
fn orphan(site: &Site<'_>, token: &str) -> Result<()> {
    let environ = format!("tr '\\0' '\\n' < /proc/$(pgrep -u {} -f 'sleep 1000' | head -1)/environ", site.user);
    let environ = site.rig.as_root().run(["sh", "-c", &environ])?.ok()?;
    let marks: Vec<&str> = environ.lines().filter(|line| line.starts_with("PROVOST_")).collect();
    expect!(!marks.is_empty(), "{environ}");
    let words = [&["setsid", "-f", "env"], marks.as_slice(), &["PROVOST_SERVICE=gone", "sleep", "4711"]].concat();
    site.who().run(words)?.ok()?;
    let lives =
        || site.rig.as_root().run(["pgrep", "-u", &site.user, "-f", "sleep 4711"]).is_ok_and(|out| out.code() == 0);
    eventually("it lives", lives)?;
    eventually("it is an orphan, and ended", || {
        let cleaned = site.post(token, "/api/v1/cleanup-orphaned?force=True").and_then(|answer| answer.good());
        cleaned.is_ok_and(|cleaned| cleaned["killed_count"] == 1 && cleaned["success"] == true)
    })?;
    expect!(!lives(), "it is still there");
    Ok(())
}

fn schemathesis(site: &Site<'_>) -> Result<()> {
    let program = std::env::var_os("PROVOST_SCHEMATHESIS").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/schemathesis"),
        Into::into,
    );
    expect!(program.exists(), "{} is missing: tests/run installs it (pip install schemathesis)", program.display());
    // In memory only: what is made up is not run.
    site.configure(&format!(
        "[http]\nlisten = \"{}\"\n[defaults]\nbackend = \"sim\"\n[service.a]\ncommand = [\"x\"]\nhealth.heartbeat = {{ timeout = \"1h\" }}\n\
         reload = {{ signal = \"HUP\" }}\n[service.b]\ncommand = [\"x\"]\n",
        site.address
    ))?;
    let daemon = site.who().spawn(["provost", "daemon", "--sim"])?;
    eventually("it answers", || site.get("", "/healthz").is_ok_and(|answer| answer.status == 200))?;
    let token = site.token("m", "manage")?;
    // Most ids that are made up belong to nothing.
    let known = tempfile::NamedTempFile::with_suffix(".toml")?;
    std::fs::write(&known, "[parameters]\n\"path.id\" = \"a\"\n")?;
    let said = site
        .rig
        .client("env", 900)?
        .env_clear()
        .args(["PATH=/usr/bin:/bin", "HOME=/nonexistent", "LANG=C.UTF-8"])
        .arg(program)
        .arg("--config-file")
        .arg(known.path())
        .args(["run", &format!("http://{}/api/v1/openapi.json", site.address)])
        .args(["-H", &format!("Authorization: Bearer {token}")])
        // Streams do not end; they have trials of their own.
        .args([
            "--exclude-path-regex",
            "(events|logs)$",
            "--max-examples",
            "8",
            "--phases",
            "coverage,fuzzing,stateful",
            "--generation-deterministic",
        ])
        .args(["--request-timeout", "30", "--no-color"])
        .current_dir("/tmp")
        .output()?;
    drop(daemon);
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    expect!(said.status.success() && out.contains(" passed"), "{out}\n{err}");
    Ok(())
}

fn promtool(site: &Site<'_>) -> Result<()> {
    site.start(&format!("{SERVICES}log = {{ path = \"logs\" }}\n"))?;
    let token = site.token("r", "read")?;
    let metrics = site.get(&token, "/metrics")?;
    expect!(metrics.status == 200 && metrics.head.contains("content-type: text/plain; version=0.0.4"), "{metrics:?}");
    for name in [
        "service_state{service=\"llama\",state=\"running\"} 1",
        "service_restarts_total{",
        "service_uptime_seconds{",
        "service_memory_bytes{",
        "service_log_bytes{service=\"llama\"} ",
        "service_log_bytes{service=\"ai-agent\"} ",
    ] {
        expect!(metrics.body.contains(&format!("provost_{name}")), "{name}: {}", metrics.body);
    }
    let mut file = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, metrics.body.as_bytes())?;
    let said = site.rig.client("promtool", 60)?.args(["check", "metrics"]).stdin(file.reopen()?).output()?;
    let words = [said.stdout, said.stderr].concat();
    expect!(said.status.success() && words.is_empty(), "{}\n{}", String::from_utf8_lossy(&words), metrics.body);
    Ok(())
}
