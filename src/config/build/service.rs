//! One `[service.ID]`, its keys merged.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Group, Notes};
use crate::config::keys::{HEALTH_LOOKS, READY_CHECKS};
use crate::model::ServiceId;
use crate::model::service::{PortSpec, Program, RestartPolicy, ServiceSpec};
use crate::paths::SYSTEM_LOGS;

/// Keys of the registry itself.
const CORE: [&str; 5] = ["pid", "port", "started_at", "command_line", "status"];

/// What only a shell understands.
const SHELL: [&str; 8] = ["|", "||", "&&", "&", ";", ">", ">>", "<"];

pub(super) fn group(id: &ServiceId, mut keys: Map<String, Value>, file: &Path, notes: &mut Notes<'_>) -> Group {
    let program = program(id, &mut keys, notes);
    one_of(id, &mut keys, "ready", &READY_CHECKS, notes);
    one_of(id, &mut keys, "reload", &["signal", "exec", "restart"], notes);
    health(id, &mut keys, notes);
    let rungs = keys.remove("stop").and_then(|mut stop| stop.get_mut("signals").map(Value::take));
    keys.extend(rungs.map(|rungs| ("stop".to_owned(), rungs)));
    let instances = keys.remove("instances").as_ref().and_then(Value::as_u64);
    let after = keys.remove("after").and_then(|after| serde_json::from_value(after).ok()).unwrap_or_default();
    let folder = file.parent().unwrap_or(Path::new("/"));
    let anchored = |path: &Value| json!(anchored(folder, path.as_str().unwrap_or_default()));
    let cwd = keys.get("cwd").map_or_else(|| json!(folder), anchored);
    let env_file = keys.get("env_file").map(anchored);
    if let Some(path) = keys.get_mut("log").and_then(|log| log.get_mut("path")) {
        *path = anchored(path);
    }
    keys.insert("cwd".to_owned(), cwd);
    keys.extend(env_file.map(|path| ("env_file".to_owned(), path)));
    keys.insert("id".to_owned(), json!(id));
    keys.insert("project".to_owned(), json!(file));
    keys.insert("program".to_owned(), json!(program));

    let mut spec = match serde_json::from_value::<ServiceSpec>(Value::Object(keys)) {
        Ok(spec) => spec,
        Err(error) => {
            // The table of keys and the types differ: a mistake of ours, but no reason to panic.
            notes.wrong(id, "", format!("it cannot be read: {error}"));
            ServiceSpec::new(id.clone(), Vec::new(), folder.to_owned())
        }
    };
    if spec.oneshot && spec.restart.policy == RestartPolicy::Always {
        // Nobody means that of what runs once; the defaults may say it.
        spec.restart.policy = RestartPolicy::Never;
    }
    check(&spec, notes);
    Group { id: id.clone(), specs: numbered(spec, instances, notes), after }
}

/// A path that begins at this folder, unless it is absolute or begins with a variable.
fn anchored(folder: &Path, path: &str) -> PathBuf {
    // Components leave out a '.' in the middle.
    if path.starts_with("${") { PathBuf::from(path) } else { folder.join(path).components().collect() }
}

fn program(id: &ServiceId, keys: &mut Map<String, Value>, notes: &mut Notes<'_>) -> Program {
    let (command, script, interpreter) = (keys.remove("command"), keys.remove("script"), keys.remove("interpreter"));
    if command.is_some() && script.is_some() {
        notes.wrong(id, "script", "there is a command too: write one of the two");
    }
    if command.is_some() && interpreter.is_some() {
        notes.wrong(id, "interpreter", "it goes with a script, and this is a command");
    }
    let text = |value: Value| value.as_str().map(str::to_owned);
    match (command, script.and_then(text)) {
        (Some(command), _) => Program::Command(serde_json::from_value(command).unwrap_or_default()),
        (None, Some(path)) => {
            let interpreter = interpreter.and_then(text).filter(|name| name != "auto");
            Program::Script { path, interpreter }
        }
        (None, None) => {
            if !notes.wrote(id, "command") && !notes.wrote(id, "script") {
                notes.wrong(id, "", "it has neither command nor script: write one of the two");
            }
            Program::Command(Vec::new())
        }
    }
}

/// Exactly one key of a group in a table.
fn one_of(id: &ServiceId, keys: &mut Map<String, Value>, table: &str, group: &[&str], notes: &mut Notes<'_>) {
    let Some(Value::Object(inner)) = keys.get(table) else { return };
    let chosen: Vec<&str> = group.iter().copied().filter(|key| inner.contains_key(*key)).collect();
    match chosen.as_slice() {
        [_] => return,
        [] => {
            let own = notes.checked.spots.has(&format!("service.{}.{table}", crate::config::tree::step(id.as_str())));
            let wrong = group.iter().any(|key| notes.wrote(id, &format!("{table}.{key}")));
            // The defaults may hold times for those that have a check.
            if own && !wrong {
                notes.wrong(id, table, format!("it lacks what it is: one of {}", group.join(", ")));
            }
        }
        [_, second, ..] => {
            let message = format!("there is {} too: write exactly one of {}", chosen[0], group.join(", "));
            notes.wrong(id, &format!("{table}.{second}"), message);
        }
    }
    keys.remove(table);
}

/// What is looked at; the defaults may hold times for those that have something.
fn health(id: &ServiceId, keys: &mut Map<String, Value>, notes: &mut Notes<'_>) {
    let Some(Value::Object(inner)) = keys.get("health") else { return };
    for (table, needed) in [("memory", "max"), ("cpu", "max")] {
        let lacks = inner.get(table).is_some_and(|bound| bound.get(needed).is_none());
        if lacks && !notes.wrote(id, &format!("health.{table}.{needed}")) {
            notes.wrong(id, &format!("health.{table}"), format!("it lacks {needed}: how much is too much"));
        }
    }
    if !HEALTH_LOOKS.iter().any(|look| inner.contains_key(*look)) {
        let wrong = HEALTH_LOOKS.iter().any(|look| notes.wrote(id, &format!("health.{look}")));
        let own = notes.checked.spots.has(&format!("service.{}.health", crate::config::tree::step(id.as_str())));
        if own && !wrong {
            notes.wrong(id, "health", format!("it looks at nothing: write one of {}", HEALTH_LOOKS.join(", ")));
        }
        keys.remove("health");
    }
}

/// What the keys are to each other.
fn check(spec: &ServiceSpec, notes: &mut Notes<'_>) {
    let id = &spec.id;
    if spec.restart.base > spec.restart.max {
        let key = if notes.wrote(id, "restart.base") { "restart.base" } else { "restart.max" };
        let (base, max) = (spec.restart.base, spec.restart.max);
        notes.wrong(id, key, format!("the first delay, {base}, is longer than the longest, max = {max}"));
    }
    let leaves = |path: &Path| path.is_relative() && path.components().any(|c| c == std::path::Component::ParentDir);
    if spec.pid_file.as_deref().is_some_and(leaves) {
        notes.wrong(id, "pid_file", "it leaves the folder of pid files: write an absolute path");
    }
    // What begins with a variable is looked at when it is known.
    let path = spec.log.path.as_deref().filter(|path| notes.system && path.is_absolute());
    if let Some(why) = path.and_then(|path| crate::logs::outside(path, Path::new(SYSTEM_LOGS))) {
        notes.wrong(id, "log.path", why);
    }
    if spec.log.keep_size < spec.log.max_size {
        let key = if notes.wrote(id, "log.keep_size") { "log.keep_size" } else { "log.max_size" };
        let (keep, max) = (spec.log.keep_size, spec.log.max_size);
        notes.warn(id, key, format!("keep_size, {keep}, is less than max_size, {max}: no older file can be kept"));
    }
    for key in CORE.iter().filter(|key| spec.meta.contains_key(**key)) {
        notes.warn(id, &format!("meta.{key}"), "the registry shows its own value under this name, not this one");
    }
    for (key, is) in [("ready", spec.ready.is_some()), ("health", spec.health.is_some())] {
        if spec.oneshot && is {
            let message = format!("it is ready when it has ended with 0, and runs no longer then: leave {key} out");
            notes.wrong(id, "oneshot", message);
        }
    }
    let Program::Command(words) = &spec.program else { return };
    if let Some(word) = words.iter().find(|word| SHELL.contains(&word.as_str())) {
        let message = format!("'{word}' is given to the program as it is: there is no shell (sh -c \"…\" starts one)");
        notes.warn(id, "command", message);
    }
}

/// ID-1 … ID-N, or the one service.
fn numbered(spec: ServiceSpec, instances: Option<u64>, notes: &mut Notes<'_>) -> Vec<ServiceSpec> {
    let Some(count) = instances else { return vec![spec] };
    match spec.port {
        Some(PortSpec::Fixed(port)) if count > 1 => {
            let message = format!("{count} instances cannot share port {port}: write a range such as \"50000-60000\"");
            notes.wrong(&spec.id, "port", message);
        }
        Some(PortSpec::Range(first, last)) if count > u64::from(last - first) + 1 => {
            notes.wrong(&spec.id, "port", format!("the range has fewer ports than there are instances, {count}"));
        }
        _ => {}
    }
    let mut all = Vec::new();
    for number in 1..=count.try_into().unwrap_or(u32::MAX) {
        match format!("{}-{number}", spec.id).parse::<ServiceId>() {
            Ok(id) => {
                let instance_of = Some((spec.id.clone(), number));
                all.push(ServiceSpec { id, instance_of, ..spec.clone() });
            }
            Err(error) => {
                notes.wrong(&spec.id, "instances", error.to_string());
                break;
            }
        }
    }
    all
}
