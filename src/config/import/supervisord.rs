//! `supervisord.conf` with its includes: programs and groups.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Around;
use super::draft::{Draft, Service, path, seconds};
use super::expand::{self, Names};
use super::ini::{Kind, Section, sections};
use super::input::{Field, Notes, Spot, Table};
use crate::config::tree::Data;
use crate::gather::Arrange as _;

/// Keys of a program that have no like here.
const REASONS: [(&str, &str); 12] = [
    ("stdout_logfile*", super::draft::LOGS),
    ("stderr_logfile*", super::draft::LOGS),
    ("stdout_syslog", super::draft::LOGS),
    ("stderr_syslog", super::draft::LOGS),
    ("stdout_capture*", "there are no event listeners"),
    ("stderr_capture*", "there are no event listeners"),
    ("stdout_events*", "there are no event listeners"),
    ("stderr_events*", "there are no event listeners"),
    ("serverurl", "a service asks provost by its own socket"),
    ("process_name", "instances are called ID-1 to ID-N"),
    ("redirect_stderr", "both streams are kept, each line with where it was written"),
    ("numprocs_start", "instances are counted from 1"),
];

/// Keys of `[supervisord]`.
const DAEMON: &str = "it is of supervisord itself";

/// Unrolled to more than this is no config that somebody reads.
const MOST: i64 = 200;

pub(super) fn import(text: &str, around: &Around<'_>, notes: &mut Notes) -> Draft {
    let mut all: Vec<(usize, Section)> = Vec::new();
    let source = notes.source(around.shown, text);
    all.extend(sections(text, Kind::Supervisord, source, notes).into_iter().map(|section| (source, section)));
    include(&mut all, around, notes);

    let mut draft = Draft::default();
    let mut base = Base::default();
    let mut groups: Vec<(String, Field)> = Vec::new();
    let mut programs: Vec<Program> = Vec::new();
    // What is said of all comes first, wherever it stands.
    all.arrange_by_key(|(_, section)| section.name != "supervisord");
    for (source, section) in all {
        let spot = section.spot(source);
        let (kind, name) = section.name.split_once(':').unwrap_or((section.name.as_str(), ""));
        match (kind.trim(), name.trim().to_owned()) {
            ("supervisord", _) => daemon(section.table(source), &mut base, &mut draft, around, notes),
            ("program", name) => program(&name, section.table(source), &base, &mut draft, &mut programs, around, notes),
            ("group", name) => {
                let mut table = section.table(source);
                let members = table.take("programs").and_then(|field| Some((field.text(notes)?, field)));
                if let Some(field) = table.take("priority") {
                    notes.say(&field.spot, "not carried over: groups have no order; the programs in it have");
                }
                table.done(notes, &[]);
                if let Some((text, field)) = members {
                    for member in text.split(',').map(str::trim).filter(|member| !member.is_empty()) {
                        groups.push((name.clone(), Field { data: Data::Text(member.to_owned()), ..field.clone() }));
                    }
                }
            }
            ("include", _) => section.table(source).done(notes, &[("files", "no file is there that fits it")]),
            ("eventlistener", _) => notes.say(&spot, "not carried over: there are no event listeners; provost events -o json is a stream of what happens, and on = {…} runs a command"),
            ("fcgi-program", _) => notes.say(&spot, "not carried over: provost opens no sockets for FastCGI; a systemd socket unit does"),
            ("unix_http_server" | "inet_http_server" | "supervisorctl" | "rpcinterface" | "ctlplugin", _) => {
                notes.say(&spot, "not carried over: it is how supervisord is controlled; provost has its own ways");
            }
            _ => notes.say(&spot, "not carried over: provost has nothing like this section"),
        }
    }
    grouped(&groups, &mut programs, notes);
    ordered(&mut programs);
    draft.services.extend(programs.into_iter().map(|program| program.service));
    draft
}

/// Adds the sections of included files, which include no more.
fn include(all: &mut Vec<(usize, Section)>, around: &Around<'_>, notes: &mut Notes) {
    let names = Names::new(around);
    let mut patterns: Vec<(Spot, String)> = Vec::new();
    for (source, section) in all.iter_mut().filter(|(_, section)| section.name == "include") {
        let mut table = Table::new(section.spot(*source), std::mem::take(&mut section.entries));
        for field in table.take_all("files") {
            let text = field.text(notes).unwrap_or_default();
            let text = expand::value(&text, &names, &field.spot, notes, false);
            patterns.extend(text.split_whitespace().map(|pattern| (field.spot.clone(), pattern.to_owned())));
        }
        table.done(notes, &[]);
    }
    all.retain(|(_, section)| section.name != "include");
    let mut seen = std::collections::BTreeSet::new();
    for (spot, pattern) in patterns {
        let found = around.files.glob(&around.folder.join(&pattern));
        if found.is_empty() {
            notes.say(&spot, format!("not carried over: no file fits '{}'", crate::text::clip(&pattern)));
        }
        for (path, text) in found {
            if !seen.insert(path.clone()) {
                continue;
            }
            match text {
                Ok(text) => {
                    let source = notes.source(&path, &text);
                    let found = sections(&text, Kind::Supervisord, source, notes);
                    all.extend(found.into_iter().map(|section| (source, section)));
                }
                Err(why) => notes.say(&spot, format!("not carried over: {}: {why}", path.display())),
            }
        }
    }
}

/// What `[supervisord]` says for all programs.
#[derive(Default)]
struct Base {
    cwd: Option<String>,
    umask: Option<(String, Field)>,
}

fn daemon(mut table: Table, base: &mut Base, draft: &mut Draft, around: &Around<'_>, notes: &mut Notes) {
    let names = Names::new(around);
    if let Some(field) = table.take("environment")
        && let Some(text) = field.text(notes)
    {
        let mut env = serde_json::Map::new();
        for (name, value) in expand::pairs(&text, &field.spot, notes) {
            env.insert(name, Value::String(expand::value(&value, &names, &field.spot, notes, true)));
        }
        draft.defaults.insert("env".to_owned(), Value::Object(env));
    }
    if let Some(field) = table.take("directory")
        && let Some(text) = field.text(notes)
    {
        base.cwd = Some(expand::value(&text, &names, &field.spot, notes, true));
    }
    base.umask = table.take("umask").and_then(|field| Some((field.text(notes)?, field)));
    table.done(
        notes,
        &[
            ("user", "it is of supervisord itself; run provost as that user"),
            ("minfds", "write limits = { nofile = … } under [defaults]"),
            ("*", DAEMON),
        ],
    );
}

/// A program, and what is needed of it once all are known.
struct Program {
    name: String,
    priority: i64,
    autostart: bool,
    from: Option<Field>,
    service: Service,
}

fn program(
    name: &str,
    mut table: Table,
    base: &Base,
    draft: &mut Draft,
    all: &mut Vec<Program>,
    around: &Around<'_>,
    notes: &mut Notes,
) {
    let spot = table.spot.clone();
    let Some(command) = table.take("command") else {
        notes.say(&spot, "not carried over: it has no command");
        return;
    };
    let text = command.text(notes).unwrap_or_default();
    let count_field = table.take("numprocs");
    let count = count_field.as_ref().and_then(|field| counted(field, around, notes)).unwrap_or(1);
    let start = table.take("numprocs_start");
    let first = start.as_ref().and_then(|field| counted(field, around, notes)).unwrap_or(0);
    let priority = table.take("priority");
    let number = priority.as_ref().and_then(|field| counted(field, around, notes)).unwrap_or(999);
    let environment = table.take("environment");
    let directory = table.take("directory");
    let texts = [Some(&command), environment.as_ref(), directory.as_ref()];
    let is_counted =
        texts.into_iter().flatten().any(|field| field.text(notes).is_some_and(|text| text.contains("%(process_num)")));
    // Their number begins with 0: each is written out where it matters.
    let unrolled = is_counted && (1..=MOST).contains(&count);
    if is_counted && !unrolled {
        notes.say(&spot, format!("not carried over: {count} processes, each written out, are more than {MOST}"));
        return;
    }
    if let Some(field) = start.filter(|_| !is_counted) {
        notes.say(&field.spot, "not carried over: nothing but names of processes counts from it");
    }
    let mut rest = Some(table);
    for n in 0..if unrolled { count } else { 1 } {
        let called = if unrolled && count > 1 { format!("{name}-{}", first + n) } else { name.to_owned() };
        let mut service = draft.service(&called, &spot, notes);
        let names = Names::new(around).of(name, first + n, count);
        let text = expand::value(&text, &names, &command.spot, notes, true);
        match shlex::split(&text) {
            Some(words) if !words.is_empty() => service.command(words, &command),
            _ => {
                notes.say(&command.spot, "not carried over: it has a quote without its end, or no words");
                return;
            }
        }
        if let Some(field) = &environment
            && let Some(text) = field.text(notes)
        {
            for (name, value) in expand::pairs(&text, &field.spot, notes) {
                let value = expand::value(&value, &names, &field.spot, notes, true);
                service.env(&name, value, &field.spot);
            }
        }
        let cwd = directory.as_ref().and_then(|field| Some((field.text(notes)?, field)));
        match cwd {
            Some((text, field)) => {
                let text = expand::value(&text, &names, &field.spot, notes, true);
                service.set("cwd", path(&text, around.folder, around.beside), field);
            }
            None => {
                // A program of supervisord runs where supervisord does.
                service.keys.extend(
                    base.cwd.as_ref().map(|cwd| ("cwd".to_owned(), json!(path(cwd, around.folder, around.beside)))),
                );
            }
        }
        if let Some(field) = count_field.as_ref().filter(|_| count > 1 && !unrolled) {
            service.set("instances", count, field);
        }
        all.push(Program { name: name.to_owned(), priority: number, autostart: true, from: priority.clone(), service });
        // Common keys are read once, and copied.
        if let Some(table) = rest.take() {
            common(table, &names, base, all.last_mut(), around, notes);
        } else if let [.., before, own] = all.as_mut_slice() {
            for key in ["restart", "stop", "enabled", "user", "systemd", "log", "limits", "meta"] {
                if let Some(value) = before.service.keys.get(key) {
                    own.service.keys.insert(key.to_owned(), value.clone());
                }
            }
            own.autostart = before.autostart;
        }
    }
}

/// A number, which may be in a variable: what that is at this import.
fn counted(field: &Field, around: &Around<'_>, notes: &mut Notes) -> Option<i64> {
    let text = field.text(notes).filter(|text| text.contains("%("));
    let Some(text) = text else { return field.whole(notes) };
    let number = expand::value(&text, &Names::new(around), &field.spot, notes, false);
    let found = Field { data: Data::Text(number.clone()), ..field.clone() };
    if number.contains("%(") {
        return None;
    }
    notes.say(&field.spot, format!("{text} is {} at this import, and written so", crate::text::clip(&number)));
    found.whole(notes)
}

/// What is the same for each process of a program.
fn common(
    mut table: Table,
    names: &Names<'_>,
    base: &Base,
    program: Option<&mut Program>,
    around: &Around<'_>,
    notes: &mut Notes,
) {
    let Some(program) = program else { return };
    let service = &mut program.service;
    if let Some(field) = table.take("autostart")
        && field.flag(notes) == Some(false)
    {
        service.set("enabled", false, &field);
        program.autostart = false;
    }
    let again = table.take("autorestart");
    let word = again.as_ref().and_then(|field| field.text(notes)).unwrap_or_else(|| "unexpected".to_owned());
    let policy = match word.trim().to_ascii_lowercase().as_str() {
        "unexpected" => "on-failure",
        "true" | "yes" | "on" | "1" => "always",
        _ => "never",
    };
    service.put("restart.policy", policy);
    if let Some(field) = table.take("exitcodes") {
        let codes = field.text(notes).unwrap_or_default();
        let others: Vec<&str> = codes.split(',').map(str::trim).filter(|code| *code != "0").collect();
        if policy == "on-failure" && !others.is_empty() {
            notes.say(
                &field.spot,
                format!("not carried over: only the exit code 0 is no failure, and {} is one", others.join(", ")),
            );
        }
    }
    let tries = table.take("startretries");
    service.put("restart.tries", tries.and_then(|field| field.whole(notes)).unwrap_or(3).max(0));
    let secs = table.take("startsecs");
    let secs = secs.and_then(|field| field.number(notes)).unwrap_or(1.0);
    service.put("restart.reset_after", seconds(secs));
    let signal = table.take("stopsignal");
    let wait = table.take("stopwaitsecs");
    let wait = wait.and_then(|field| field.number(notes)).unwrap_or(10.0);
    let word = signal.as_ref().and_then(|field| field.text(notes)).unwrap_or_else(|| "TERM".to_owned());
    service.stop(&word, &seconds(wait), signal.as_ref());
    // A stop is always one of the whole tree.
    for key in ["stopasgroup", "killasgroup"] {
        table.take(key).and_then(|field| field.flag(notes));
    }
    if let Some(field) = table.take("user") {
        service.user(&field, around.system, notes);
    }
    let umask = table.take("umask").and_then(|field| Some((field.text(notes)?, field)));
    if let Some((text, field)) = umask.or_else(|| base.umask.clone()) {
        service.property("UMask", &text, &field, notes);
    }
    if let Some(field) = table.take("stdout_logfile") {
        let text = field.text(notes).unwrap_or_default();
        let text = expand::value(&text, names, &field.spot, notes, true);
        match text.to_ascii_uppercase().as_str() {
            "AUTO" | "NONE" => {}
            _ if text.starts_with("/dev/") || text == "syslog" => {
                notes.say(
                    &field.spot,
                    "not carried over: provost keeps the output itself (provost logs ID), and up shows it",
                );
            }
            _ => service.log_path(&text, &field, around, notes),
        }
    }
    if let Some(field) = table.take("stdout_logfile_maxbytes") {
        let size = field.text(notes).filter(|text| text.trim() != "0");
        service.log("max_size", size.map(|text| json!(text.trim())), &field, notes);
    }
    if let Some(field) = table.take("stdout_logfile_backups") {
        let number = field.whole(notes);
        service.log("keep", number.map(|number| json!(number)), &field, notes);
    }
    // What is so anyway needs no word.
    if let Some(field) = table.take("process_name")
        && let Some(text) = field.text(notes)
        && ![
            "%(program_name)s",
            "%(program_name)s_%(process_num)02d",
            "%(program_name)s_%(process_num)d",
            "%(program_name)s_%(process_num)s",
        ]
        .contains(&text.as_str())
    {
        notes.say(&field.spot, "not carried over: instances are called ID-1 to ID-N");
    }
    table.done(notes, &REASONS);
}

/// Says of each service in which group it is.
fn grouped(groups: &[(String, Field)], programs: &mut [Program], notes: &mut Notes) {
    for (group, field) in groups {
        let member = field.text(notes).unwrap_or_default();
        let mut found = false;
        for program in programs.iter_mut().filter(|program| program.name == member) {
            program.service.set("meta.group", group.clone(), field);
            found = true;
        }
        if !found {
            let member = crate::text::clip(&member);
            notes.say(&field.spot, format!("not carried over: no program is called '{member}'"));
        }
    }
}

/// A lower priority starts first, and stops last.
fn ordered(programs: &mut [Program]) {
    let mut by: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for program in programs.iter().filter(|program| program.autostart) {
        by.entry(program.priority).or_default().push(program.service.id.clone());
    }
    for program in programs.iter_mut().filter(|program| program.autostart) {
        let before = by.range(..program.priority).next_back().map(|(_, ids)| ids.clone());
        // Without a priority of its own it has the one of most.
        if let Some(ids) = before {
            match &program.from {
                Some(from) => program.service.after(ids, from),
                None => program.service.put("after", ids),
            }
        }
    }
}
