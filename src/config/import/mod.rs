//! Configs of other supervisors as one of ours, and what could not be carried over.
//!
//! Each format has a file that takes keys from the input ([`input`]) into a [`draft`]; what nobody
//! took is reported, with its place and why. What is made is read by our own reader ([`settled`]):
//! a key that it refuses is left out, and reported, too. Pure, but for [`Files`].

mod agents;
mod circus;
mod compose;
mod draft;
mod expand;
mod files;
mod ini;
mod input;
mod lenient;
mod pm2;
mod processes;
mod procfile;
mod recognise;
mod supervisord;
mod unit;
mod words;
mod write;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

pub(crate) use files::Host;

use super::errors::{Errors, Fault, Problem, located};
use super::tree::Node;
use super::{LoadOptions, Project, read};
use draft::Draft;
use input::{Field, Notes};

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// pb_processes.json: processes beside PocketBase
    Processes,
    /// daemon.yaml: one agent, or several
    Agents,
    /// supervisord.conf, with what it includes
    Supervisord,
    /// Procfile
    Procfile,
    /// pm2's ecosystem.config.json or .yaml
    Pm2,
    /// process-compose.yaml
    ProcessCompose,
    /// circus.ini, with what it includes
    Circus,
    /// A service unit of systemd, with its drop-ins
    Systemd,
}

/// What an import has made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Imported {
    /// What the file was.
    pub(crate) format: Format,
    /// The ids of its services.
    pub(crate) services: Vec<String>,
    /// What is not carried over, or not as it was, each with its place.
    pub(crate) notes: Vec<Problem>,
    /// The config, as TOML.
    pub(crate) text: String,
}

/// What an import may ask of the host: files beside the one that is imported, and what stands for a number.
pub(crate) trait Files {
    /// The files that fit a pattern, sorted, each with its text or why that cannot be had.
    fn glob(&self, pattern: &Path) -> Vec<(PathBuf, Result<String, String>)>;

    /// A variable of whoever imports.
    fn variable(&self, name: &str) -> Option<String>;

    /// How many processors there are.
    fn processors(&self) -> usize;
}

/// An import, and what it depends on.
pub(crate) struct Import<'a> {
    /// The file as it was named.
    pub(crate) shown: &'a Path,
    /// Its path from the root.
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
    /// What it is; `None`: it is recognised.
    pub(crate) from: Option<Format>,
    /// The new file comes into the same folder.
    pub(crate) beside: bool,
    pub(crate) options: &'a LoadOptions,
    pub(crate) files: &'a dyn Files,
}

/// What the reader of a format may look at besides the text.
struct Around<'a> {
    shown: &'a Path,
    path: &'a Path,
    folder: &'a Path,
    beside: bool,
    system: bool,
    home: Option<PathBuf>,
    files: &'a dyn Files,
}

/// Makes a config of ours of another's.
///
/// # Errors
/// It is of no format that is known, or cannot be read as the one it is.
pub(crate) fn import(import: &Import<'_>) -> Result<Imported, Errors> {
    let wrong = |message: &str| Err(Errors::from(Problem::of_file(import.shown, message)));
    let ending = import.path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    if ["js", "cjs", "mjs", "ts"].contains(&ending.as_str()) {
        return wrong(
            "it is a program, which provost does not run; have node write what it exports as JSON, and import that: \
             node -p 'JSON.stringify(require(\"./ecosystem.config.js\"))' > ecosystem.config.json",
        );
    }
    let Some(format) = import.from.or_else(|| recognise::format(import.path, import.text)) else {
        return wrong("it is not known what it is; say it by --from FORMAT");
    };
    let folder = import.path.parent().unwrap_or(Path::new("/"));
    let around = Around {
        shown: import.shown,
        path: import.path,
        folder,
        beside: import.beside,
        system: import.options.system,
        home: import.options.home.clone(),
        files: import.files,
    };
    let mut notes = Notes::default();
    let mut draft = made(format, import.text, &around, &mut notes)?;
    draft.finish(&mut notes);
    let name = import.path.file_name().unwrap_or_default().to_string_lossy();
    let head = format!("Made from {name} by provost config import.");
    let Some(text) = settled(&head, &mut draft, import.options, &mut notes) else {
        let none = Problem::of_file(import.shown, "it describes no service that could be carried over");
        return Err(Errors([none].into_iter().chain(notes.problems()).collect()));
    };
    let services = draft.services.iter().map(|service| service.id.clone()).collect();
    Ok(Imported { format, services, notes: notes.problems(), text })
}

fn made(format: Format, text: &str, around: &Around<'_>, notes: &mut Notes) -> Result<Draft, Errors> {
    Ok(match format {
        Format::Supervisord => supervisord::import(text, around, notes),
        Format::Procfile => procfile::import(text, around, notes),
        Format::Circus => circus::import(text, around, notes),
        Format::Systemd => unit::import(text, around, notes),
        Format::Processes => processes::import(tree(text, around, notes)?, around, notes),
        Format::Agents => agents::import(tree(text, around, notes)?, around, notes),
        Format::Pm2 => pm2::import(tree(text, around, notes)?, around, notes),
        Format::ProcessCompose => compose::import(tree(text, around, notes)?, around, notes),
    })
}

/// The tree of JSON (with comments) or YAML.
fn tree(text: &str, around: &Around<'_>, notes: &mut Notes) -> Result<Field, Errors> {
    let begins = text.trim_start().starts_with(['{', '[', '/']);
    let found = if begins || around.path.extension().is_some_and(|ending| ending == "json") {
        lenient::json(text)
    } else {
        match read::read(read::Format::Yaml, text) {
            (Some(tree), faults) => Ok((tree, faults)),
            (None, faults) => Err(faults),
        }
    };
    let (tree, faults): (Node, Vec<Fault>) = found.map_err(|faults| Errors(located(around.shown, text, faults)))?;
    let source = notes.source(around.shown, text);
    for fault in faults {
        notes.fault(source, fault);
    }
    Ok(Field::new(source, "", tree))
}

/// The text of a config that our own reader takes: what it refuses is left out of the draft, and
/// reported where it came from. `None` where no service is left.
fn settled(head: &str, draft: &mut Draft, options: &LoadOptions, notes: &mut Notes) -> Option<String> {
    let path = Path::new("/provost.toml");
    // Each round leaves out at least one thing.
    while !draft.services.is_empty() {
        let text = write::toml(head, draft);
        let errors = match super::parse(path, path, &text, options) {
            Ok(_) => return Some(text),
            Err(errors) => errors,
        };
        let mut changed = false;
        for problem in &errors.0 {
            changed |= drop_key(draft, &problem.key, &problem.message, notes);
        }
        if !changed {
            // What is refused came by a kind or by the defaults, and not by a key of its own.
            let to_blame = errors.0.first();
            let named = to_blame.map(|problem| steps(&problem.key)).unwrap_or_default();
            let id = named.get(1).cloned().unwrap_or_default();
            let found = draft.services.iter_mut().find(|service| service.id == id);
            let (Some(service), Some(problem)) = (found, to_blame) else { return None };
            notes.lost(&service.spot, &problem.message);
            if service.keys.remove("kind").is_none() {
                service.keys.clear();
            }
        }
        draft.services.retain(|service| service.keys.contains_key("command") || service.keys.contains_key("script"));
        let left: Vec<String> = draft.services.iter().map(|service| service.id.clone()).collect();
        for service in &mut draft.services {
            // Who is left out is waited for by nobody.
            if let Some(after) = service.keys.get_mut("after").and_then(|after| after.as_array_mut()) {
                after.retain(|id| id.as_str().is_some_and(|id| left.iter().any(|left| left == id)));
            }
        }
    }
    None
}

/// Leaves out what a path leads to; whether there was anything.
fn drop_key(draft: &mut Draft, path: &str, message: &str, notes: &mut Notes) -> bool {
    let steps = steps(path);
    let mut steps = steps.iter().map(String::as_str);
    let (keys, id) = match (steps.next(), steps.next()) {
        (Some("service"), Some(id)) => match draft.services.iter_mut().find(|service| service.id == id) {
            Some(service) => (&mut service.keys, Some(id.to_owned())),
            None => return false,
        },
        (Some("defaults"), Some(key)) => return draft.defaults.remove(key).is_some(),
        _ => return false,
    };
    let rest: Vec<&str> = steps.collect();
    let removed = match rest.as_slice() {
        // The service as a whole.
        [] => {
            let there = !keys.is_empty();
            keys.clear();
            there
        }
        [key] => keys.remove(*key).is_some(),
        [table, key, ..] => {
            let inner = keys.get_mut(*table).and_then(|table| table.as_object_mut());
            let found = inner.is_some_and(|inner| inner.remove(*key).is_some());
            let empty = keys.get(*table).and_then(|table| table.as_object()).is_some_and(serde_json::Map::is_empty);
            if !found || empty { keys.remove(*table).is_some() } else { true }
        }
    };
    if removed && let Some(service) = draft.services.iter().find(|service| Some(&service.id) == id.as_ref()) {
        let rest = rest.join(".");
        let near = |(key, _): &(&String, &input::Spot)| {
            rest == **key || rest.starts_with(&format!("{key}.")) || key.starts_with(&format!("{rest}."))
        };
        let spot = service.spots.iter().find(near).map_or(&service.spot, |(_, spot)| spot);
        notes.say(spot, format!("not carried over: {message}"));
    }
    removed
}

/// `service."a b".env.X[0]` as its steps.
fn steps(path: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut quoted = false;
    for c in path.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => all.push(String::new()),
            '[' if !quoted => all.push(String::new()),
            ']' if !quoted => {}
            c => {
                if let Some(last) = all.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    all
}

/// A `pb_processes.json` that is run as it is: `None` where it is no such file.
pub(super) fn as_it_is(
    shown: &Path,
    path: &Path,
    text: &str,
    options: &LoadOptions,
) -> Option<Result<Project, Errors>> {
    // Such a file is a list, and of ours none is.
    let list = text.trim_start().starts_with(['[', '/']) && read::Format::of(path) == Some(read::Format::Json);
    if !list || recognise::format(path, text) != Some(Format::Processes) {
        return None;
    }
    let import = Import { shown, path, text, from: Some(Format::Processes), beside: true, options, files: &Nothing };
    let imported = match self::import(&import) {
        Ok(imported) => imported,
        Err(errors) => return Some(Err(errors)),
    };
    // Places in a text that nobody wrote are no places.
    let unplaced = |problem: Problem| Problem { path: shown.to_owned(), line: None, column: None, ..problem };
    let made = super::parse(Path::new("provost.toml"), path, &imported.text, options);
    Some(match made {
        Ok(mut project) => {
            let own = std::mem::take(&mut project.warnings).into_iter().map(unplaced);
            project.warnings = imported.notes.into_iter().chain(own).collect();
            Ok(project)
        }
        Err(errors) => Err(Errors(errors.0.into_iter().map(unplaced).collect())),
    })
}

/// What a file of another's format is called, for a hint.
pub(super) fn hint(path: &Path, text: &str) -> Option<String> {
    let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("provost."));
    let format = if ours { None } else { recognise::format(path, text) }?;
    let name = format.to_possible_value()?;
    let file = crate::text::shell_quote(&path.to_string_lossy());
    Some(format!(
        "it is of another supervisor ({}): provost config import {file} makes a provost.toml of it",
        name.get_name()
    ))
}

/// No further files.
struct Nothing;

impl Files for Nothing {
    fn glob(&self, _pattern: &Path) -> Vec<(PathBuf, Result<String, String>)> {
        Vec::new()
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn processors(&self) -> usize {
        1
    }
}
