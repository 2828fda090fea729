//! Probes of a process-compose.yaml: when a process is ready, and whether it does its work.

use serde_json::{Value, json};

use super::super::draft::{Service, seconds};
use super::super::input::{Field, Notes, Table};
use super::super::words;
use super::context::Context;

pub(super) fn checks(table: &mut Table, service: &mut Service, context: &Context, notes: &mut Notes) {
    let line = table.take("ready_log_line");
    if let Some(mut probe) = table.take("readiness_probe").and_then(|field| field.table(notes)) {
        let spot = probe.spot.clone();
        match check(&mut probe, context, notes) {
            Some((kind, value, field)) => {
                service.set(&format!("ready.{kind}"), value, &field);
                if let Some(period) = probe.take("period_seconds")
                    && let Some(number) = period.number(notes).filter(|n| *n > 0.0)
                {
                    service.set("ready.interval", seconds(number), &period);
                }
            }
            None => notes.say(&spot, "not carried over: it has no check"),
        }
        for key in ["timeout_seconds", "success_threshold", "failure_threshold", "initial_delay_seconds"] {
            if let Some(field) = probe.take(key) {
                notes.say(
                    &field.spot,
                    "not carried over: it is asked every interval until it is ready, for ready.timeout at most",
                );
            }
        }
        probe.done(notes, &[]);
        if let Some(line) = line {
            notes.say(&line.spot, "not carried over: it has a readiness_probe");
        }
    } else if let Some(field) = line
        && let Some(text) = field.text(notes)
    {
        service.set("ready.log", words::literal(&quoted(&text)), &field);
    }
    if let Some(mut probe) = table.take("liveness_probe").and_then(|field| field.table(notes)) {
        let spot = probe.spot.clone();
        match check(&mut probe, context, notes) {
            Some((kind, value, field)) => service.set(&format!("health.{kind}"), value, &field),
            None => notes.say(&spot, "not carried over: it has no check"),
        }
        let spans = [
            ("period_seconds", "health.interval"),
            ("timeout_seconds", "health.timeout"),
            ("initial_delay_seconds", "health.start_period"),
        ];
        for (key, ours) in spans {
            if let Some(field) = probe.take(key)
                && let Some(number) = field.number(notes).filter(|n| *n > 0.0)
            {
                service.set(ours, seconds(number), &field);
            }
        }
        if let Some(field) = probe.take("failure_threshold")
            && let Some(number) = field.whole(notes).filter(|n| *n > 0)
        {
            service.set("health.failures", number, &field);
        }
        if let Some(field) = probe.take("success_threshold")
            && field.whole(notes) != Some(1)
        {
            notes.say(&field.spot, "not carried over: one success is enough");
        }
        probe.done(notes, &[]);
    }
}

/// A regular expression that matches this text.
fn quoted(text: &str) -> String {
    let special = |c: char| "\\.+*?()|[]{}^$#&-~".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// What is asked: the key of our table, its value, and where it came from.
fn check(probe: &mut Table, context: &Context, notes: &mut Notes) -> Option<(&'static str, Value, Field)> {
    if let Some(field) = probe.take("http_get") {
        let own = field.clone();
        let mut table = field.table(notes)?;
        let take =
            |table: &mut Table, key: &str, notes: &mut Notes| table.take(key).and_then(|field| field.text(notes));
        let host =
            take(&mut table, "host", notes).filter(|host| !host.is_empty()).unwrap_or_else(|| "127.0.0.1".to_owned());
        let scheme =
            take(&mut table, "scheme", notes).filter(|text| !text.is_empty()).unwrap_or_else(|| "http".to_owned());
        let path = take(&mut table, "path", notes).unwrap_or_else(|| "/".to_owned());
        let port = table.take("port").and_then(|field| field.text(notes));
        table.done(notes, &[("headers", "a check sends none"), ("status_code", "200 to 399 is good")]);
        let host = context.text(&host, &own.spot, notes);
        let port = port.map(|port| format!(":{}", context.text(&port, &own.spot, notes))).unwrap_or_default();
        if scheme.eq_ignore_ascii_case("https") {
            notes.say(&own.spot, "not carried over as it is: checks speak no TLS; whether the port is open is asked");
            let port = if port.is_empty() { ":443" } else { &port };
            return Some(("tcp", json!(format!("{host}{port}")), own));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        return Some((
            "http",
            json!(format!("http://{host}{port}{slash}{}", context.text(&path, &own.spot, notes))),
            own,
        ));
    }
    let field = probe.take("exec")?;
    let mut table = field.table(notes)?;
    let command = table.take("command");
    if let Some(field) = table.take("working_dir") {
        notes.say(&field.spot, "not carried over: a check runs in the folder of its service");
    }
    table.done(notes, &[]);
    let field = command?;
    let text = field.text(notes)?;
    Some(("exec", json!(context.command(&text, &field.spot, notes)), field))
}
