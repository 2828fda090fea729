//! The variables in the texts of a service, and what they stand for.

use std::collections::BTreeSet;

use crate::model::service::{Check, Program, Reload, ServiceSpec, variables};

/// What a variable stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// The service's own port.
    Port,
    /// Its number among its instances.
    Instance,
    /// Its socket.
    Socket,
    /// The path of its own configuration.
    ConfigFile,
    /// The port of another service.
    OtherPort(&'a str),
    /// The socket of another service.
    OtherSocket(&'a str),
    /// A variable of the environment.
    Environment,
    /// Nothing.
    Wrong,
}

pub(super) fn name(word: &str) -> Name<'_> {
    match word {
        "PORT" => Name::Port,
        "INSTANCE" => Name::Instance,
        "socket" => Name::Socket,
        "config_file" => Name::ConfigFile,
        _ => {
            let other = word.strip_prefix("service.");
            if let Some(id) = other.and_then(|rest| rest.strip_suffix(".port")) {
                return Name::OtherPort(id);
            }
            if let Some(id) = other.and_then(|rest| rest.strip_suffix(".socket")) {
                return Name::OtherSocket(id);
            }
            let head = |b: u8| b.is_ascii_alphabetic() || b == b'_';
            let fits = word.bytes().next().is_some_and(head) && word.bytes().all(|b| head(b) || b.is_ascii_digit());
            if fits { Name::Environment } else { Name::Wrong }
        }
    }
}

/// Every text of a service that may hold variables, with its key in the config.
pub(super) fn texts(spec: &ServiceSpec) -> Vec<(String, &str)> {
    let mut all: Vec<(String, &str)> = Vec::new();
    match &spec.program {
        Program::Command(command) => push(&mut all, "command", command),
        Program::Script { path, interpreter } => {
            all.push(("script".to_owned(), path));
            all.extend(interpreter.as_deref().map(|text| ("interpreter".to_owned(), text)));
        }
    }
    push(&mut all, "args", &spec.args);
    all.extend(spec.env.iter().map(|(name, text)| (format!("env.{name}"), text.as_str())));
    all.extend(spec.cwd.to_str().map(|text| ("cwd".to_owned(), text)));
    let files = [("env_file", &spec.env_file), ("pid_file", &spec.pid_file), ("log.path", &spec.log.path)];
    all.extend(files.into_iter().filter_map(|(key, file)| Some((key.to_owned(), file.as_ref()?.to_str()?))));
    let own = [("socket", &spec.socket), ("config_file", &spec.config_file)];
    all.extend(own.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.as_deref()?))));
    match spec.ready.as_ref().map(|ready| &ready.check) {
        Some(Check::Http(text)) => all.push(("ready.http".to_owned(), text)),
        Some(Check::Tcp(text)) => all.push(("ready.tcp".to_owned(), text)),
        Some(Check::Unix(text)) => all.push(("ready.unix".to_owned(), text)),
        Some(Check::Log(text)) => all.push(("ready.log".to_owned(), text)),
        Some(Check::Exec(command)) => push(&mut all, "ready.exec", command),
        Some(Check::Notify(_)) | None => {}
    }
    if let Some(health) = &spec.health {
        let beats = health.heartbeat.as_ref().and_then(|beat| beat.file.as_ref());
        let texts = [("http", &health.http), ("tcp", &health.tcp), ("unix", &health.unix)];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text.as_ref()?)));
        let texts = texts.chain(beats.map(|file| ("heartbeat.file", file)));
        all.extend(texts.map(|(key, text)| (format!("health.{key}"), text.as_str())));
        push(&mut all, "health.exec", health.exec.as_deref().unwrap_or_default());
    }
    push(&mut all, "config_check", spec.config_check.as_deref().unwrap_or_default());
    push(&mut all, "reload_on", &spec.reload_on);
    push(&mut all, "watch.paths", spec.watch.as_ref().map_or(&[], |watch| &watch.paths));
    spec.on.iter().for_each(|(event, command)| push(&mut all, &format!("on.{event}"), command));
    if let Some(Reload::Exec(command)) = &spec.reload {
        push(&mut all, "reload.exec", command);
    }
    push(&mut all, "gpus", &spec.gpus);
    all
}

fn push<'a>(all: &mut Vec<(String, &'a str)>, key: &str, words: &'a [String]) {
    all.extend(words.iter().enumerate().map(|(i, word)| (format!("{key}[{i}]"), word.as_str())));
}

/// The ports and sockets of others by which a service runs, as variables. What is looked up only when it is needed is
/// left out.
pub(crate) fn of_others(spec: &ServiceSpec) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, text) in texts(spec) {
        if !["on.", "reload.", "config_check"].iter().any(|later| key.starts_with(later)) {
            let others = |word: &&str| matches!(name(word), Name::OtherPort(_) | Name::OtherSocket(_));
            names.extend(variables(text).unwrap_or_default().into_iter().filter(others).map(str::to_owned));
        }
    }
    names
}

/// The variables of the environment that these services name: who starts them sends these along.
/// A service's own `env` comes before the environment, except in that `env` itself.
pub fn environment_names(services: &[ServiceSpec]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for spec in services {
        for (key, text) in texts(spec) {
            let own = |word: &str| spec.env.contains_key(word) && !key.starts_with("env.");
            let words = variables(text).unwrap_or_default().into_iter();
            names.extend(words.filter(|w| name(w) == Name::Environment && !own(w)).map(str::to_owned));
        }
    }
    names
}
