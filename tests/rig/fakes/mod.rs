//! Programs for tests to look at: this test program again, installed under their names, so that their processes look right.

mod flood;
mod hang;
mod http;
mod llama_server;
mod ollama;
mod sleeper;

use std::path::Path;
use std::process::ExitCode;

use super::{Result, program, words};

/// A program's body: it runs until it is killed.
type Body = fn(&[String]) -> Result<()>;

/// Every program and the names under which it is installed in /usr/local/bin.
const PROGRAMS: &[(&str, Body)] = &[
    ("ollama", ollama::main),
    ("llama-server", llama_server::main),
    ("sleeper", sleeper::main),
    ("setuid-sleeper", sleeper::main),
    ("hang", hang::main),
    ("flood", flood::main),
];

/// Puts all of them into a folder. `setuid-sleeper` is root's and setuid, as sudo is.
pub fn install(exe: &Path, bin: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut names = PROGRAMS.iter().map(|(name, _)| bin.join(name));
    let first = names.next().ok_or("no programs")?;
    program::copy(exe, &first)?;
    for path in names {
        let _ = std::fs::remove_file(&path);
        if path.ends_with("setuid-sleeper") {
            program::copy(exe, &path)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o4755))?;
        } else {
            std::fs::hard_link(&first, &path)?;
        }
    }
    Ok(())
}

/// Runs the program whose name this process was started under, if it is one of ours.
pub fn main() -> Option<ExitCode> {
    let mut args = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let called = args.next()?;
    let name = called.rsplit('/').next()?;
    let (_, body) = PROGRAMS.iter().find(|(program, _)| *program == name)?;
    let args: Vec<String> = args.collect();
    Some(match body(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{name}: {}", words(&e));
            ExitCode::FAILURE
        }
    })
}

/// The value of `--name VALUE`.
fn value<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    let at = args.iter().position(|a| a == name)?;
    args.get(at + 1).map(String::as_str)
}

/// Whether `--name` is among the arguments.
fn flag(args: &[String], name: &str) -> bool {
    args.iter().any(|a| a == name)
}

/// Waits for ever.
fn wait() -> ! {
    loop {
        std::thread::park();
    }
}
