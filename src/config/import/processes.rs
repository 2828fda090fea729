//! `pb_processes.json`: a list of processes, started beside an application server.

use std::path::Path;

use serde_json::json;

use super::draft::{Draft, Service, path};
use super::input::{Field, Notes, Table};
use super::{Around, words};

/// What the server's own address becomes: ours, or what that usually is.
const PORT: &str = "${PROVOST_HTTP_PORT:-8420}";

pub(super) fn import(list: Field, around: &Around<'_>, notes: &mut Notes) -> Draft {
    let mut draft = Draft::default();
    for item in list.list() {
        let spot = item.spot.clone();
        let Some(mut table) = item.table(notes) else { continue };
        let id = table.take("id").and_then(|id| id.text(notes)).unwrap_or_default();
        if id.is_empty() {
            notes.say(&spot, "not carried over: it has no id");
            continue;
        }
        let mut service = draft.service(&id, &spot, notes);
        program(&mut table, &mut service, notes);
        if let Some(field) = table.take("cwd")
            && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
        {
            service.set("cwd", path(&words::literal_path(&text), around.folder, around.beside), &field);
        }
        let folder = around.folder.to_string_lossy();
        service.env("PB_PORT", PORT, &spot);
        service.env("PB_DATA_DIR", words::literal(&folder), &spot);
        environment(&mut table, &mut service, notes);
        restart(&mut table, &mut service, notes);
        watch(&mut table, &mut service, notes);
        table.done(notes, &[]);
        draft.services.push(service);
    }
    draft
}

fn program(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    let full = |field: &Option<Field>, notes: &mut Notes| {
        field.as_ref().and_then(|field| field.text(notes)).filter(|text| !text.is_empty())
    };
    let (script, command) = (table.take("script"), table.take("command"));
    let (path, program) = (full(&script, notes), full(&command, notes));
    let interpreter = table.take("interpreter");
    match (script, path, command, program) {
        (Some(script), Some(path), command, program) => {
            service.set("script", words::literal(&path), &script);
            if let (Some(command), Some(_)) = (command, program) {
                notes.say(&command.spot, "not carried over: it has a script, which is run");
            }
            if let Some(field) = interpreter
                && let Some(text) = field.text(notes).filter(|text| !text.is_empty() && text != "auto")
            {
                service.set("interpreter", words::literal(&text), &field);
            }
        }
        (_, _, Some(command), Some(program)) => {
            // One word, with whatever spaces are in it.
            service.set("command", json!([words::literal(&program)]), &command);
            if let Some(field) = interpreter
                && full(&Some(field.clone()), notes).is_some_and(|text| text != "auto")
            {
                notes.say(&field.spot, "not carried over: it goes with a script, and this is a command");
            }
        }
        _ => {}
    }
    if let Some(field) = table.take("args") {
        let args: Vec<String> = field.clone().list().iter().filter_map(|word| word.text(notes)).collect();
        if !args.is_empty() {
            service.set("args", args.iter().map(|word| words::literal(word)).collect::<Vec<_>>(), &field);
        }
    }
}

fn environment(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    let Some(mut env) = table.take("env").and_then(|env| env.table(notes)) else { return };
    for (name, field) in env.rest() {
        if let Some(text) = field.text(notes) {
            service.env(&name, words::variables(&text, false, false), &field.spot);
        }
    }
}

fn restart(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    if let Some(field) = table.take("maxRetries")
        && let Some(number) = field.whole(notes)
    {
        service.set("restart.tries", number.max(-1), &field);
    }
    if let Some(field) = table.take("backoff")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        service.set("restart.base", text, &field);
    }
}

fn watch(table: &mut Table, service: &mut Service, notes: &mut Notes) {
    let (mode, paths) = (table.take("devMode"), table.take("watchPaths"));
    let on = mode.as_ref().and_then(|mode| mode.flag(notes)).unwrap_or(false);
    let paths: Option<(Field, Vec<String>)> = paths.map(|field| {
        let paths = field.clone().list().iter().filter_map(|path| path.text(notes)).collect();
        (field, paths)
    });
    match (mode.filter(|_| on), paths) {
        (Some(mode), paths) => {
            service.set("watch.debounce", "500ms", &mode);
            if let Some((field, paths)) = paths.filter(|(_, paths)| !paths.is_empty()) {
                service.set("watch.paths", paths, &field);
            }
        }
        (None, Some((field, paths))) if !paths.is_empty() => {
            notes.say(
                &field.spot,
                "not carried over: they are watched in development only; write them as watch = { paths = […] }",
            );
        }
        _ => {}
    }
}

/// Whether this is such a file, whatever it is called.
pub(super) fn recognised(tree: &serde_json::Value) -> bool {
    let Some(items) = tree.as_array() else { return false };
    let is = |item: &serde_json::Value| {
        item.get("id").is_some() && (item.get("script").is_some() || item.get("command").is_some())
    };
    !items.is_empty() && items.iter().any(is)
}

/// The usual name.
pub(super) fn named(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().contains("pb_processes"))
}
