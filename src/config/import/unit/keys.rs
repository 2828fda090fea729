//! The keys of `[Service]` beside its command lines.

use serde_json::json;

use super::super::Around;
use super::super::draft::{Service, path, seconds};
use super::super::input::{Field, Notes, Table};
use super::specifiers::Unit;
use crate::backend::systemd::properties;

/// Keys that have no like here.
pub(super) const REASONS: [(&str, &str); 22] = [
    ("ExecStartPost", "nothing is run after a start; on = { ready = […] } runs a command"),
    ("ExecCondition", "a service is started whatever is there"),
    ("ExecStop", "a service is stopped by signals (stop.signals)"),
    ("ExecStopPost", "nothing is run after a stop; on = { stopped = […] } runs a command"),
    ("KillMode", "a stop always is one of the whole tree"),
    ("SendSIGKILL", "what does not end by the first signal gets SIGKILL"),
    ("SendSIGHUP", "write stop = { signals = [\"TERM:5s\", \"HUP:5s\", \"KILL\"] }"),
    ("PIDFile", "its command must stay in the foreground, and its pid is known"),
    ("GuessMainPID", "its command must stay in the foreground, and its pid is known"),
    ("BusName", "write ready = { … } with a check"),
    ("NotifyAccess", "whoever is of the service may notify"),
    ("RemainAfterExit", "what has ended has ended"),
    ("StandardOutput", super::super::draft::LOGS),
    ("StandardError", super::super::draft::LOGS),
    ("StandardInput", "a service reads nothing"),
    ("SyslogIdentifier", "it is the id of the service"),
    ("TimeoutStartSec", "without a check it is ready as soon as it runs"),
    ("RestartPreventExitStatus", "only the exit code 0 is no failure"),
    ("RestartForceExitStatus", "only the exit code 0 is no failure"),
    ("SuccessExitStatus", "only the exit code 0 is no failure"),
    ("PermissionsStartOnly", "nothing is run with other rights"),
    ("Sockets", "provost opens no sockets"),
];

pub(super) fn read(table: &mut Table, service: &mut Service, unit: &Unit, around: &Around<'_>, notes: &mut Notes) {
    kind(table, service, notes);
    again(table, service, notes);
    stop(table, service, notes);
    if let Some(field) = table.take("WorkingDirectory")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        if text.starts_with('-') {
            notes.say(&field.spot, "the folder must be there");
        }
        let text = unit.replaced(text.trim_start_matches('-'), &field, notes, true);
        let text = if text == "~" && unit.system { "/root".to_owned() } else { text };
        service.set("cwd", path(&text, around.folder, around.beside), &field);
    } else if unit.system {
        service.put("cwd", "/");
    } else {
        service.put("cwd", "~");
    }
    if let Some(field) = table.take("User") {
        match field.text(notes).as_deref() {
            Some("root") if around.system => {}
            _ => service.user(&field, around.system, notes),
        }
    }
    limits(table, service, notes);
    if let Some(field) = table.take("Group") {
        match field.text(notes).filter(|_| around.system) {
            Some(text) => service.property("Group", &text, &field, notes),
            None => notes.say(
                &field.spot,
                "not carried over: your own services run with your groups; import it with --system to keep it",
            ),
        }
    }
    if let Some(field) = table.take("Slice") {
        notes.say(&field.spot, "not carried over: services are in the slice of provost");
    }
    // What our config takes as it is: sandboxes, namespaces, weights.
    for (name, field) in table.rest() {
        let ours = properties::known(&name).is_ok();
        let text = field.text(notes).unwrap_or_default();
        if ours && !text.is_empty() {
            let text = unit.replaced(&text, &field, notes, false);
            let earlier = service.keys.get("systemd").and_then(|table| table.get(&name)).cloned();
            match earlier {
                // A list that is written in several lines.
                Some(serde_json::Value::Array(words)) => {
                    let words: Vec<&str> = words.iter().filter_map(|word| word.as_str()).collect();
                    service.property(&name, &format!("{} {text}", words.join(" ")), &field, notes);
                }
                Some(serde_json::Value::String(word))
                    if crate::config::check_property(&name, &json!([word])).is_ok() =>
                {
                    service.property(&name, &format!("{word} {text}"), &field, notes);
                }
                _ => service.property(&name, &text, &field, notes),
            }
        } else if ours && let Some(systemd) = service.keys.get_mut("systemd") {
            // An empty value takes back those before it.
            systemd.as_object_mut().map(|systemd| systemd.remove(&name));
        } else if text.is_empty() && !ours {
            // Nothing was set by it.
        } else {
            let at = field.spot.at;
            table.add(
                field.spot.source,
                vec![(crate::config::tree::Key { at, name }, crate::config::tree::Node { at, data: field.data })],
            );
        }
    }
}

fn kind(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    let kind = table.take("Type");
    let word = kind.as_ref().and_then(|field| field.text(notes)).unwrap_or_default();
    match (word.as_str(), kind) {
        ("notify" | "notify-reload", Some(field)) => {
            service.set("ready.notify", true, &field);
            if let Some(start) = table.take("TimeoutStartSec")
                && let Some(span) = span(&start, notes)
            {
                service.set("ready.timeout", span, &start);
            }
            if word == "notify-reload" {
                service.set("reload.signal", "HUP", &field);
            }
            table.take("NotifyAccess");
        }
        ("oneshot", Some(field)) => {
            service.set("oneshot", true, &field);
            // Which is so anyway.
            table.take("RemainAfterExit");
        }
        ("forking", Some(field)) => {
            notes.say(&field.spot, "not carried over: its command must stay in the foreground; look for its option (-F, --nodaemon, --foreground)");
        }
        ("dbus", Some(field)) => {
            notes
                .say(&field.spot, "not carried over: it is ready as soon as it runs; write ready = { … } with a check");
        }
        _ => {}
    }
    if let Some(field) = table.take("WatchdogSec")
        && let Some(span) = span(&field, notes)
        && span != "0s"
    {
        service.set("health.heartbeat.timeout", span, &field);
    }
}

fn again(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    let restart = table.take("Restart");
    let word = restart.as_ref().and_then(|field| field.text(notes)).unwrap_or_else(|| "no".to_owned());
    let policy = match word.as_str() {
        "always" => "always",
        "no" | "" => "never",
        "on-failure" => "on-failure",
        other => {
            if let Some(field) = &restart {
                notes.say(&field.spot, format!("not carried over as it is: {other} is on-failure here"));
            }
            "on-failure"
        }
    };
    match &restart {
        Some(field) => service.set("restart.policy", policy, field),
        None => service.put("restart.policy", policy),
    }
    let delay = table.take("RestartSec");
    let longest = table.take("RestartMaxDelaySec");
    if let Some(field) = table.take("RestartSteps") {
        notes.lost(&field.spot, "each delay is twice the one before it");
    }
    if let Some(field) = delay
        && let Some(base) = span(&field, notes)
    {
        service.set("restart.base", base.clone(), &field);
        let max = longest.and_then(|field| span(&field, notes)).unwrap_or(base);
        service.put("restart.max", max);
    } else if policy != "never" {
        // 100 ms, each time.
        service.put("restart.base", "100ms");
        service.put("restart.max", "100ms");
    }
    for key in ["StartLimitBurst"] {
        if let Some(field) = table.take(key)
            && let Some(number) = field.whole(notes)
        {
            service.set("restart.tries", number, &field);
        }
    }
    for key in ["StartLimitInterval", "StartLimitIntervalSec"] {
        if let Some(field) = table.take(key) {
            notes.say(&field.spot, "not carried over: failures in a row are counted, whatever time is between them");
        }
    }
}

fn stop(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    let signal = table.take("KillSignal");
    let both = table.take("TimeoutSec");
    let wait = table.take("TimeoutStopSec").or(both);
    let word = signal.as_ref().and_then(|field| field.text(notes)).unwrap_or_else(|| "TERM".to_owned());
    let time = wait.as_ref().and_then(|field| span(field, notes)).filter(|span| span != "0s");
    if signal.is_some() || time.is_some() {
        service.stop(&word, time.as_deref().unwrap_or("90s"), signal.as_ref().or(wait.as_ref()));
    }
}

fn limits(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    let keys = [
        ("MemoryMax", "limits.memory"),
        ("MemoryLimit", "limits.memory"),
        ("CPUQuota", "limits.cpu"),
        ("TasksMax", "limits.tasks"),
        ("LimitNOFILE", "limits.nofile"),
        ("Nice", "limits.nice"),
        ("OOMScoreAdjust", "limits.oom_score_adjust"),
    ];
    for (key, ours) in keys {
        let Some(field) = table.take(key) else { continue };
        let Some(text) = field.text(notes).filter(|text| !text.is_empty()) else { continue };
        let number = |text: &str| text.rsplit(':').next().and_then(|text| text.trim().parse::<i64>().ok());
        match (ours, text.as_str()) {
            (_, "infinity") => notes.say(&field.spot, "not carried over: no limit is what it has without the key"),
            ("limits.memory" | "limits.cpu", text) => service.set(ours, text, &field),
            (_, text) => match number(text) {
                Some(number) => service.set(ours, number, &field),
                None => notes.say(&field.spot, "not carried over: expected a whole number"),
            },
        }
    }
}

/// A duration as systemd.time(7) has it; `None` for infinity, and what is none.
fn span(field: &Field, notes: &mut Notes) -> Option<String> {
    let text = field.text(notes)?;
    let text = text.trim();
    if text == "infinity" {
        notes.say(&field.spot, "not carried over: nothing is waited for endlessly");
        return None;
    }
    if let Ok(number) = text.parse::<f64>() {
        return Some(seconds(number.max(0.0)));
    }
    match text.parse::<crate::model::service::Span>() {
        Ok(span) => Some(span.to_string().replace(' ', "")),
        Err(error) => {
            notes.say(&field.spot, format!("not carried over: {error}"));
            None
        }
    }
}
