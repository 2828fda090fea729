//! `config import`: another supervisor's config as one of ours.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum as _;
use serde_json::json;

use super::super::args::{Global, Import};
use super::super::exit::Exit;
use super::Context;
use crate::config::{self, LoadOptions};
use crate::error::Error;
use crate::text::escape;

/// `config import X -o FILE`: elsewhere -o is the form of the output, and here a file, too.
pub(in crate::cli) fn output_as_a_file(mut args: Vec<OsString>) -> Vec<OsString> {
    let end = args.iter().position(|word| word == "--").unwrap_or(args.len());
    let verb = args.iter().take(end).position(|word| word == "config");
    if verb.is_none_or(|at| args[..end].get(at + 1).is_none_or(|word| word != "import")) {
        return args;
    }
    for at in 1..end {
        let form = |word: &OsString| word == "json" || word == "human";
        if args[at] == "-o" && args.get(at + 1).is_some_and(|word| !form(word)) {
            args[at] = OsString::from("--to");
        }
    }
    args
}

pub(in crate::cli) fn run(ctx: &Context<'_>, args: &Import, global: &Global) -> ExitCode {
    let uid = rustix::process::geteuid().as_raw();
    let system = global.system || (uid == 0 && !global.user);
    let options = LoadOptions { system, home: if system { None } else { crate::paths::home(uid) } };
    let shown = args.to == Path::new("-");
    let new = if shown { Path::new("provost.toml") } else { &args.to };
    let made = match config::import_file(&args.file, args.from, new, &options) {
        Ok(made) => made,
        Err(errors) if ctx.say.json => return ctx.say.error(&errors.into()),
        Err(errors) => {
            ctx.say.lines(&errors);
            return ExitCode::from(Error::Invalid(errors).exit_code());
        }
    };
    if !shown && let Err(error) = write(new, &made.text, args.force) {
        return ctx.say.error(&error);
    }
    if ctx.say.json {
        let path = (!shown).then_some(new);
        ctx.say.json(&json!({
            "path": path, "format": made.format, "services": made.services, "notes": made.notes, "text": made.text,
        }));
        return Exit::Done.into();
    }
    if shown {
        ctx.say.line(&made.text);
    }
    // What was lost is said whatever is quiet.
    made.notes.iter().for_each(|note| ctx.say.note_always(&note.to_string()));
    let count = match made.services.len() {
        1 => "1 service".to_owned(),
        n => format!("{n} services"),
    };
    let format = made.format.to_possible_value();
    let format = format.as_ref().map_or("", |value| value.get_name());
    let lost = match made.notes.len() {
        0 => "everything is carried over".to_owned(),
        1 => "1 thing is not carried over as it was (see above)".to_owned(),
        n => format!("{n} things are not carried over as they were (see above)"),
    };
    let to = if shown { String::new() } else { format!("; {} is written", escape(&new.to_string_lossy())) };
    ctx.say.note(&format!("{} ({format}): {count}; {lost}{to}", escape(&args.file.to_string_lossy())));
    Exit::Done.into()
}

/// The new file, whole or not at all; with secrets in it as it may be, for its owner alone.
fn write(path: &Path, text: &str, force: bool) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |source: std::io::Error| Error::Io {
        what: format!("{} cannot be written", path.display()),
        source: crate::disk::explained(source, path),
    };
    if !force && path.symlink_metadata().is_ok() {
        let path = path.display();
        return Err(Error::Config(format!("{path} is there already: --to FILE writes another, --force replaces it")));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match force {
            true => std::fs::rename(&beside, path),
            // Another one that came meanwhile is not replaced.
            false => std::fs::hard_link(&beside, path).and_then(|()| std::fs::remove_file(&beside)),
        }
    })();
    written.map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_from_a_form() {
        let read = |line: &str| -> String {
            let args = line.split(' ').map(OsString::from).collect();
            output_as_a_file(args).join(" ".as_ref()).into_string().unwrap()
        };
        assert_eq!(read("provost config import f -o x.toml"), "provost config import f --to x.toml");
        assert_eq!(read("provost config import f -o json"), "provost config import f -o json");
        assert_eq!(read("provost -o json config import f -o -"), "provost -o json config import f --to -");
        assert_eq!(read("provost config show -o x"), "provost config show -o x");
    }

    #[test]
    fn nothing_is_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provost.toml");
        write(&path, "a", false).unwrap();
        let error = write(&path, "b", false).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a");
        write(&path, "b", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "b");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
