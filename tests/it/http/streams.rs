//! Logs and events as they happen.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use super::{Body, Site, connect};
use crate::rig::Result;

pub const BODIES: &[(&str, Body)] = &[("logs", logs), ("events", events)];

/// A stream's lines after its head.
struct Lines(BufReader<TcpStream>);

impl Lines {
    fn open(site: &Site<'_>, token: &str, path: &str, extra: &str) -> Result<Self> {
        let stream = site.rig.in_network(|| connect(site.address))?;
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n{extra}\r\n", site.address);
        (&stream).write_all(head.as_bytes())?;
        let mut lines = Self(BufReader::new(stream));
        let first = lines.line()?;
        expect!(first.starts_with("HTTP/1.1 200"), "{first}");
        Ok(lines)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        expect!(self.0.read_line(&mut line)? > 0, "the stream ended");
        Ok(line.trim_end().to_owned())
    }

    /// The next line that holds this.
    fn find(&mut self, text: &str) -> Result<String> {
        loop {
            let line = self.line().map_err(|error| format!("{text}: {}", crate::rig::words(&error)))?;
            if line.contains(text) {
                return Ok(line);
            }
        }
    }
}

fn logs(site: &Site<'_>) -> Result<()> {
    // It writes a line for each that is given to it, so that nothing is guessed about time.
    let script = "echo one; echo two >&2; echo three; tail -n +1 -f more";
    site.rig.write_as(&site.user, &format!("{}/more", site.home), "", 0o600)?;
    site.start(&format!(
        "[service.a]\ncommand = [\"sh\", \"-c\", \"{script}\"]\ncwd = \"{}\"\nready = {{ log = \"three\" }}\n",
        site.home
    ))?;
    let token = site.token("r", "read")?;
    let text =
        |query: &str| -> Result<String> { Ok(site.get(&token, &format!("/api/v1/services/a/logs{query}"))?.body) };
    expect!(text("")?.lines().count() == 3, "{}", text("")?);
    expect!(text("?lines=1")? == "three\n", "{}", text("?lines=1")?);
    expect!(text("?stderr=1")? == "two\n", "{}", text("?stderr=1")?);
    expect!(text("?grep=t.o&lines=5")? == "two\n" && text("?grep=o&lines=1")? == "two\n", "{}", text("?grep=t.o")?);
    expect!(text("?since=2099-01-01T00:00:00Z")?.is_empty(), "nothing is of that time");
    let mut plain = Lines::open(site, &token, "/api/v1/services/a/logs?follow=true&lines=1", "")?;
    let mut events = Lines::open(
        site,
        &token,
        "/api/v1/services/a/logs?follow=True&lines=0&grep=^4",
        "Accept: text/event-stream\r\n",
    )?;
    plain.find("three")?;
    events.find(": provost")?;
    let append = |line: &str| site.who().run(["sh", "-c", &format!("echo '{line}' >> more")])?.ok().map(drop);
    append("4 four")?;
    append("five")?;
    append("42")?;
    plain.find("4 four")?;
    plain.find("five")?;
    let event = events.find("data: ")?;
    let data: serde_json::Value = serde_json::from_str(event.trim_start_matches("data: "))?;
    expect!(data["text"] == "4 four" && data["id"] == "a" && data["stream"] == "stdout", "{data}");
    let event = events.find("data: ")?;
    expect!(event.contains("42"), "five does not match: {event}");
    Ok(())
}

fn events(site: &Site<'_>) -> Result<()> {
    site.start("[service.a]\ncommand = [\"sleep\", \"1000\"]\n")?;
    let token = site.token("m", "manage")?;
    let mut stream = Lines::open(site, &token, "/api/v1/events", "")?;
    stream.find(": provost")?;
    site.post(&token, "/api/v1/services/a/restart?wait=true")?.good()?;
    let mut ids = Vec::new();
    loop {
        let id = stream.find("id: ")?;
        let data = stream.find("data: ")?;
        let data: serde_json::Value = serde_json::from_str(data.trim_start_matches("data: "))?;
        expect!(data["id"] == "a" && data["seq"].is_u64(), "{data}");
        ids.push(id);
        if data["event"] == "ready" {
            break;
        }
    }
    expect!(ids.len() >= 4, "{ids:?}");
    drop(stream);
    // Whoever comes back is told what it missed, all of it and once.
    let last = format!("Last-Event-ID: {}\r\n", ids[0].trim_start_matches("id: "));
    let mut again = Lines::open(site, &token, "/api/v1/events", &last)?;
    for id in &ids[1..] {
        let found = again.find("id: ")?;
        expect!(found == *id, "{found} {id}");
    }
    site.post(&token, "/api/v1/services/a/stop?wait=true")?.good()?;
    again.find("\"stopped\"")?;
    let mut all = Lines::open(site, &token, "/api/v1/events", "Last-Event-ID: other-7\r\n")?;
    let first = all.find("id: ")?;
    expect!(first.ends_with("-0") || first.ends_with("-1"), "of another run, from the start: {first}");
    Ok(())
}
