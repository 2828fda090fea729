//! Who may ask, and what.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Body, Site};
use crate::rig::{Result, until};

pub const BODIES: &[(&str, Body)] = &[("tokens", tokens), ("rubbish", rubbish)];

const SERVICES: &str = "[service.a]\ncommand = [\"sleep\", \"1000\"]\n";

/// The paths of the document, with the methods of each.
fn endpoints(site: &Site<'_>, token: &str) -> Result<Vec<(String, String)>> {
    let document = site.get(token, "/api/v1/openapi.json")?.good()?;
    let paths = document["paths"].as_object().ok_or("no paths")?;
    let all = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, _)| (method.to_ascii_uppercase(), path.replace("{id}", "a")))
    });
    Ok(all.collect())
}

fn tokens(site: &Site<'_>) -> Result<()> {
    site.start(SERVICES)?;
    let (manage, read) = (site.token("m", "manage")?, site.token("r", "read")?);
    let short = short_token(site)?;
    let all = endpoints(site, &read)?;
    expect!(all.len() >= 22, "{all:?}");
    for (method, path) in &all {
        let answer = site.ask("", method, path, None)?;
        let open = path == "/healthz";
        expect!(answer.status == if open { 200 } else { 401 } || answer.status == 429, "{method} {path}: {answer:?}");
        // Who guesses waits, and is not in the way of who knows.
        if method != "GET" || path.contains("/config") {
            let answer = site.ask(&read, method, path, None)?;
            expect!(answer.status == 403, "{method} {path}: {answer:?}");
            expect!(answer.json()?["status"] == 403 && answer.head.contains("application/problem+json"), "{answer:?}");
        }
    }
    // Guesses: near the right one, and many.
    let (id, secret) = read.rsplit_once('_').ok_or("a token has two parts")?;
    let zeros = format!("{id}_{}", "0".repeat(secret.len()));
    let mut last = 0;
    for guess in ["x", "pvt_", "pvt__", &zeros, &read[..read.len() - 1], &format!("{read}0"), secret] {
        last = site.get(guess, "/api/v1/services")?.status;
        expect!(last == 401 || last == 429, "{guess}: {last}");
    }
    for _ in 0..200 {
        last = site.get(&zeros, "/api/v1/services")?.status;
        if last == 429 {
            break;
        }
        expect!(last == 401, "{last}");
    }
    expect!(last == 429, "who guesses for long is answered no more: {last}");
    expect!(site.get(&manage, "/api/v1/services")?.status == 200, "who knows is");
    until("the short one ends", Duration::from_secs(30), || {
        site.get(&short, "/api/v1/services").is_ok_and(|answer| matches!(answer.status, 401 | 429))
    })?;
    let list = site.ok(&["token", "list"])?;
    let secret = read.rsplit('_').next().unwrap_or_default();
    expect!(list.contains("read") && list.contains("(ended)") && !list.contains(secret), "{list}");
    site.ok(&["token", "revoke", "r"])?;
    let gone = site.get(&read, "/api/v1/services")?.status;
    expect!(gone == 401 || gone == 429, "{gone}");
    expect!(
        site.post(&manage, "/api/v1/services/a/stop?wait=TRUE")?.good()?["service"]["state"] == "stopped",
        "it may"
    );
    let kept =
        site.rig.as_root().run(["sh", "-c", &format!("cat {}/.local/state/provost/*/tokens.json", site.home)])?.ok()?;
    expect!(!kept.contains(manage.rsplit('_').next().unwrap_or_default()), "the token itself is kept: {kept}");
    // The socket knows its owner without one; others cannot reach it.
    let socket = site.rig.as_root().run([
        "sh",
        "-c",
        "ls /run/user/*/provost/http.sock /tmp/provost-*/http.sock 2>/dev/null",
    ])?;
    let owns = |path: &&str| {
        site.rig.as_root().run(["stat", "-c", "%U", path]).is_ok_and(|out| out.stdout.trim() == site.user)
    };
    let socket = socket.stdout.lines().find(owns).ok_or("there is no socket")?.to_owned();
    let talk = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
                s.sendall(b'GET /api/v1/services HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')\nprint(s.recv(65536).decode())";
    if site.rig.exists("/usr/bin/python3") {
        let own = site.who().run(["/usr/bin/python3", "-c", talk, &socket])?.ok()?;
        expect!(own.starts_with("HTTP/1.1 200"), "{own}");
        let eve = site.rig.as_user("eve").run(["/usr/bin/python3", "-c", talk, &socket])?;
        expect!(eve.code() != 0 && !eve.stdout.contains("200"), "{eve:?}");
    }
    Ok(())
}

/// A token that is good, and ends soon. On a machine that is busy, three seconds may be over before it is used.
fn short_token(site: &Site<'_>) -> Result<String> {
    for (name, life) in [("s", 3), ("s2", 6), ("s3", 12)] {
        let since = Instant::now();
        let expires = format!("{life}s");
        let words = ["token", "create", "--name", name, "--scope", "read", "--expires", &expires];
        let token = site.ok(&words)?.trim().to_owned();
        let status = site.get(&token, "/api/v1/services")?.status;
        if status == 200 {
            return Ok(token);
        }
        expect!(since.elapsed() >= Duration::from_secs(life), "a new token is good: {status}");
    }
    Err("no token was used in its time".into())
}

fn rubbish(site: &Site<'_>) -> Result<()> {
    site.start(SERVICES)?;
    let token = site.token("m", "manage")?;
    let auth = format!("Authorization: Bearer {token}\r\n");
    let host = format!("Host: {}\r\n", site.address);
    let get = |extra: &str| {
        site.raw(format!("GET /api/v1/services HTTP/1.1\r\nConnection: close\r\n{auth}{extra}\r\n").as_bytes())
    };
    expect!(get(&host)?.status == 200, "it answers");
    // A name that somebody points here, a page of somebody, or both.
    for (extra, status) in [
        ("Host: evil.example\r\n".to_owned(), 421),
        (format!("Host: 127.0.0.1.evil.example:{}\r\n", site.address.port()), 421),
        (format!("{host}Origin: http://evil.example\r\n"), 403),
        (format!("{host}Origin: null\r\n"), 403),
        (format!("{host}Origin: http://{}\r\n", site.address), 403),
        (format!("{host}Authorization: Bearer x\r\n"), 401),
    ] {
        let answer = get(&extra)?;
        expect!(answer.status == status && !answer.head.contains("access-control"), "{extra}: {answer:?}");
    }
    expect!(get("")?.status >= 400, "no host");
    let post = |content: &str, body: &[u8]| {
        let head = format!(
            "POST /api/v1/services HTTP/1.1\r\n{host}{auth}Connection: close\r\nContent-Type: {content}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        site.raw(&[head.as_bytes(), body].concat())
    };
    let long = format!("{{\"id\": \"{}\"}}", "x".repeat(2 << 20));
    let deep = format!("{{\"id\": {}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    for (content, body, status) in [
        ("text/plain", b"{}".as_slice(), 415),
        ("application/x-www-form-urlencoded", b"id=x", 415),
        ("application/json", b"", 400),
        ("application/json", b"{", 400),
        ("application/json", b"\xff\xfe\x00", 400),
        ("application/json", b"[]", 422),
        ("application/json", b"{}", 422),
        ("application/json", b"{\"id\": 7}", 422),
        ("application/json", b"{\"id\": \"x\", \"cwd\": \"/\", \"comand\": []}", 409),
        ("application/json", b"{\"id\": \"../x\", \"cwd\": \"/\", \"command\": [\"true\"]}", 409),
        ("application/json", deep.as_bytes(), 400),
        ("application/json", long.as_bytes(), 413),
    ] {
        let answer = post(content, body)?;
        let shown = &body[..body.len().min(60)];
        expect!(answer.status == status, "{content} {}: {answer:?}", String::from_utf8_lossy(shown));
        let problem = answer.json()?;
        expect!(problem["status"] == status && problem["detail"].is_string(), "{problem}");
    }
    for (method, path, status) in [
        ("GET", "/api/v1/services/..%2f..%2fetc", 404),
        ("GET", "/api/v1/services/a%00", 404),
        ("GET", "/api/v1/services/*", 404),
        ("GET", "/api/v1/services?x=1", 400),
        ("GET", "/api/v1/probe", 400),
        ("GET", "/api/v1/probe?target=pid:x", 400),
        ("GET", "/api/v1/services/a/logs?grep=%28", 400),
        ("POST", "/api/v1/services/a/kill?signal=0", 400),
        ("POST", "/api/v1/cleanup-orphaned?force=perhaps", 400),
        ("BREW", "/api/v1/services", 405),
        ("DELETE", "/healthz", 405),
        ("GET", "/../../etc/passwd", 404),
    ] {
        let answer = site.ask(&token, method, path, None)?;
        expect!(answer.status == status, "{method} {path}: {answer:?}");
        expect!(answer.json()?["title"].is_string(), "{answer:?}");
    }
    for bytes in [
        b"\x16\x03\x01\x02\x00rubbish\r\n\r\n".as_slice(),
        b"GET / HTTP/9\r\n\r\n",
        b"\r\n\r\n\r\n",
        &[0; 4096],
        &[b'A'; 1 << 20],
    ] {
        // It is refused or dropped, and nobody else notices.
        if let Ok(answer) = site.raw(bytes) {
            expect!(answer.status >= 400, "{answer:?}");
        }
    }
    let services = site.get(&token, "/api/v1/services")?.good()?;
    expect!(services["services"].as_array().map(Vec::len) == Some(1), "{services}");
    // Web pages that the config names may.
    site.configure(&format!(
        "[http]\nlisten = \"{}\"\norigins = [\"https://panel.example\"]\nhosts = [\"gpu.example\"]\n{SERVICES}",
        site.address
    ))?;
    site.ok(&["daemon", "restart"])?;
    let allowed = "Host: gpu.example\r\nOrigin: https://panel.example\r\n";
    until("the new config holds", Duration::from_secs(20), || {
        get(allowed).is_ok_and(|answer| {
            answer.status == 200 && answer.head.contains("access-control-allow-origin: https://panel.example")
        })
    })?;
    expect!(get(&format!("{host}Origin: https://other.example\r\n"))?.status == 403, "others may not");
    let body = json!({"id": "b", "cwd": "/", "command": ["sleep", "1000"]});
    let made = site.ask(&token, "POST", "/api/v1/services", Some(&body))?;
    expect!(made.status == 201 && made.head.contains("location: /api/v1/services/b"), "{made:?}");
    Ok(())
}
