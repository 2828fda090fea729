//! Which format a file is of: by its name, else by what is in it.

use std::path::Path;

use super::{Format, lenient, pm2, processes, procfile};
use crate::config::read::{self, read};
use crate::config::tree::Data;

/// `None` where it is none of them.
pub(super) fn format(path: &Path, text: &str) -> Option<Format> {
    by_name(path).or_else(|| by_content(path, text))
}

fn by_name(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let data = ["json", "yaml", "yml"].contains(&ending.as_str());
    match name.as_str() {
        _ if processes::named(path) && data => Some(Format::Processes),
        _ if procfile::named(path) => Some(Format::Procfile),
        _ if ending == "service" => Some(Format::Systemd),
        _ if name.starts_with("supervisord") && ["conf", "ini"].contains(&ending.as_str()) => Some(Format::Supervisord),
        _ if stem.starts_with("process-compose") && data => Some(Format::ProcessCompose),
        _ if data && (stem.starts_with("ecosystem") || stem.starts_with("pm2") || stem.ends_with(".pm2")) => {
            Some(Format::Pm2)
        }
        _ if name.starts_with("circus") && ["ini", "conf"].contains(&ending.as_str()) => Some(Format::Circus),
        _ => None,
    }
}

fn by_content(path: &Path, text: &str) -> Option<Format> {
    let begins = text.trim_start_matches('\u{feff}').trim_start();
    let tree = match begins.chars().next() {
        Some('{' | '/') => lenient::json(text).ok().map(|(tree, _)| tree),
        Some('[') if !is_section(begins) => lenient::json(text).ok().map(|(tree, _)| tree),
        _ => None,
    };
    let tree = tree.or_else(|| {
        let ini = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with(['#', ';']))
            .is_some_and(is_section);
        if ini { None } else { read(read::Format::Yaml, text).0 }
    });
    if let Some(tree) = tree.filter(|tree| matches!(tree.data, Data::Table(_) | Data::List(_))) {
        return of_tree(&tree.data).or_else(|| lines(path, text));
    }
    let has = |start: &str| text.lines().any(|line| line.trim_start().starts_with(start));
    if has("[program:") || has("[supervisord]") || has("[eventlistener:") || has("[group:") {
        return Some(Format::Supervisord);
    }
    if has("[watcher:") || has("[circus]") {
        return Some(Format::Circus);
    }
    if has("[Service]") {
        return Some(Format::Systemd);
    }
    lines(path, text)
}

/// `[name]` of INI, which JSON could begin with, too.
fn is_section(line: &str) -> bool {
    let line = line.lines().next().unwrap_or_default().trim();
    let name = |c: char| c.is_alphanumeric() || " :_-.*,%()s".contains(c);
    line.strip_prefix('[').and_then(|rest| rest.split_once(']')).is_some_and(|(inner, _)| {
        !inner.is_empty() && inner.chars().all(name) && inner.starts_with(|c: char| c.is_alphabetic())
    })
}

fn of_tree(data: &Data) -> Option<Format> {
    let json = data.to_json()?;
    let has = |key: &str| json.get(key).is_some();
    if processes::recognised(&json) {
        return Some(Format::Processes);
    }
    if has("processes") {
        return Some(Format::ProcessCompose);
    }
    if pm2::recognised(&json) {
        return Some(Format::Pm2);
    }
    let binary = |agent: &serde_json::Value| agent.get("binary_path").is_some();
    let several =
        json.get("agents").and_then(|agents| agents.as_array()).is_some_and(|agents| agents.iter().any(binary));
    (several || json.get("agent").is_some_and(binary)).then_some(Format::Agents)
}

/// A Procfile under another name: every line is NAME: COMMAND.
fn lines(path: &Path, text: &str) -> Option<Format> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    let plain = path.extension().is_none();
    (plain && lines.peek().is_some() && lines.all(|line| procfile::entry(line).is_some())).then_some(Format::Procfile)
}
