//! `[http]` becomes another while the daemon runs.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};

use super::{Answer, Body, Site, connect};
use crate::rig::{Result, eventually};

pub const BODIES: &[(&str, Body)] = &[("moves", moves)];

/// A request to an address, with a token if there is one.
fn ask(site: &Site<'_>, at: SocketAddr, token: &str, what: &str, body: Option<&Value>) -> Result<Answer> {
    let body = body.map(ToString::to_string).unwrap_or_default();
    let token = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let head = format!("{what} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{token}");
    let length = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    site.raw_at(at, format!("{head}{}\r\n{body}", if body.is_empty() { "" } else { &length }).as_bytes())
}

fn moves(site: &Site<'_>) -> Result<()> {
    let (first, port) = (site.address, site.address.port());
    let at = |add: u16| SocketAddr::new(first.ip(), port + add);
    let (second, taken) = (at(200), at(400));
    site.start("[service.a]\ncommand = [\"sleep\", \"1000\"]\n")?;
    let token = site.token("m", "manage")?;
    let pid =
        || -> Result<Value> { Ok(ask(site, second, &token, "GET /api/v1/services/a", None)?.good()?["pid"].clone()) };
    let well = |at| ask(site, at, "", "GET /healthz", None).is_ok_and(|answer| answer.status == 200);
    let patch = |from, to: Value| ask(site, from, &token, "PATCH /api/v1/config", Some(&json!({ "http": to })));

    // Its own answer arrives; who was there before is sent away.
    let mut idle = site.rig.in_network(|| connect(first))?;
    idle.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {first}\r\n\r\n").as_bytes())?;
    let mut some = [0; 12];
    idle.read_exact(&mut some)?;
    let changed = patch(first, json!({ "listen": second }))?.good()?;
    expect!(changed["config"]["http"]["listen"] == json!(second), "{changed}");
    eventually("it answers there", || well(second))?;
    eventually("and here no more", || site.rig.in_network(|| connect(first)).is_err())?;
    idle.read_to_end(&mut Vec::new())?;
    let before = pid()?;

    // What cannot be listened on changes nothing, and is said.
    let other = site.rig.in_network(|| Ok(TcpListener::bind(taken)?))?;
    let file = format!("{}/.config/provost/provost.toml", site.home);
    let good = site.rig.read(&file)?;
    let refused = patch(second, json!({ "listen": taken }))?;
    expect!(refused.status == 409 && refused.body.contains("nothing was changed"), "{refused:?}");
    expect!(site.rig.read(&file)? == good, "it was written");
    site.configure(&good.replace(&second.to_string(), &taken.to_string()))?;
    let errors = || -> Result<String> {
        let status: Value = serde_json::from_str(&site.ok(&["daemon", "status", "--json"])?)?;
        Ok(status["daemon"]["config_errors"].to_string())
    };
    eventually("it is said", || errors().is_ok_and(|e| e.contains("no HTTP on") && e.contains(&taken.to_string())))?;
    expect!(well(second), "it went on there");
    drop(other);
    site.configure(&good)?;
    eventually("all is well", || errors().is_ok_and(|e| e == "[]"))?;
    expect!(well(second) && pid()? == before, "the service was touched");

    // Imported services are told where it is.
    let script = "echo \"$PB_PORT\" >>said; exec sleep 1000";
    let processes = json!([{ "id": "pb", "command": "sh", "args": ["-c", script], "cwd": "." }]);
    site.rig.write_as(&site.user, &format!("{}/pb_processes.json", site.home), processes.to_string(), 0o600)?;
    let said = || site.rig.read(&format!("{}/said", site.home)).unwrap_or_default();
    site.ok(&["up", "--detach", "-c", "pb_processes.json"])?;
    eventually("the port", || said() == format!("{}\n", second.port()))?;
    patch(second, json!({ "listen": first }))?.good()?;
    eventually("it answers here again", || well(first))?;
    site.ok(&["restart", "pb"])?;
    eventually("the other port", || said() == format!("{}\n{}\n", second.port(), first.port()))?;

    // Switched off, and on again.
    site.ok(&["config", "unset", "http"])?;
    eventually("nothing listens", || site.rig.in_network(|| connect(first)).is_err())?;
    site.ok(&["config", "set", &format!("http.listen={second}")])?;
    eventually("and again", || well(second))?;
    expect!(pid()? == before, "the service was touched");
    Ok(())
}
