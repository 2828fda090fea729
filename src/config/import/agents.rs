//! `daemon.yaml`: one agent (`agent:`), or several (`agents:` with `agent_defaults:`).

use serde_json::json;

use super::draft::{Draft, Service, knows, path};
use super::input::{Field, Notes, Table};
use super::{Around, words};
use crate::config::tree::{Data, Key, Node};

/// Sections that are no agents.
const REASONS: [(&str, &str); 9] = [
    ("daemon", "it describes the other daemon itself"),
    ("manager", "provost reports to no manager"),
    ("server", "provost reports to no server"),
    ("collectors", "provost collects no figures of the host"),
    ("update", "provost does not update itself"),
    ("tls", "it secures a connection that provost does not make"),
    ("log*", "it is the log of the other daemon itself"),
    ("grpc*", "provost serves no gRPC"),
    ("http*", "it is the address of the other daemon"),
];

pub(super) fn import(root: Field, around: &Around<'_>, notes: &mut Notes) -> Draft {
    let mut draft = Draft::default();
    let Some(mut root) = root.table(notes) else { return draft };
    // Restarts are forgotten after five minutes.
    draft.defaults.insert("restart".to_owned(), json!({"reset_after": "5m"}));
    let defaults = root.take("agent_defaults");
    let own = root.take("agent");
    let several = root.take("agents");
    if let Some(field) = own {
        let spot = field.spot.clone();
        if let Some(mut table) = field.table(notes) {
            let name = table.take_any(&["id", "name"]).and_then(|name| name.text(notes));
            let mut service = draft.service(name.as_deref().unwrap_or("agent"), &spot, notes);
            agent(&mut table, &mut service, true, around, notes);
            table.done(notes, &[]);
            draft.services.push(service);
        }
    }
    for item in several.map(Field::list).unwrap_or_default() {
        let spot = item.spot.clone();
        let Some(mut table) = item.table(notes) else { continue };
        let id = table.take("id").and_then(|id| id.text(notes)).unwrap_or_default();
        let name = table.take("name");
        let label = name.as_ref().and_then(|name| name.text(notes)).unwrap_or_default();
        let mut service = draft.service(if id.is_empty() { &label } else { &id }, &spot, notes);
        if let Some(name) = name.filter(|_| !label.is_empty() && !service.keys.contains_key("name")) {
            service.set("name", label.clone(), &name);
        }
        under(&mut table, defaults.as_ref());
        agent(&mut table, &mut service, false, around, notes);
        table.done(notes, &[]);
        draft.services.push(service);
    }
    if let Some(defaults) = defaults.and_then(|field| field.table(notes)) {
        let mut defaults = defaults;
        // Each agent has what it does not say itself.
        for name in ["health_check", "restart"] {
            defaults.take(name);
        }
        defaults.done(notes, &[]);
    }
    root.done(notes, &REASONS);
    draft
}

/// Puts the defaults of agents under what one says itself.
fn under(table: &mut Table, defaults: Option<&Field>) {
    let Some(Data::Table(defaults)) = defaults.map(|field| &field.data) else { return };
    for (key, node) in defaults.iter().filter(|(key, _)| key.name == "health_check" || key.name == "restart") {
        let mut merged = node.clone();
        if let Some(own) = table.take(&key.name)
            && let (Data::Table(merged), Data::Table(own)) = (&mut merged.data, own.data)
        {
            merged.retain(|(key, _)| !own.iter().any(|(own, _)| own.name == key.name));
            merged.extend(own);
        }
        table.add(table.spot.source, vec![(Key { at: key.at, name: key.name.clone() }, Node { ..merged })]);
    }
}

fn agent(table: &mut Table, service: &mut Service, single: bool, around: &Around<'_>, notes: &mut Notes) {
    let file = |text: &str| words::literal_path(text);
    let kind = table.take("type");
    let kind_word = kind.as_ref().and_then(|kind| kind.text(notes)).unwrap_or_default();
    let config = table.take("config_file");
    let config_text = config.as_ref().and_then(|field| field.text(notes)).filter(|text| !text.is_empty());
    let args = table.take("args");
    let mut given: Vec<String> =
        args.clone().map(Field::list).unwrap_or_default().iter().filter_map(|a| a.text(notes)).collect();
    given.iter_mut().for_each(|word| *word = words::literal(word));
    if let Some(field) = table.take_any(&["binary_path", "binary", "command"])
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        service.set("command", json!([words::literal(&text)]), &field);
    }
    // What a kind brings with it is not written twice.
    let known = knows("kind") && ["filebeat", "telegraf", "node_exporter", "custom"].contains(&kind_word.as_str());
    if given.is_empty() && config_text.is_some() && !known {
        let ours: &[&str] = match kind_word.as_str() {
            "filebeat" => &["-c", "${config_file}", "-e"],
            "telegraf" => &["--config", "${config_file}"],
            "node_exporter" => &["--web.config.file", "${config_file}"],
            "custom" => &[],
            _ if single => &["-config", "${config_file}"],
            _ => &[],
        };
        given = ours.iter().map(|word| (*word).to_owned()).collect();
    }
    if !given.is_empty() {
        service.put("args", given);
    }
    if let (Some(field), Some(text)) = (&config, config_text) {
        service.set("config_file", file(&text), field);
    }
    if let Some(kind) = kind.filter(|_| !kind_word.is_empty()) {
        service.set(if known { "kind" } else { "meta.type" }, kind_word, &kind);
    }
    if let Some(field) = table.take_any(&["work_dir", "working_dir"])
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        service.set("cwd", path(&file(&text), around.folder, around.beside), &field);
    }
    if let Some(field) = table.take("socket_path")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        service.set("socket", file(&text), &field);
    }
    if let Some(field) = table.take("enabled")
        && let Some(false) = field.flag(notes)
    {
        service.set("enabled", false, &field);
    }
    if let Some(mut env) = table.take_any(&["env", "environment"]).and_then(|env| env.table(notes)) {
        for (name, field) in env.rest() {
            if let Some(text) = field.text(notes) {
                service.env(&name, words::literal(&text), &field.spot);
            }
        }
    }
    if let Some(mut health) = table.take("health_check").and_then(|field| field.table(notes)) {
        health_check(&mut health, service, notes);
        health.done(notes, &[]);
    }
    if let Some(mut restart) = table.take("restart").and_then(|field| field.table(notes)) {
        again(&mut restart, service, notes);
        restart.done(notes, &[]);
    }
    if let Some(field) = table.take("log_file")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        service.log_path(&text, &field, around, notes);
    }
}

/// A duration: Go writes `30s` and `5m0s`, a plain number is seconds.
fn span(field: &Field, notes: &mut Notes) -> Option<String> {
    let text = field.text(notes)?;
    let ours = text.parse::<crate::model::service::Span>();
    if let Err(error) = &ours {
        notes.say(&field.spot, format!("not carried over: {error}"));
    }
    ours.ok().map(|span| span.to_string().replace(' ', ""))
}

fn health_check(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    let none = |text: &str| text == "0s";
    let mut looks = false;
    if let Some(field) = table.take("heartbeat_timeout")
        && let Some(text) = span(&field, notes).filter(|text| !none(text))
    {
        service.set("health.heartbeat.timeout", text, &field);
        looks = true;
    }
    let lasts = table.take("threshold_duration");
    let lasts = lasts.and_then(|field| Some((span(&field, notes)?, field)));
    if let Some(field) = table.take("cpu_threshold")
        && let Some(number) = field.number(notes).filter(|n| *n > 0.0)
    {
        service.set("health.cpu.max", format!("{}%", number.round().max(1.0)), &field);
        if let Some((text, field)) = &lasts {
            service.set("health.cpu.for", text.clone(), field);
        }
        looks = true;
    }
    if let Some(field) = table.take("memory_threshold")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty() && text != "0")
    {
        // Bytes, as people read them.
        let size = text.parse::<crate::model::service::Size>().map_or(text, |size| size.to_string());
        service.set("health.memory.max", size, &field);
        if let Some((text, field)) = &lasts {
            service.set("health.memory.for", text.clone(), field);
        }
        looks = true;
    }
    if let Some(field) = table.take("http_endpoint")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        service.set("health.http", words::literal(&text), &field);
        looks = true;
    }
    if let Some(field) = table.take("interval")
        && let Some(text) = span(&field, notes)
    {
        if looks {
            service.set("health.interval", text, &field);
        } else {
            notes.say(
                &field.spot,
                "not carried over: nothing is looked at but whether it runs, and that is known at once",
            );
        }
    }
}

fn again(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    if let Some(field) = table.take("policy")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        service.set("restart.policy", text.replace('_', "-"), &field);
    }
    if let Some(field) = table.take("max_retries")
        && let Some(number) = field.whole(notes)
    {
        service.set("restart.tries", number.max(-1), &field);
    }
    for (key, ours) in [("backoff_base", "restart.base"), ("backoff_max", "restart.max")] {
        if let Some(field) = table.take(key)
            && let Some(text) = span(&field, notes)
        {
            service.set(ours, text, &field);
        }
    }
}
