//! What a process runs, by its executable and command line: the program, and for an interpreter
//! the script or module, because every agent is a `python3`; pure.

mod table;

use table::{Row, TABLE};

use crate::model::{Process, Program};

/// Interpreters that run interpreters (`uv run python x.py`) end somewhere.
const DEPTH: usize = 4;

/// Extensions that people leave out when they name a script.
const EXTENSIONS: [&str; 26] = [
    "py", "pyw", "pyc", "pyz", "sh", "bash", "zsh", "fish", "ksh", "js", "mjs", "cjs", "ts", "mts", "cts", "tsx",
    "jsx", "rb", "pl", "php", "lua", "r", "R", "jl", "jar", "dll",
];

/// What an interpreter was told to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script<'a> {
    /// A file.
    File(&'a str),
    /// A module or class, with dots between its parts.
    Dotted(&'a str),
}

impl<'a> Script<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::File(text) | Self::Dotted(text) => text,
        }
    }
}

/// What a process runs. Two processes run the same program when both parts agree.
pub(crate) fn program(process: &Process) -> Program {
    let path = process.exe.as_deref().or(process.cmdline.first().map(String::as_str)).unwrap_or(&process.comm);
    let script = scripts(process.exe.as_deref(), &process.cmdline).pop();
    Program { path: path.to_owned(), script: script.map(|s| s.text().to_owned()) }
}

/// Whether this is the name of an interpreter, which says nothing of what it runs.
pub(crate) fn is_one(name: &str) -> bool {
    interpreter(name).is_some()
}

/// The names by which a bare word may mean a process, besides its comm: the base names of its
/// executable and of argv\[0\], and of the script that it runs, with and without extension; of a
/// module the whole name, its last part and its package.
pub(super) fn names_of<'a>(exe: Option<&'a str>, cmdline: &'a [String]) -> Vec<&'a str> {
    let mut all = Vec::new();
    all.extend(exe.map(base));
    all.extend(cmdline.first().map(|first| own_name(first)));
    for script in scripts(exe, cmdline) {
        match script {
            Script::File(path) => {
                let base = base(path);
                all.push(base);
                all.extend(base.rsplit_once('.').filter(|(_, ext)| EXTENSIONS.contains(ext)).map(|(stem, _)| stem));
            }
            Script::Dotted(name) => {
                all.push(name);
                all.extend(name.rsplit(['.', '/']).next());
                // A package is what people know a module by: `vllm` of vllm.entrypoints.openai.
                all.extend(
                    name.split_once('.').map(|(first, _)| first).filter(|first| !table::DOMAINS.contains(first)),
                );
            }
        }
    }
    all.retain(|name| !name.is_empty());
    all
}

/// The base name in argv\[0\]: a login shell's without its dash, a title's first word.
fn own_name(first: &str) -> &str {
    if first.starts_with('/') {
        return base(first);
    }
    let word = first.split(' ').next().unwrap_or(first);
    base(word.trim_end_matches(':').strip_prefix('-').unwrap_or(word.trim_end_matches(':')))
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The scripts from the outermost interpreter to the innermost.
fn scripts<'a>(exe: Option<&str>, cmdline: &'a [String]) -> Vec<Script<'a>> {
    let Some((first, mut rest)) = cmdline.split_first() else { return Vec::new() };
    let mut row = interpreter(own_name(first)).or_else(|| exe.and_then(|path| interpreter(base(path))));
    let mut found = Vec::new();
    while let Some((script, after)) = row.and_then(|row| row.script(rest)) {
        found.push(script);
        rest = after;
        row = match script {
            Script::File(path) if found.len() < DEPTH => interpreter(base(path)),
            _ => None,
        };
    }
    found
}

/// The row for a program with this base name, whatever its version: `python3.11`, `ruby3.1`.
fn interpreter(name: &str) -> Option<&'static Row> {
    let free_threaded = name.strip_suffix('t').filter(|n| n.ends_with(|c: char| c.is_ascii_digit())).unwrap_or(name);
    let plain = free_threaded.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    TABLE.iter().find(|row| row.names.contains(&plain) || row.names.contains(&name))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
