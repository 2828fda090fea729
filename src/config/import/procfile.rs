//! `Procfile`: a name and a line for a shell.

use std::path::Path;

use super::draft::Draft;
use super::input::{Notes, Spot};
use super::{Around, words};
use crate::config::errors::Fault;
use crate::config::tree::{Data, Node};

/// The port of the first process, and how far the next one is from it, as foreman has them.
const PORT: (usize, usize) = (5000, 100);

pub(super) fn import(text: &str, around: &Around<'_>, notes: &mut Notes) -> Draft {
    let mut draft = Draft::default();
    let source = notes.source(around.shown, text);
    let env_file = around.files.glob(&around.folder.join(".env")).into_iter().next();
    let mut at = 0;
    let mut number = 0;
    for line in text.split_inclusive('\n') {
        let begin = at;
        at += line.len();
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, command)) = entry(line) else {
            notes.fault(source, Fault::new(begin, "", "not carried over: it is no NAME: COMMAND"));
            continue;
        };
        let spot = Spot { source, at: begin, key: name.to_owned() };
        let mut service = draft.service(name, &spot, notes);
        let field = super::input::Field::new(source, name, Node { at: begin, data: Data::Text(command.to_owned()) });
        service.command(words::shell(command, &["sh", "-c"]), &field);
        // A server in a framework reads PORT without being told.
        if command.contains("PORT") || name == "web" {
            service.put("port", PORT.0 + PORT.1 * number);
        }
        number += 1;
        if env_file.is_some() {
            service.put("env_file", super::draft::path(".env", around.folder, around.beside));
        }
        if name == "release" {
            service.put("enabled", false);
            service.put("restart.policy", "never");
            notes
                .say(&spot, "it runs before a release and then ends: it is not enabled; provost start release runs it");
        }
        draft.services.push(service);
    }
    draft
}

/// NAME: COMMAND.
pub(super) fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, command) = line.split_once(':')?;
    let name = name.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    (!name.is_empty() && name.chars().all(fits) && !command.trim().is_empty()).then(|| (name, command.trim()))
}

/// By its name: Procfile, Procfile.dev, dev.Procfile.
pub(super) fn named(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name == "procfile" || name.starts_with("procfile.") || name.ends_with(".procfile")
}
