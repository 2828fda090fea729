//! `process-compose.yaml`: `processes`.

mod checks;
mod context;

use serde_json::{Value, json};

use self::checks::checks;
use self::context::{Context, environment, extended, variables};
use super::Around;
use super::draft::{Draft, Service, path, seconds};
use super::input::{Field, Notes, Table};
use crate::config::tree::Data;

const REASONS: [(&str, &str); 9] = [
    ("is_daemon", "its command must stay in the foreground"),
    ("is_tty", "a service has no terminal"),
    ("is_elevated", "use --system for services of root"),
    ("is_foreground", "a service has no terminal"),
    ("is_interactive", "a service has no terminal"),
    ("disable_ansi_colors", "output is kept as it is written"),
    ("launch_timeout_seconds", "it is for daemons, and a command must stay in the foreground"),
    ("success_exit_codes", "only the exit code 0 is no failure"),
    ("schedule", "nothing is started by the clock; a systemd timer that runs provost start does that"),
];

const OF_ITSELF: [(&str, &str); 13] = [
    ("version", "it is the version of the other format"),
    ("log_location", super::draft::LOGS),
    ("log_level", "it is of process-compose itself"),
    ("log_length", "it is of process-compose itself"),
    ("log_configuration", super::draft::LOGS),
    ("log_format", super::draft::LOGS),
    ("is_strict", "provost is always strict"),
    ("ordered_shutdown", "services always stop in the reverse of their order"),
    ("disable_env_expansion", "it was heeded"),
    ("is_tui_disabled", "provost has none"),
    ("extends", "import the other file too"),
    ("env_cmds", "write the variables into env"),
    ("mcp_server", "provost is no server of that kind"),
];

pub(super) fn import(root: Field, around: &Around<'_>, notes: &mut Notes) -> Draft {
    let mut draft = Draft::default();
    let Some(mut root) = root.table(notes) else { return draft };
    let expands = !root.take("disable_env_expansion").and_then(|field| field.flag(notes)).unwrap_or(false);
    let vars = root.take("vars").map(|field| variables(field, notes)).unwrap_or_default();
    let mut context = Context { shell: vec!["sh".to_owned(), "-c".to_owned()], expands, vars };
    if let Some(mut table) = root.take("shell").and_then(|field| field.table(notes)) {
        let program = table.take("shell_command").and_then(|field| field.text(notes));
        let argument = table.take("shell_argument").and_then(|field| field.text(notes));
        context.shell = vec![program.unwrap_or_else(|| "bash".to_owned()), argument.unwrap_or_else(|| "-c".to_owned())];
        table.done(notes, &[]);
    }
    if let Some(field) = root.take("environment") {
        let pairs = environment(field, &context, notes);
        let env = pairs.into_iter().map(|(name, value, _)| (name, Value::String(value))).collect();
        draft.defaults.insert("env".to_owned(), Value::Object(env));
    }
    let processes = root.take("processes").map(extended).and_then(|field| field.table(notes));
    let mut waits: Vec<(usize, Vec<Wait>)> = Vec::new();
    for (name, field) in processes.map(|mut table| table.rest()).unwrap_or_default() {
        let spot = field.spot.clone();
        let Some(mut table) = field.table(notes) else { continue };
        let mut service = draft.service(&name, &spot, notes);
        let mut context = context.clone();
        context.vars.extend(table.take("vars").map(|field| variables(field, notes)).unwrap_or_default());
        let after = table.take("depends_on").map(|field| conditions(field, notes)).unwrap_or_default();
        process(&mut table, &mut service, &context, around, notes);
        table.done(notes, &REASONS);
        waits.push((draft.services.len(), after));
        draft.services.push(service);
    }
    ordered(&mut draft, waits, notes);
    root.done(notes, &OF_ITSELF);
    draft
}

/// What is waited for, the condition, and where that stands.
type Wait = (String, String, Field);

/// What a process waits for: a table of conditions, or a list of names.
fn conditions(field: Field, notes: &mut Notes) -> Vec<Wait> {
    if let Data::List(_) = field.data {
        let named = |item: Field, notes: &mut Notes| Some((item.text(notes)?, "process_started".to_owned(), item));
        return field.list().into_iter().filter_map(|item| named(item, notes)).collect();
    }
    let mut all = Vec::new();
    for (name, field) in field.table(notes).map(|mut table| table.rest()).unwrap_or_default() {
        let own = field.clone();
        let condition = match field.data {
            Data::Null => None,
            _ => field.table(notes).and_then(|mut table| {
                let condition = table.take("condition").and_then(|field| field.text(notes));
                table.done(notes, &[]);
                condition
            }),
        };
        all.push((name, condition.unwrap_or_else(|| "process_completed".to_owned()), own));
    }
    all
}

fn ordered(draft: &mut Draft, waits: Vec<(usize, Vec<Wait>)>, notes: &mut Notes) {
    for (at, after) in waits {
        for (name, condition, field) in after {
            let ids = draft.after(&name, &field.spot, notes);
            let checked = |id: &String| {
                draft.services.iter().any(|service| service.id == *id && service.keys.contains_key("ready"))
            };
            match condition.as_str() {
                "process_started" => {
                    if ids.iter().any(checked) {
                        notes
                            .say(&field.spot, format!("it starts when {name} is ready, not as soon as it was started"));
                    }
                }
                "process_healthy" | "process_log_ready" => {
                    if !ids.iter().all(checked) {
                        notes.say(
                            &field.spot,
                            format!("{name} has no check by which it is ready: it counts as soon as it runs"),
                        );
                    }
                }
                _ => once(draft, &ids, &condition, &field, notes),
            }
            if !ids.is_empty() {
                draft.services[at].after(ids, &field);
            }
        }
    }
}

/// These are waited for until they have ended.
fn once(draft: &mut Draft, ids: &[String], condition: &str, field: &Field, notes: &mut Notes) {
    for service in draft.services.iter_mut().filter(|service| ids.contains(&service.id)) {
        let id = service.id.clone();
        let lasts = ["ready", "health"].iter().any(|key| service.keys.contains_key(*key));
        let always = service.keys.get("restart").and_then(|restart| restart.get("policy")) == Some(&json!("always"));
        if lasts || always {
            let why = if always { "is always started again" } else { "has a check of whether it runs well" };
            notes.say(&field.spot, format!("it starts when {id} is ready, and not when that has ended: {id} {why}"));
            continue;
        }
        service.put("oneshot", true);
        if condition != "process_completed_successfully" {
            notes.say(&field.spot, format!("it starts when {id} has ended with 0, and not if that failed"));
        }
    }
}

fn process(table: &mut Table, service: &mut Service, context: &Context, around: &Around<'_>, notes: &mut Notes) {
    let command = table.take("command");
    let entrypoint = table.take("entrypoint");
    match (command, entrypoint) {
        (Some(field), entry) => {
            if let Some(text) = field.text(notes).filter(|text| !text.trim().is_empty()) {
                let words = context.command(&text, &field.spot, notes);
                service.command(words, &field);
            }
            if let Some(entry) = entry {
                notes.say(&entry.spot, "not carried over: it has a command, too");
            }
        }
        (None, Some(field)) => {
            let words: Vec<String> = field.clone().list().iter().filter_map(|word| word.text(notes)).collect();
            let words = words.iter().map(|word| context.text(word, &field.spot, notes)).collect();
            service.command(words, &field);
        }
        (None, None) => {}
    }
    if let Some(field) = table.take("working_dir")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        service.set("cwd", path(&context.text(&text, &field.spot, notes), around.folder, around.beside), &field);
    }
    if let Some(field) = table.take("environment") {
        for (name, value, field) in environment(field, context, notes) {
            service.env(&name, value, &field.spot);
        }
    }
    if let Some(field) = table.take("env_file")
        && let Some(text) = field.text(notes)
    {
        service.set("env_file", path(&context.text(&text, &field.spot, notes), around.folder, around.beside), &field);
    }
    // Which is read without being named.
    let dotenv = table.take("is_dotenv_disabled").and_then(|field| field.flag(notes)) != Some(true);
    if dotenv && !service.keys.contains_key("env_file") && !around.files.glob(&around.folder.join(".env")).is_empty() {
        service.put("env_file", path(".env", around.folder, around.beside));
    }
    if let Some(field) = table.take("description")
        && let Some(text) = field.text(notes).filter(|text| !text.contains('\n') && !text.is_empty())
    {
        service.set("name", text, &field);
    }
    if let Some(field) = table.take("namespace") {
        // Of one, or of several.
        let all: Vec<String> = field.clone().list().iter().filter_map(|name| name.text(notes)).collect();
        service.set("meta.namespace", all.join(", "), &field);
    }
    if let Some(field) = table.take("disabled")
        && field.flag(notes) == Some(true)
    {
        service.set("enabled", false, &field);
    }
    if let Some(field) = table.take("replicas")
        && let Some(number) = field.whole(notes).filter(|n| *n != 1)
    {
        service.set("instances", number, &field);
    }
    if let Some(field) = table.take("log_location")
        && let Some(text) = field.text(notes)
    {
        let text = context.text(&text, &field.spot, notes);
        service.log_path(&text, &field, around, notes);
    }
    if let Some(mut log) = table.take("log_configuration").and_then(|field| field.table(notes)) {
        if let Some(mut rotation) = log.take("rotation").and_then(|field| field.table(notes)) {
            rotated(&mut rotation, service, notes);
            rotation.done(notes, &[]);
        }
        log.done(notes, &[("*", super::draft::LOGS)]);
    }
    if let Some(field) = table.take("availability") {
        availability(field, service, notes);
    } else {
        service.put("restart.policy", "never");
    }
    checks(table, service, context, notes);
    shutdown(table, service, notes);
}

fn rotated(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    for (key, ours) in [("max_size_mb", "max_size"), ("max_age_days", "keep_for"), ("max_backups", "keep")] {
        let Some(field) = table.take(key) else { continue };
        let number = field.whole(notes).filter(|number| *number > 0);
        let value = number.map(|number| match ours {
            "max_size" => json!(format!("{number}M")),
            "keep_for" => json!(format!("{number}days")),
            _ => json!(number),
        });
        service.log(ours, value, &field, notes);
    }
    if let Some(field) = table.take("compress") {
        let flag = field.flag(notes);
        service.log("compress", flag.map(|yes| json!(if yes { "gzip" } else { "none" })), &field, notes);
    }
}

fn availability(field: Field, service: &mut Service, notes: &mut Notes) {
    let Some(mut table) = field.table(notes) else { return };
    let restart = table.take("restart");
    let word = restart.as_ref().and_then(|field| field.text(notes)).unwrap_or_else(|| "no".to_owned());
    let policy = match word.as_str() {
        "always" => "always",
        "on_failure" | "on-failure" => "on-failure",
        "exit_on_failure" => {
            if let Some(field) = &restart {
                notes.say(
                    &field.spot,
                    "not carried over: the failure of one ends none of the others; it is not started again",
                );
            }
            "never"
        }
        _ => "never",
    };
    match &restart {
        Some(field) => service.set("restart.policy", policy, field),
        None => service.put("restart.policy", policy),
    }
    if let Some(field) = table.take("backoff_seconds")
        && let Some(number) = field.number(notes)
    {
        service.set("restart.base", seconds(number), &field);
        service.put("restart.max", seconds(number));
    }
    if policy != "never" {
        let tries = table.take("max_restarts");
        let number = tries.as_ref().and_then(|field| field.whole(notes)).unwrap_or(0);
        service.put("restart.tries", if number == 0 { -1 } else { number });
    }
    for key in ["exit_on_end", "exit_on_skipped"] {
        if let Some(field) = table.take(key)
            && field.flag(notes) == Some(true)
        {
            notes.say(&field.spot, "not carried over: the end of one ends none of the others");
        }
    }
    table.done(notes, &[("max_restarts", "it is never started again")]);
}

fn shutdown(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    let Some(mut shutdown) = table.take("shutdown").and_then(|field| field.table(notes)) else { return };
    let signal = shutdown.take("signal");
    let wait = shutdown.take("timeout_seconds");
    let word = signal.as_ref().and_then(|field| field.text(notes)).unwrap_or_else(|| "TERM".to_owned());
    let time = wait.as_ref().and_then(|field| field.number(notes)).filter(|n| *n > 0.0).unwrap_or(10.0);
    if signal.is_some() || wait.is_some() {
        service.stop(&word, &seconds(time), signal.as_ref().or(wait.as_ref()));
    }
    if let Some(field) = shutdown.take("parent_only")
        && field.flag(notes) == Some(true)
    {
        notes.say(&field.spot, "not carried over: a stop is always one of the whole tree");
    }
    shutdown.done(notes, &[("command", "a service is stopped by signals (stop.signals)")]);
}
