//! Service units of systemd, with the drop-ins beside them.

mod exec;
mod keys;
mod specifiers;

use serde_json::json;

use self::exec::Line;
use self::specifiers::Unit;
use super::draft::{Draft, Service, path};
use super::ini::{Kind, sections};
use super::input::{Field, Notes, Table};
use super::{Around, words};

/// What orders a unit among units that are not of provost.
const ORDER: &str = "it is about other units: order services by after = [\"ID\"]";

pub(super) fn import(text: &str, around: &Around<'_>, notes: &mut Notes) -> Draft {
    let mut draft = Draft::default();
    let name = around.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let unit = Unit::of(&name, around);
    let source = notes.source(around.shown, text);
    let mut tables: Vec<(String, Table)> = Vec::new();
    let mut add = |source: usize, text: &str, notes: &mut Notes| {
        for section in sections(text, Kind::Unit, source, notes) {
            match tables.iter_mut().find(|(name, _)| *name == section.name) {
                Some((_, table)) => table.add(source, section.entries),
                None => tables.push((section.name.clone(), section.table(source))),
            }
        }
    };
    add(source, text, notes);
    for (path, text) in around.files.glob(&around.folder.join(format!("{name}.d/*.conf"))) {
        match text {
            Ok(text) => {
                let source = notes.source(&path, &text);
                add(source, &text, notes);
            }
            Err(why) => notes.fault(
                source,
                crate::config::errors::Fault::new(0, "", format!("not carried over: {}: {why}", path.display())),
            ),
        }
    }
    let mut take = |name: &str| {
        let at = tables.iter().position(|(section, _)| section == name)?;
        Some(tables.remove(at).1)
    };
    let (head, service, install) = (take("Unit"), take("Service"), take("Install"));
    let Some(mut table) = service else {
        notes.fault(source, crate::config::errors::Fault::new(0, "", "not carried over: it has no [Service]"));
        return draft;
    };
    let id = if unit.instance.is_empty() { unit.stem.clone() } else { unit.name.clone() };
    let spot = table.spot.clone();
    let mut made = draft.service(&id, &spot, notes);
    if let Some(mut head) = head {
        about(&mut head, &mut made, &unit, notes);
        head.done(notes, &[("*", ORDER)]);
    }
    program(&mut table, &mut made, &unit, around, notes);
    keys::read(&mut table, &mut made, &unit, around, notes);
    table.done(notes, &keys::REASONS);
    if let Some(install) = install {
        installed(install, notes);
    }
    for (name, table) in tables {
        let why = if name.starts_with("X-") {
            "it is for others than systemd"
        } else {
            "provost has nothing like this section"
        };
        notes.lost(&table.spot, why);
    }
    draft.services.push(made);
    draft
}

fn about(head: &mut Table, service: &mut Service, unit: &Unit, notes: &mut Notes) {
    if let Some(field) = head.take("Description")
        && let Some(text) = field.text(notes).filter(|text| !text.is_empty())
    {
        let text = unit.replaced(&text, &field, notes, false);
        service.set("name", text, &field);
    }
    let burst = head.take("StartLimitBurst");
    if let Some(field) = burst
        && let Some(number) = field.whole(notes)
    {
        service.set("restart.tries", number, &field);
    }
    for (name, field) in head.rest() {
        let why = match name.as_str() {
            "Documentation" => "it is for people",
            "StartLimitIntervalSec" | "StartLimitInterval" => {
                "failures in a row are counted, whatever time is between them"
            }
            "StartLimitAction" | "FailureAction" | "SuccessAction" => {
                "provost acts on no other unit; on = { failed = […] } runs a command"
            }
            "OnFailure" | "OnSuccess" => "provost starts no other unit; on = { failed = […] } runs a command",
            name if name.starts_with("Condition") || name.starts_with("Assert") => {
                "a service is started whatever is there"
            }
            name if name.starts_with("X-") => "it is for others than systemd",
            _ => ORDER,
        };
        notes.say(&field.spot, format!("not carried over: {why}"));
    }
}

fn installed(mut install: Table, notes: &mut Notes) {
    // Wanted by the usual targets is what enabled means.
    for key in ["WantedBy", "RequiredBy"] {
        for field in install.take_all(key) {
            let text = field.text(notes).unwrap_or_default();
            let usual = ["multi-user.target", "default.target", "graphical.target", "basic.target"];
            for name in text.split_whitespace().filter(|name| !usual.contains(name)) {
                notes.say(
                    &field.spot,
                    format!(
                        "not carried over: it starts with the daemon of provost, not with {}",
                        crate::text::clip(name)
                    ),
                );
            }
        }
    }
    install.done(
        notes,
        &[
            ("Alias", "a service has one id"),
            ("Also", "import the other unit too"),
            ("DefaultInstance", "import it under the name of an instance: NAME@INSTANCE.service"),
        ],
    );
}

/// The values of a list: an empty one forgets those before it.
fn listed(table: &mut Table, key: &str, notes: &mut Notes) -> Vec<(Field, String)> {
    let mut all: Vec<(Field, String)> = Vec::new();
    for field in table.take_all(key) {
        match field.text(notes) {
            Some(text) if text.is_empty() => all.clear(),
            Some(text) => all.push((field, text)),
            None => {}
        }
    }
    all
}

fn program(table: &mut Table, service: &mut Service, unit: &Unit, around: &Around<'_>, notes: &mut Notes) {
    environment(table, service, unit, around, notes);
    let mut lines = |key: &str, notes: &mut Notes| -> Vec<(Field, Line)> {
        let read = |(field, text): (Field, String), notes: &mut Notes| {
            let line = exec::line(&text, unit, service, &field, notes)?;
            Some((field, line))
        };
        listed(table, key, notes).into_iter().filter_map(|found| read(found, notes)).collect()
    };
    let before = lines("ExecStartPre", notes);
    let main = lines("ExecStart", notes);
    let reload = lines("ExecReload", notes);
    let Some((field, last)) = main.last() else {
        notes.say(&table.spot, "not carried over: it has no ExecStart");
        return;
    };
    if let Some((field, _)) = before.first() {
        notes.say(&field.spot, "it is run by a shell at each start, in front of the command and with its rights");
    }
    let mut first: Vec<&Line> = before.iter().map(|(_, line)| line).collect();
    first.extend(main[..main.len() - 1].iter().map(|(_, line)| line));
    if first.is_empty() && !last.ignored {
        service.command(last.words.clone(), field);
    } else {
        service.command(exec::chained(&first, last), field);
    }
    if let Some((field, line)) = reload.first() {
        match exec::signal(&line.words) {
            Some(signal) => service.set("reload.signal", signal, field),
            None if line.words.iter().any(|word| word.contains("MAINPID")) => {
                notes.say(
                    &field.spot,
                    "not carried over: a command is not told the pid; write reload = { signal = \"HUP\" }",
                );
            }
            None => service.set("reload.exec", json!(line.words), field),
        }
    }
    for (field, _) in reload.iter().skip(1) {
        notes.say(&field.spot, "not carried over: there is one way to reload");
    }
}

fn environment(table: &mut Table, service: &mut Service, unit: &Unit, around: &Around<'_>, notes: &mut Notes) {
    for (field, text) in listed(table, "Environment", notes) {
        for word in exec::split(&text) {
            match words::pair(&word) {
                Some((name, value)) => {
                    let value = unit.replaced(value, &field, notes, true);
                    service.env(name, value, &field.spot);
                }
                None => notes.say(&field.spot, "not carried over: a part of it is no NAME=VALUE"),
            }
        }
    }
    let files = listed(table, "EnvironmentFile", notes);
    let mut taken = false;
    for (field, text) in files {
        let (text, optional) = match text.strip_prefix('-') {
            Some(rest) => (rest.to_owned(), true),
            None => (text, false),
        };
        let text = unit.replaced(&text, &field, notes, true);
        if optional && around.files.glob(text.as_ref()).is_empty() {
            notes.say(&field.spot, "not carried over: it may be missing, and is; env_file must be there");
        } else if taken {
            notes.say(&field.spot, "not carried over: there is one env_file; put the lines of both into it");
        } else {
            service.set("env_file", path(&text, around.folder, around.beside), &field);
            taken = true;
        }
    }
}
