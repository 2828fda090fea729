//! The system's instance serves less, and trusts nobody but root and whom root gave a token.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use serde_json::json;

use super::{Answer, connect};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("http::system", system);
}

fn ask(rig: &Rig, address: SocketAddr, token: &str, method: &str, path: &str) -> Result<Answer> {
    rig.in_network(|| {
        let mut stream = connect(address)?;
        let auth = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let body = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{auth}{body}")?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Answer::of(&answer)
    })
}

fn system(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        let address = SocketAddr::from(([127, 0, 0, 1], 18_390));
        rig.as_root().run(["mkdir", "-p", "/etc/provost"])?.ok()?;
        rig.write("/etc/provost/provost.toml", format!("[http]\nlisten = \"{address}\"\n[service.secret]\ncommand = [\"sh\", \"-c\", \"echo hello; sleep 1000\", \"key\"]\n"), 0o644)?;
        let done = served(rig, address);
        let _ = rig.as_root().run(["provost", "--system", "down", "--all", "--force"]);
        let _ = rig.as_root().run(["provost", "--system", "remove", "secret"]);
        rig.remove("/etc/provost/provost.toml")?;
        let _ = rig.systemctl(["restart", "provost.service"]);
        done
    })
}

fn served(rig: &Rig, address: SocketAddr) -> Result<()> {
    let root = |args: &[&str]| rig.as_root().run(["provost", "--system"].iter().chain(args))?.ok();
    rig.systemctl(["restart", "provost.service"])?;
    eventually("it answers", || ask(rig, address, "", "GET", "/healthz").is_ok_and(|answer| answer.status == 200))?;
    root(&["up", "--detach", "-c", "/etc/provost/provost.toml"])?;
    // Only root makes tokens of the system.
    let eve = rig.as_user("eve").run(["provost", "--system", "token", "create", "--name", "e", "--scope", "manage"])?;
    expect!(eve.code() == 4, "{eve:?}");
    let make = |scope: &str| -> Result<String> {
        Ok(root(&["token", "create", "--name", scope, "--scope", scope])?.trim().to_owned())
    };
    let (read, manage) = (make("read")?, make("manage")?);
    let status =
        |token: &str, method: &str, path: &str| -> Result<u16> { Ok(ask(rig, address, token, method, path)?.status) };
    for (token, method, path, expected) in [
        ("", "GET", "/api/v1/services", 401),
        (&read, "GET", "/api/v1/services", 200),
        (&read, "GET", "/metrics", 200),
        (&read, "GET", "/api/v1/services/secret/logs", 403),
        (&manage, "GET", "/api/v1/services/secret/logs", 200),
        (&read, "POST", "/api/v1/services/secret/stop", 403),
        // Nothing that equals root is there.
        (&manage, "POST", "/api/v1/services", 405),
        (&manage, "DELETE", "/api/v1/services/secret", 405),
        (&manage, "GET", "/api/v1/config", 404),
        (&manage, "PATCH", "/api/v1/config", 404),
        (&manage, "POST", "/api/v1/actions", 404),
        (&manage, "GET", "/api/v1/inspect?target=ollama", 404),
        (&manage, "POST", "/api/v1/cleanup-orphaned", 404),
        (&manage, "GET", "/api/v1/process-registry", 404),
        (&manage, "GET", "/api/pm/list", 404),
        (&manage, "POST", "/api/v1/services/secret/restart?wait=1", 200),
    ] {
        let got = status(token, method, path)?;
        expect!(got == expected, "{method} {path}: {got}");
    }
    let stopped = ask(rig, address, &manage, "POST", "/api/v1/services/secret/stop?wait=1")?.good()?;
    // A command line may hold a key: /proc shows it only while it runs.
    expect!(stopped["service"]["state"] == "stopped" && stopped["service"]["command_line"] == json!([]), "{stopped}");
    let socket = rig.as_root().run(["stat", "-c", "%U %a", "/run/provost/http.sock"])?.ok()?;
    expect!(socket.trim() == "root 600", "{socket}");
    root(&["token", "revoke", "read", "manage"]).map(drop)
}
