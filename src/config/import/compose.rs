//! `process-compose.yaml`: `processes`.

use serde_json::{Value, json};

use super::draft::{Draft, Service, path, seconds};
use super::input::{Field, Notes, Table};
use super::{Around, words};
use crate::config::tree::Data;

const REASONS: [(&str, &str); 10] = [
    ("is_daemon", "its command must stay in the foreground"),
    ("is_tty", "a service has no terminal"),
    ("is_elevated", "use --system for services of root"),
    ("is_foreground", "a service has no terminal"),
    ("is_interactive", "a service has no terminal"),
    ("log_configuration", super::draft::LOGS),
    ("disable_ansi_colors", "output is kept as it is written"),
    ("launch_timeout_seconds", "it is for daemons, and a command must stay in the foreground"),
    ("vars", "templates are not filled in"),
    ("schedule", "nothing is started by the clock; a systemd timer that runs provost start does that"),
];

const OF_ITSELF: [(&str, &str); 14] = [
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
    ("vars", "templates are not filled in"),
    ("extends", "import the other file too"),
    ("env_cmds", "write the variables into env"),
    ("mcp_server", "provost is no server of that kind"),
];

pub(super) fn import(root: Field, around: &Around<'_>, notes: &mut Notes) -> Draft {
    let mut draft = Draft::default();
    let Some(mut root) = root.table(notes) else { return draft };
    let expands = !root.take("disable_env_expansion").and_then(|field| field.flag(notes)).unwrap_or(false);
    let mut context = Context { shell: vec!["sh".to_owned(), "-c".to_owned()], expands };
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
    let processes = root.take("processes").and_then(|field| field.table(notes));
    let mut waits: Vec<(usize, Vec<(String, String, Field)>)> = Vec::new();
    for (name, field) in processes.map(|mut table| table.rest()).unwrap_or_default() {
        let spot = field.spot.clone();
        let Some(mut table) = field.table(notes) else { continue };
        let mut service = draft.service(&name, &spot, notes);
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

struct Context {
    shell: Vec<String>,
    /// `${NAME}` is replaced when the file is read.
    expands: bool,
}

impl Context {
    fn text(&self, text: &str) -> String {
        if self.expands { words::variables(text, true, true) } else { words::literal(text) }
    }

    /// A command for the shell, which sees the same variables.
    fn command(&self, text: &str) -> Vec<String> {
        let text = if self.expands { text.replace("$$", "$") } else { text.to_owned() };
        let shell: Vec<&str> = self.shell.iter().map(String::as_str).collect();
        words::shell(&text, &shell)
    }
}

/// A table, or a list of NAME=VALUE.
fn environment(field: Field, context: &Context, notes: &mut Notes) -> Vec<(String, String, Field)> {
    let mut all = Vec::new();
    if let Data::Table(_) = field.data {
        for (name, field) in field.table(notes).map(|mut table| table.rest()).unwrap_or_default() {
            all.extend(field.text(notes).map(|text| (name, context.text(&text), field)));
        }
        return all;
    }
    for item in field.list() {
        let Some(text) = item.text(notes) else { continue };
        match words::pair(&text) {
            Some((name, value)) => all.push((name.to_owned(), context.text(value), item)),
            None => notes.say(&item.spot, "not carried over: it is no NAME=VALUE"),
        }
    }
    all
}

/// What a process waits for: a table of conditions, or a list of names.
fn conditions(field: Field, notes: &mut Notes) -> Vec<(String, String, Field)> {
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
        all.push((name, condition.unwrap_or_else(|| "process_completed_successfully".to_owned()), own));
    }
    all
}

fn ordered(draft: &mut Draft, waits: Vec<(usize, Vec<(String, String, Field)>)>, notes: &mut Notes) {
    for (at, after) in waits {
        for (name, condition, field) in after {
            let ids = draft.after(&name, &field.spot, notes);
            let checked = |id: &String| {
                draft.services.iter().any(|service| service.id == *id && service.keys.contains_key("ready"))
            };
            match condition.as_str() {
                "process_started" => {
                    if ids.iter().any(checked) {
                        notes.say(&field.spot, format!("it starts when {name} is ready, not as soon as it was started"));
                    }
                }
                "process_healthy" | "process_log_ready" => {
                    if !ids.iter().all(checked) {
                        notes.say(&field.spot, format!("{name} has no check by which it is ready: it counts as soon as it runs"));
                    }
                }
                _ => notes.say(
                    &field.spot,
                    format!("it starts when {name} was started, not when that has ended ({condition}): run that first, by provost run --wait"),
                ),
            }
            if !ids.is_empty() {
                draft.services[at].after(ids, &field);
            }
        }
    }
}

fn process(table: &mut Table, service: &mut Service, context: &Context, around: &Around<'_>, notes: &mut Notes) {
    let command = table.take("command");
    let entrypoint = table.take("entrypoint");
    match (command, entrypoint) {
        (Some(field), entry) => {
            if let Some(text) = field.text(notes).filter(|text| !text.trim().is_empty()) {
                service.command(context.command(&text), &field);
            }
            if let Some(entry) = entry {
                notes.say(&entry.spot, "not carried over: it has a command, too");
            }
        }
        (None, Some(field)) => {
            let words = field
                .clone()
                .list()
                .iter()
                .filter_map(|word| word.text(notes))
                .map(|word| context.text(&word))
                .collect();
            service.command(words, &field);
        }
        (None, None) => {}
    }
    if let Some(field) = table.take("working_dir")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        service.set("cwd", path(&context.text(&text), around.folder, around.beside), &field);
    }
    if let Some(field) = table.take("environment") {
        for (name, value, field) in environment(field, context, notes) {
            service.env(&name, value, &field.spot);
        }
    }
    if let Some(field) = table.take("env_file")
        && let Some(text) = field.text(notes)
    {
        service.set("env_file", path(&context.text(&text), around.folder, around.beside), &field);
    }
    // Which is read without being named.
    if !service.keys.contains_key("env_file") && !around.files.glob(&around.folder.join(".env")).is_empty() {
        service.put("env_file", path(".env", around.folder, around.beside));
    }
    if let Some(field) = table.take("description")
        && let Some(text) = field.text(notes).filter(|text| !text.contains('\n') && !text.is_empty())
    {
        service.set("name", text, &field);
    }
    if let Some(field) = table.take("namespace")
        && let Some(text) = field.text(notes)
    {
        service.set("meta.namespace", text, &field);
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
        service.log_path(&context.text(&text), &field, notes);
    }
    if let Some(field) = table.take("availability") {
        availability(field, service, notes);
    } else {
        service.put("restart.policy", "never");
    }
    checks(table, service, context, notes);
    shutdown(table, service, notes);
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

fn checks(table: &mut Table, service: &mut Service, context: &Context, notes: &mut Notes) {
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
        let host = context.text(&host);
        let port = port.map(|port| format!(":{}", context.text(&port))).unwrap_or_default();
        if scheme.eq_ignore_ascii_case("https") {
            notes.say(&own.spot, "not carried over as it is: checks speak no TLS; whether the port is open is asked");
            let port = if port.is_empty() { ":443" } else { &port };
            return Some(("tcp", json!(format!("{host}{port}")), own));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        return Some(("http", json!(format!("http://{host}{port}{slash}{}", context.text(&path))), own));
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
    Some(("exec", json!(context.command(&text)), field))
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
