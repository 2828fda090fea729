//! `circus.ini`: watchers, with their environment.

use std::collections::BTreeMap;

use super::draft::{Draft, Service, path, seconds};
use super::ini::{Kind, Section, sections};
use super::input::{Field, Notes, Table};
use super::{Around, words};

const REASONS: [(&str, &str); 13] = [
    ("stdout_stream*", super::draft::LOGS),
    ("stderr_stream*", super::draft::LOGS),
    ("hooks.*", "it names a function of Python; on = { … } runs a command"),
    ("use_sockets", "provost opens no sockets; a systemd socket unit does, or port = \"…\" gives each instance one"),
    ("warmup_delay", "the next one starts as soon as the one before it runs"),
    ("max_age*", "nothing is restarted by its age"),
    ("singleton", "without instances there is one"),
    ("virtualenv*", "write the path of its python as the command"),
    ("on_demand", "nothing starts by a connection; a systemd socket unit does that"),
    ("close_child_*", "output is always read"),
    ("rlimit_*", "write it under systemd = { LimitCORE = … }"),
    ("graph*", "it is of circus itself"),
    ("use_papa", "it is of circus itself"),
];

pub(super) fn import(text: &str, around: &Around<'_>, notes: &mut Notes) -> Draft {
    let source = notes.source(around.shown, text);
    let mut all: Vec<(usize, Section)> =
        sections(text, Kind::Circus, source, notes).into_iter().map(|section| (source, section)).collect();
    let mut own = Vec::new();
    for (source, section) in &mut all {
        if section.name == "circus" {
            own.push(Table::new(section.spot(*source), std::mem::take(&mut section.entries)));
        }
    }
    all.retain(|(_, section)| section.name != "circus");
    for mut table in own {
        include(&mut table, &mut all, around, notes);
        table.done(notes, &[("*", "it is of circus itself")]);
    }

    let mut draft = Draft::default();
    let mut watchers = Vec::new();
    let mut envs: Vec<(Vec<String>, Table)> = Vec::new();
    for (source, section) in all {
        let spot = section.spot(source);
        let (kind, name) = section.name.split_once(':').unwrap_or((section.name.as_str(), ""));
        match (kind.trim(), name.trim()) {
            ("watcher", name) => watchers.push((name.to_owned(), section.table(source))),
            ("env", names) => {
                let names = if names.is_empty() { "*" } else { names };
                let names = names.split(',').map(|name| name.trim().to_owned()).collect();
                envs.push((names, section.table(source)));
            }
            ("socket", _) => notes.say(&spot, "not carried over: provost opens no sockets; a systemd socket unit does"),
            ("plugin", _) => notes.say(
                &spot,
                "not carried over: there are no plugins; provost events -o json is a stream of what happens",
            ),
            _ => notes.say(&spot, "not carried over: provost has nothing like this section"),
        }
    }
    let mut priorities: BTreeMap<String, (i64, Field)> = BTreeMap::new();
    for (name, table) in watchers {
        watcher(&name, table, &mut envs, &mut draft, &mut priorities, around, notes);
    }
    for (names, table) in envs {
        if !names.iter().any(|name| draft.services.iter().any(|service| fits(name, &service.id))) {
            table.done(notes, &[("*", "no watcher has this name")]);
        }
    }
    // A higher priority starts first.
    let all = priorities.clone();
    for service in &mut draft.services {
        let own = priorities.get(&service.id).map_or(0, |(number, _)| *number);
        let before: Vec<String> =
            all.iter().filter(|(_, (number, _))| *number > own).map(|(id, _)| id.clone()).collect();
        if let Some((_, field)) = all.iter().find(|(id, _)| before.contains(id)).map(|(_, found)| found) {
            service.after(before, field);
        }
    }
    draft
}

fn include(table: &mut Table, all: &mut Vec<(usize, Section)>, around: &Around<'_>, notes: &mut Notes) {
    for (key, ending) in [("include", ""), ("include_dir", "/*.ini")] {
        for field in table.take_all(key) {
            let text = field.text(notes).unwrap_or_default();
            for pattern in text.split_whitespace() {
                let found = around.files.glob(&around.folder.join(format!("{pattern}{ending}")));
                if found.is_empty() {
                    notes.say(&field.spot, format!("not carried over: no file fits '{}'", crate::text::clip(pattern)));
                }
                for (path, text) in found {
                    match text {
                        Ok(text) => {
                            let source = notes.source(&path, &text);
                            let found = sections(&text, Kind::Circus, source, notes);
                            all.extend(found.into_iter().map(|section| (source, section)));
                        }
                        Err(why) => notes.say(&field.spot, format!("not carried over: {}: {why}", path.display())),
                    }
                }
            }
        }
    }
}

/// Whether a name with `*` fits.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
        None => pattern.eq_ignore_ascii_case(name),
    }
}

/// A text with circus's variables: `$(circus.env.NAME)`, `((circus.wid))`, `$WID`.
fn expanded(text: &str, field: &Field, notes: &mut Notes) -> String {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let next = [("$(", ")"), ("((", "))")]
            .into_iter()
            .filter_map(|(open, close)| Some((rest.find(open)?, open, close)))
            .min();
        let Some((at, open, close)) = next else { break };
        let Some((word, after)) = rest[at + open.len()..].split_once(close) else { break };
        out.push_str(&words::literal(&rest[..at]));
        let name = word.trim();
        let lower = name.to_ascii_lowercase();
        let lower = lower.strip_prefix("circus.").unwrap_or(&lower);
        if lower == "wid" {
            out.push_str("${INSTANCE:-1}");
        } else if lower.starts_with("env.") {
            let own = name.len() - (lower.len() - "env.".len());
            // They are told apart in no letter there.
            out.push_str(&format!("${{{}}}", name[own..].to_uppercase()));
        } else {
            let what = crate::text::clip(name);
            notes.say(&field.spot, format!("not replaced: {what} is nothing here; provost opens no sockets"));
            out.push_str(&words::literal(&rest[at..rest.len() - after.len()]));
        }
        rest = after;
    }
    out.push_str(&words::literal(rest));
    out.replace("$WID", "${INSTANCE:-1}")
}

#[allow(clippy::too_many_arguments, reason = "it is one part of a loop")]
fn watcher(
    name: &str,
    mut table: Table,
    envs: &mut [(Vec<String>, Table)],
    draft: &mut Draft,
    priorities: &mut BTreeMap<String, (i64, Field)>,
    around: &Around<'_>,
    notes: &mut Notes,
) {
    let spot = table.spot.clone();
    let Some(field) = table.take("cmd") else {
        notes.say(&spot, "not carried over: it has no cmd");
        return;
    };
    let mut service = draft.service(name, &spot, notes);
    let mut text = field.text(notes).unwrap_or_default();
    if let Some(args) = table.take("args")
        && let Some(args) = args.text(notes)
    {
        text = format!("{text} {args}");
    }
    let text = text.replace('\n', " ");
    let shell = table.take("shell").and_then(|field| field.flag(notes)).unwrap_or(false);
    let by = table.take("shell_args").and_then(|field| field.text(notes));
    if shell {
        let by = by.unwrap_or_else(|| "-c".to_owned());
        service.command(words::shell(&text, &["sh", &by]), &field);
    } else {
        let text = expanded(&text, &field, notes);
        match shlex::split(&text).filter(|words| !words.is_empty()) {
            Some(words) => service.command(words, &field),
            None => {
                notes.say(&field.spot, "not carried over: it has a quote without its end, or no words");
                return;
            }
        }
    }
    if let Some(field) = table.take("working_dir")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        let text = expanded(&text, &field, notes);
        service.set("cwd", path(&text, around.folder, around.beside), &field);
    }
    for (names, env) in envs.iter_mut() {
        if names.iter().any(|pattern| fits(pattern, name)) {
            variables(env, &mut service, notes);
        }
    }
    if let Some(env) = table.take("env") {
        let text = env.text(notes).unwrap_or_default();
        for (name, value) in super::expand::pairs(&text, &env.spot, notes) {
            let value = expanded(&value, &env, notes);
            service.env(&name, value, &env.spot);
        }
    }
    if let Some(field) = table.take("copy_env")
        && field.flag(notes) == Some(true)
    {
        notes.say(&field.spot, "not carried over: name in env what it needs, as NAME = \"${NAME}\"");
    }
    for key in ["copy_path", "stop_children"] {
        if let Some(field) = table.take(key)
            && field.flag(notes) == Some(true)
            && key == "copy_path"
        {
            notes.say(&field.spot, "not carried over: name in env what it needs, as PYTHONPATH = \"${PYTHONPATH}\"");
        }
    }
    settings(&mut table, &mut service, around, notes);
    if let Some(field) = table.take("priority")
        && let Some(number) = field.whole(notes)
    {
        priorities.insert(service.id.clone(), (number, field));
    }
    table.done(notes, &REASONS);
    draft.services.push(service);
}

/// The variables of an `[env:…]`; it may be of several watchers, and is read for each.
fn variables(env: &mut Table, service: &mut Service, notes: &mut Notes) {
    let (spot, mut again) = (env.spot.clone(), Vec::new());
    for (name, field) in env.rest() {
        if let Some(text) = field.text(notes) {
            let text = expanded(&text, &field, notes);
            let text = words::variables(&text, true, false);
            // Keys of INI have no case here, and variables usually are in capitals.
            service.env(&name.to_uppercase(), text, &field.spot);
        }
        let at = field.spot.at;
        again.push((crate::config::tree::Key { at, name }, crate::config::tree::Node { at, data: field.data }));
    }
    env.add(spot.source, again);
}

fn settings(table: &mut Table, service: &mut Service, around: &Around<'_>, notes: &mut Notes) {
    if let Some(field) = table.take("numprocesses")
        && let Some(number) = field.whole(notes).filter(|n| *n != 1)
    {
        match number {
            0 => service.set("enabled", false, &field),
            number => service.set("instances", number, &field),
        }
    }
    for (key, ours) in [("autostart", "enabled"), ("respawn", "restart.policy")] {
        if let Some(field) = table.take(key)
            && field.flag(notes) == Some(false)
        {
            match key {
                "autostart" => service.set(ours, false, &field),
                _ => service.set(ours, "never", &field),
            }
        }
    }
    if let Some(field) = table.take("max_retry")
        && let Some(number) = field.whole(notes)
    {
        service.set("restart.tries", number.max(-1), &field);
    }
    let signal = table.take("stop_signal");
    let wait = table.take("graceful_timeout");
    if signal.is_some() || wait.is_some() {
        let word = signal.as_ref().and_then(|field| field.text(notes)).unwrap_or_else(|| "TERM".to_owned());
        let time = wait.as_ref().and_then(|field| field.number(notes)).unwrap_or(30.0);
        service.stop(&word, &seconds(time), signal.as_ref().or(wait.as_ref()));
    }
    if let Some(field) = table.take("send_hup")
        && field.flag(notes) == Some(true)
    {
        service.set("reload.signal", "HUP", &field);
    }
    if let Some(field) = table.take("uid") {
        service.user(&field, around.system, notes);
    }
    if let Some(field) = table.take("gid") {
        match field.text(notes).filter(|_| around.system) {
            Some(text) => service.property("Group", &text, &field, notes),
            None => notes.say(&field.spot, "not carried over: your own services run with your groups"),
        }
    }
    if let Some(field) = table.take("rlimit_nofile")
        && let Some(number) = field.whole(notes)
    {
        service.set("limits.nofile", number, &field);
    }
    for (key, ours) in [("stdout_stream.max_bytes", "max_size"), ("stdout_stream.backup_count", "keep")] {
        if let Some(field) = table.take(key) {
            let number = field.whole(notes).filter(|number| *number > 0);
            service.log(ours, number.map(|number| serde_json::json!(number)), &field, notes);
        }
    }
    let stream = table.take("stdout_stream.class");
    let file = table.take("stdout_stream.filename");
    match (stream, file) {
        (_, Some(file)) => {
            if let Some(text) = file.text(notes) {
                service.log_path(&words::literal_path(&text), &file, around, notes);
            }
        }
        (Some(stream), None) => notes.lost(&stream.spot, super::draft::LOGS),
        (None, None) => {}
    }
}
