//! Five hundred clients that send half of something, read nothing, or do nothing.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use super::{Body, Site, connect};
use crate::rig::Result;

pub const BODIES: &[(&str, Body)] = &[("crowd", crowd)];

fn crowd(site: &Site<'_>) -> Result<()> {
    site.start("[service.a]\ncommand = [\"sleep\", \"1000\"]\n")?;
    let token = site.token("m", "manage")?;
    let auth = format!("Host: {}\r\nAuthorization: Bearer {token}\r\n", site.address);
    let half_body = format!(
        "POST /api/v1/services HTTP/1.1\r\n{auth}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    let many = format!("GET /api/v1/openapi.json HTTP/1.1\r\n{auth}\r\n").repeat(40);
    let kinds: [&[u8]; 5] = [
        b"",
        b"GET /api/v1/serv",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
        half_body.as_bytes(),
        many.as_bytes(),
    ];
    let mut streams = site.rig.in_network(|| {
        let mut streams = Vec::new();
        for number in 0..500 {
            let mut stream = connect(site.address)?;
            let kind = number % kinds.len();
            if kind == 4 {
                // Whoever reads nothing cannot be sent to for ever either.
                stream.set_nonblocking(true)?;
            }
            let _full = stream.write(kinds[kind]);
            stream.set_nonblocking(false)?;
            streams.push((kind, stream));
        }
        Ok(streams)
    })?;
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let began = Instant::now();
        let answer = site.get(&token, "/api/v1/services/a")?;
        expect!(answer.status == 200, "{answer:?}");
        slowest = slowest.max(began.elapsed());
    }
    // The machine may be busy: what must not be is a wait for any of them.
    expect!(slowest < Duration::from_secs(5), "{slowest:?}");
    // Those that send no request are closed, those that send half a body are told.
    for (kind, stream) in streams.iter_mut().filter(|(kind, _)| *kind < 4) {
        let mut answer = String::new();
        let _reset = stream.read_to_string(&mut answer);
        expect!(*kind != 3 || answer.starts_with("HTTP/1.1 408"), "{answer}");
        expect!(!answer.starts_with("HTTP/1.1 2"), "{kind}: {answer}");
    }
    drop(streams);
    expect!(site.get(&token, "/api/v1/services/a")?.status == 200, "it goes on");
    Ok(())
}
