//! The command lines of a unit.

use super::super::draft::Service;
use super::super::input::{Field, Notes};
use super::super::words;
use super::specifiers::Unit;

/// A command line, its words as our config has them.
pub(super) struct Line {
    pub(super) words: Vec<String>,
    /// `-`: its failure is none.
    pub(super) ignored: bool,
}

/// Words as systemd.syntax(7) has them: quotes only around a whole word or a part, `\` escapes.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => all.extend(word.take()),
            (None, '"' | '\'') if word.as_ref().is_none_or(|word| !word.is_empty()) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (_, '\\') => {
                let word = word.get_or_insert_default();
                match rest.next() {
                    Some('n') => word.push('\n'),
                    Some('t') => word.push('\t'),
                    Some('s') => word.push(' '),
                    Some('r') => word.push('\r'),
                    Some('x') => {
                        let digits: String = (0..2).map_while(|_| rest.next_if(char::is_ascii_hexdigit)).collect();
                        match u8::from_str_radix(&digits, 16).ok().filter(u8::is_ascii) {
                            Some(byte) => word.push(char::from(byte)),
                            None => word.push_str(&format!("\\x{digits}")),
                        }
                    }
                    Some(c @ ('"' | '\'' | '\\' | ' ')) => word.push(c),
                    Some(c) => word.extend(['\\', c]),
                    None => word.push('\\'),
                }
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word);
    all
}

/// Reads one line; `None` where nothing of it is left.
pub(super) fn line(text: &str, unit: &Unit, service: &Service, field: &Field, notes: &mut Notes) -> Option<Line> {
    let mut text = text.trim();
    let (mut ignored, mut expands, mut named) = (false, true, false);
    while let Some(c) = text.chars().next().filter(|c| "-:@+!|".contains(*c)) {
        match c {
            '-' => ignored = true,
            ':' => expands = false,
            '@' => named = true,
            '+' | '!' => {
                notes.say(&field.spot, "not carried over: it is not run with other rights than the service has")
            }
            _ => notes.say(&field.spot, "not carried over: it is not run in a login shell"),
        }
        text = &text[1..];
    }
    let mut words = split(text);
    if named && words.len() > 1 {
        words.remove(1);
        notes.say(&field.spot, "not carried over: a program is not called by another name than its own (@)");
    }
    if words.iter().any(|word| word == ";") {
        notes.say(&field.spot, "not carried over: what stands behind the ';'");
        words.truncate(words.iter().position(|word| word == ";").unwrap_or(words.len()));
    }
    let mut all = Vec::new();
    for word in words {
        let name = word
            .strip_prefix('$')
            .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        if let Some(name) = name.filter(|_| expands) {
            let known = service.keys.get("env").and_then(|env| env.get(name)).and_then(|value| value.as_str());
            match known {
                // A variable that is a word of its own is split.
                Some(value) => all.extend(value.split_whitespace().map(str::to_owned)),
                None if name == "MAINPID" => all.push("$MAINPID".to_owned()),
                None => {
                    notes.say(&field.spot, format!("${name} is one word here, and is not split at spaces"));
                    all.push(format!("${{{name}:-}}"));
                }
            }
            continue;
        }
        all.push(match expands {
            true => words::variables(&unit.replaced(&word, field, notes, false), false, true),
            false => unit.replaced(&word, field, notes, true),
        });
    }
    (!all.is_empty()).then_some(Line { words: all, ignored })
}

/// Several lines as one command: a shell runs those in front, and becomes the last.
pub(super) fn chained(first: &[&Line], last: &Line) -> Vec<String> {
    let mut script = String::new();
    let mut words: Vec<String> = Vec::new();
    for line in first {
        // Words are arguments, so that nothing in them is of the shell.
        let places: Vec<String> = line
            .words
            .iter()
            .map(|word| {
                if let Some(plain) = safe(word) {
                    return plain;
                }
                words.push(word.clone());
                format!("\"$${{{}}}\"", words.len())
            })
            .collect();
        script.push_str(&places.join(" "));
        script.push_str(if line.ignored { " || true; " } else { " && " });
    }
    let shift = if words.is_empty() { String::new() } else { format!("shift {} && ", words.len()) };
    let end = if last.ignored { "\"$@\" || true" } else { "exec \"$@\"" };
    // An unignored failure must not reach what follows a `|| true;`.
    let script = if script.contains("|| true; ") {
        format!("set -e; {}{shift}{end}", script.replace(" && ", "; "))
    } else {
        format!("{script}{shift}{end}")
    };
    let head = ["/bin/sh", "-c", script.as_str(), "sh"].map(str::to_owned);
    head.into_iter().chain(words).chain(last.words.iter().cloned()).collect()
}

/// The word, where a shell leaves it as it is.
fn safe(word: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.,:=+@%".contains(c);
    (!word.is_empty() && word.chars().all(plain)).then(|| word.to_owned())
}

/// The signal of `kill -HUP $MAINPID`.
pub(super) fn signal(words: &[String]) -> Option<String> {
    let program = words.first()?.rsplit('/').next()?;
    if program != "kill" || !words.last()?.contains("MAINPID") {
        return None;
    }
    let signal = match &words[1..words.len() - 1] {
        [] => "TERM",
        [one] => one.strip_prefix('-')?,
        [flag, signal] if flag == "-s" => signal,
        _ => return None,
    };
    Some(signal.trim_start_matches("SIG").to_owned())
}
