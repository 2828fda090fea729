//! pm2's `ecosystem.config.json` and `.yaml`: `apps`.

use serde_json::{Value, json};

use super::draft::{Draft, Service, path};
use super::input::{Field, Notes, Table};
use super::{Around, words};
use crate::config::tree::Data;

const REASONS: [(&str, &str); 22] = [
    ("env_*", "it is for pm2 --env; write the variables of one of them into env"),
    ("error_file", super::draft::LOGS),
    ("err_file", super::draft::LOGS),
    ("error", super::draft::LOGS),
    ("log_file", super::draft::LOGS),
    ("log", super::draft::LOGS),
    ("combine_logs", super::draft::LOGS),
    ("merge_logs", "the output of each instance is kept for itself, and provost logs shows it as one"),
    ("log_date_format", "each line is kept with its time; provost logs shows it"),
    ("log_type", "provost logs -o json shows output as JSON"),
    ("time", "each line is kept with its time"),
    ("cron_restart", "nothing is restarted by the clock; a systemd timer that runs provost restart does that"),
    ("cron", "nothing is restarted by the clock; a systemd timer that runs provost restart does that"),
    ("wait_ready", "pm2's 'ready' goes by Node's own channel; write ready = {…} with a check"),
    ("listen_timeout", "write ready = { …, timeout = \"…\" }"),
    ("increment_var", "write the variable with ${INSTANCE}, which counts from 1"),
    ("instance_var", "the number of an instance is ${INSTANCE}, which counts from 1"),
    ("source_map_support", "write it as an argument of node: --enable-source-maps"),
    ("disable_source_map_support", "no source maps are loaded"),
    ("vizion", "provost reads no version control"),
    ("force", "an id is there once"),
    ("treekill", "a stop always is one of the whole tree"),
];

/// The keys under which apps stand.
const LISTS: [&str; 3] = ["apps", "pm2", "static"];

pub(super) fn import(root: Field, around: &Around<'_>, notes: &mut Notes) -> Draft {
    let mut draft = Draft::default();
    let apps = match &root.data {
        Data::Table(entries) if !entries.iter().any(|(key, _)| LISTS.contains(&key.name.as_str())) => vec![root],
        Data::List(_) => root.list(),
        _ => {
            let Some(mut table) = root.table(notes) else { return draft };
            let apps = table.take_any(&["apps", "pm2"]).map(Field::list).unwrap_or_default();
            let own = "it is pm2's own server of files; name a program that does this";
            table.done(notes, &[("deploy", "provost deploys nothing"), ("static", own)]);
            apps
        }
    };
    for item in apps {
        let spot = item.spot.clone();
        let Some(mut table) = item.table(notes) else { continue };
        let script = table.take_any(&["script", "exec_path"]);
        let path = script.as_ref().and_then(|field| field.text(notes)).unwrap_or_default();
        let base = path.split_whitespace().next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
        let name = table.take("name").and_then(|name| name.text(notes)).unwrap_or_else(|| stem.to_owned());
        let Some(script) = script.filter(|_| !path.is_empty()) else {
            notes.say(&spot, "not carried over: it has no script");
            continue;
        };
        if path == "serve" {
            notes.lost(&script.spot, "it is pm2's own server of files; name a program that does this");
            continue;
        }
        let mut service = draft.service(&name, &spot, notes);
        command(&mut table, &mut service, &script, &path, notes);
        app(&mut table, &mut service, around, notes);
        table.done(notes, &REASONS);
        draft.services.push(service);
    }
    draft
}

/// Words of arguments: a list, or a line.
fn args(field: Option<Field>, notes: &mut Notes) -> Vec<String> {
    let Some(field) = field else { return Vec::new() };
    let words: Vec<String> = match &field.data {
        Data::List(_) => field.clone().list().iter().filter_map(|word| word.text(notes)).collect(),
        _ => {
            let text = field.text(notes).unwrap_or_default();
            shlex::split(&text).unwrap_or_else(|| {
                notes.say(&field.spot, "a quote in it has no end: it is split at spaces");
                text.split_whitespace().map(str::to_owned).collect()
            })
        }
    };
    words.iter().map(|word| words::literal(word)).collect()
}

fn command(table: &mut Table, service: &mut Service, script: &Field, path: &str, notes: &mut Notes) {
    let interpreter = table.take_any(&["interpreter", "exec_interpreter"]);
    let chosen = interpreter.and_then(|field| field.text(notes)).filter(|text| !text.is_empty());
    let mut flags = args(table.take_any(&["node_args", "interpreter_args", "interpreterArgs"]), notes);
    let own = args(table.take("args"), notes);
    let file = path.split_whitespace().next().unwrap_or(path);
    let ending = file.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending);
    let by = match (chosen.as_deref(), ending) {
        (Some("none" | "./"), _) => None,
        (Some(word), _) => Some(word.to_owned()),
        (None, "js" | "mjs" | "cjs") => Some("node".to_owned()),
        (None, "ts" | "tsx") => Some("bun".to_owned()),
        (None, "py") => Some("python3".to_owned()),
        (None, "sh") => Some("bash".to_owned()),
        (None, "php") => Some("php".to_owned()),
        (None, "rb") => Some("ruby".to_owned()),
        (None, "pl") => Some("perl".to_owned()),
        (None, "") if !path.contains('/') || path.contains(char::is_whitespace) => None,
        (None, "") if flags.is_empty() => None,
        (None, _) => Some("node".to_owned()),
    };
    if ending == "ts" && chosen.is_none() {
        notes.say(&script.spot, "pm2 runs TypeScript by ts-node or bun, whichever it has: bun is written here");
    }
    let mut words: Vec<String> = Vec::new();
    match by {
        Some(by) => {
            words.push(words::literal(&by));
            words.append(&mut flags);
            words.push(words::literal(path));
        }
        // A line for a shell: "npm run start".
        None if path.contains(char::is_whitespace) => words = words::shell(path, &["sh", "-c"]),
        None => words.push(words::literal(path)),
    }
    words.extend(own);
    service.command(words, script);
}

fn app(table: &mut Table, service: &mut Service, around: &Around<'_>, notes: &mut Notes) {
    let cwd = table.take("cwd");
    if let Some(field) = cwd
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        service.set("cwd", path(&words::literal_path(&text), around.folder, around.beside), &field);
    }
    if let Some(mut env) = table.take("env").and_then(|env| env.table(notes)) {
        for (name, field) in env.rest() {
            let text = match &field.data {
                Data::List(_) | Data::Table(_) => field.data.to_json().map(|value| value.to_string()),
                _ => field.text(notes),
            };
            if let Some(text) = text {
                service.env(&name, words::literal(&text), &field.spot);
            }
        }
    }
    if let Some(field) = table.take("env_file")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        service.set("env_file", path(&words::literal_path(&text), around.folder, around.beside), &field);
    }
    instances(table, service, around, notes);
    again(table, service, notes);
    watched(table, service, notes);
    if let Some(field) = table.take("max_memory_restart")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty() && text != "0")
    {
        service.set("health.memory.max", text, &field);
    }
    let wait = table.take_any(&["kill_timeout", "kill_timeout_ms"]);
    let millis = wait.as_ref().and_then(|field| field.number(notes)).unwrap_or(1600.0);
    let signal = table.take("stop_signal");
    let word = signal.as_ref().and_then(|field| field.text(notes)).unwrap_or_else(|| "INT".to_owned());
    service.stop(&word, &super::draft::seconds(millis / 1000.0), wait.as_ref());
    for (key, ours) in [("pid_file", "pid_file"), ("pid", "pid_file"), ("namespace", "meta.namespace")] {
        if let Some(field) = table.take(key)
            && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
        {
            service.set(ours, words::literal_path(&text), &field);
        }
    }
    for key in ["user", "uid"] {
        if let Some(field) = table.take(key) {
            service.user(&field, around.system, notes);
        }
    }
    if let Some(field) = table.take("gid") {
        match field.text(notes).filter(|_| around.system) {
            Some(text) => service.property("Group", &text, &field, notes),
            None => notes.say(&field.spot, "not carried over: your own services run with your groups"),
        }
    }
    if let Some(field) = table.take_any(&["out_file", "output"])
        && let Some(text) = field.text(notes)
    {
        match text.as_str() {
            "/dev/null" | "NULL" => notes.lost(&field.spot, super::draft::LOGS),
            _ => service.log_path(&text, &field, around, notes),
        }
    }
}

fn instances(table: &mut Table, service: &mut Service, around: &Around<'_>, notes: &mut Notes) {
    let mode = table.take("exec_mode");
    let word = mode.as_ref().and_then(|field| field.text(notes)).unwrap_or_default();
    let number = table.take("instances");
    let mut several = false;
    if let Some(field) = number {
        let text = field.text(notes).unwrap_or_default();
        match text.trim().parse::<i64>() {
            Ok(1) => {}
            Ok(n) if n > 1 => {
                service.set("instances", n, &field);
                several = true;
            }
            // As many as there are processors, or so many fewer.
            found if found.is_ok() || text.trim() == "max" => {
                let seen = i64::try_from(around.files.processors()).unwrap_or(1);
                let n = seen.saturating_add(found.unwrap_or(0)).max(1);
                notes.say(&field.spot, format!("as many as this host has processors ({seen}) at this import: {n}"));
                if n > 1 {
                    service.set("instances", n, &field);
                    several = true;
                }
            }
            _ => notes.say(&field.spot, "not carried over: it is no number of instances; write instances = N"),
        }
    }
    if let Some(mode) = mode.filter(|_| word.starts_with("cluster")) {
        let message = match several {
            true => {
                "not carried over: instances are programs of their own and share no port; give each one by port = \"3000-3010\" and ${PORT}, and put a proxy before them"
            }
            false => "not carried over: it is one program, which listens itself",
        };
        notes.say(&mode.spot, message);
    }
}

fn again(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    let on = table.take("autorestart");
    if let Some(field) = &on
        && field.flag(notes) == Some(false)
    {
        service.set("restart.policy", "never", field);
    }
    if let Some(field) = table.take("stop_exit_codes") {
        let zero = field.clone().list().iter().all(|code| code.whole(notes) == Some(0));
        match zero {
            true => service.set("restart.policy", "on-failure", &field),
            false => notes.say(
                &field.spot,
                "not carried over: only the exit code 0 is no failure (restart.policy = \"on-failure\")",
            ),
        }
    }
    if let Some(field) = table.take("max_restarts")
        && let Some(number) = field.whole(notes)
    {
        service.set("restart.tries", number.max(0), &field);
    }
    if let Some(field) = table.take("min_uptime")
        && let Some(text) = field.text(notes)
    {
        // A plain number is of milliseconds.
        let span = match text.trim().parse::<f64>() {
            Ok(millis) => super::draft::seconds(millis / 1000.0),
            Err(_) => text,
        };
        service.set("restart.reset_after", span, &field);
    }
    let grows = table.take("exp_backoff_restart_delay");
    let millis = grows.as_ref().and_then(|field| field.number(notes)).filter(|n| *n > 0.0);
    if let (Some(field), Some(millis)) = (grows, millis) {
        service.set("restart.base", super::draft::seconds(millis / 1000.0), &field);
        service.put("restart.max", super::draft::seconds((millis / 1000.0).max(15.0)));
        return;
    }
    if let Some(field) = table.take("restart_delay")
        && let Some(millis) = field.number(notes)
    {
        let delay = super::draft::seconds(millis / 1000.0);
        service.set("restart.base", delay.clone(), &field);
        service.put("restart.max", delay);
    }
}

fn watched(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    let (watch, ignore, delay) = (table.take("watch"), table.take("ignore_watch"), table.take("watch_delay"));
    let paths: Option<Vec<String>> = match watch.as_ref().map(|field| &field.data) {
        Some(Data::Bool(true)) => Some(Vec::new()),
        Some(Data::List(items)) if !items.is_empty() => Some(
            watch.clone().map(Field::list).unwrap_or_default().iter().filter_map(|path| path.text(notes)).collect(),
        ),
        Some(Data::Text(text)) if text == "true" => Some(Vec::new()),
        Some(Data::Text(text)) if !text.is_empty() && text != "false" => Some(vec![text.clone()]),
        _ => None,
    };
    let Some((watch, paths)) = watch.zip(paths) else {
        for field in ignore.into_iter().chain(delay) {
            notes.lost(&field.spot, "nothing is watched");
        }
        return;
    };
    service.set("watch.debounce", "500ms", &watch);
    if !paths.is_empty() {
        service.set("watch.paths", paths, &watch);
    }
    if let Some(field) = ignore {
        let names: Vec<Value> =
            field.clone().list().iter().filter_map(|name| name.text(notes)).map(|name| json!(name)).collect();
        service.set("watch.ignore", names, &field);
    }
    if let Some(field) = delay
        && let Some(millis) = field.number(notes)
    {
        service.set("watch.debounce", super::draft::seconds(millis / 1000.0), &field);
    }
}

/// Whether this is such a file, whatever it is called.
pub(super) fn recognised(tree: &Value) -> bool {
    let app = |app: &Value| app.get("script").is_some() && app.get("id").is_none();
    match tree {
        Value::Object(table) => {
            let apps = ["apps", "pm2"].iter().find_map(|key| table.get(*key));
            apps.is_some_and(|apps| apps.is_array() || apps.is_object()) || app(tree)
        }
        Value::Array(items) => items.iter().any(app),
        _ => false,
    }
}
