//! `config check`, `config show`, `config schema`; those that change or compare it are in `edit` and `diff`.

mod diff;
mod edit;

pub(super) use diff::{Changed, of_project};

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::super::args::{Config, Global};
use super::super::exit::Exit;
use super::Context;
use crate::config::{self, Errors, LoadOptions, Project};
use crate::error::Error;
use crate::model::Instance;
use crate::paths::Places;
use crate::text::escape;
use edit::Became;

pub(in crate::cli) fn run(ctx: &Context<'_>, args: &Config, global: &Global) -> ExitCode {
    let file = match args {
        Config::Check(args) | Config::Show(args) | Config::Diff(args) => {
            args.file.as_deref().or(args.config.as_deref())
        }
        Config::Set(args) => args.config.as_deref(),
        Config::Unset(args) => args.config.as_deref(),
        // It has a verb of its own.
        Config::Import(_) => return Exit::Done.into(),
        Config::Schema => {
            ctx.say.json(&config::schema());
            return Exit::Done.into();
        }
    };
    let uid = rustix::process::geteuid().as_raw();
    let system = global.system || (uid == 0 && !global.user);
    let path = match chosen(file, uid, system, matches!(args, Config::Set(_))) {
        Ok(path) => path,
        Err(error) => return ctx.say.error(&error),
    };
    let options = LoadOptions { system, home: if system { None } else { crate::paths::home(uid) } };
    let done = match args {
        Config::Set(args) => edit::set(&path, &options, &args.changes),
        Config::Unset(args) => edit::unset(&path, &options, &args.keys),
        Config::Diff(_) => return diff::run(ctx, &path, &options).unwrap_or_else(|error| ctx.say.error(&error)),
        _ => {
            let own = Places::of(if system { Instance::System } else { Instance::User }, uid);
            let loaded = config::load(&path, &options).map(|mut project| {
                let unheard = own.and_then(|own| config::unheard(&project, &own.config));
                project.warnings.extend(unheard);
                project
            });
            return look(ctx, args, &path, loaded);
        }
    };
    match done {
        Err(error) => ctx.say.error(&error),
        Ok(became) => {
            let shown = escape(&path.to_string_lossy());
            let (made, changed) = (became == Became::Made, became != Became::Same);
            match became {
                _ if ctx.say.json => ctx.say.json(&json!({"path": path, "changed": changed, "made": made})),
                Became::Made => ctx.say.text(&format!("{shown} was made: there was no config\n")),
                Became::Changed => ctx.say.text(&format!("{shown} was changed\n")),
                Became::Same => ctx.say.text(&format!("{shown} says so already\n")),
            }
            Exit::Done.into()
        }
    }
}

fn look(ctx: &Context<'_>, args: &Config, path: &Path, loaded: Result<Project, Errors>) -> ExitCode {
    match args {
        Config::Check(_) => check(ctx, path, loaded),
        _ => show(ctx, loaded),
    }
}

/// The file that was named, or that counts here; where there is none, one is begun if that is wanted.
fn chosen(file: Option<&Path>, uid: u32, system: bool, begin: bool) -> Result<PathBuf, Error> {
    if let Some(file) = file {
        return Ok(file.to_owned());
    }
    let instance = if system { Instance::System } else { Instance::User };
    let own = Places::of(instance, uid).map(|places| places.config);
    let here = std::env::current_dir().map_err(|source| Error::Io { what: "the current folder".into(), source })?;
    let found = config::find(&here, own.as_deref(), uid, uid != 0 && !system)?;
    if let (None, Some(own), true) = (&found, &own, begin) {
        let made = std::fs::DirBuilder::new().recursive(true).mode(if system { 0o755 } else { 0o700 }).create(own);
        made.map_err(|source| Error::Io { what: format!("the folder {} cannot be made", own.display()), source })?;
        return Ok(own.join("provost.toml"));
    }
    found.ok_or_else(|| {
        let own = own.map_or_else(|| "there".to_owned(), |own| own.display().to_string());
        Error::Config(match system {
            true => format!("there is no config: no provost.toml, .yaml or .json in {own}"),
            false => {
                let passed = config::passed_over(&here, uid).filter(|_| uid != 0);
                let passed = passed.map(|why| format!(": {why}")).unwrap_or_default();
                format!(
                    "there is no config: no provost.toml, .yaml or .json of yours, writable by you alone, from here \
                     up, nor in {own}{passed}"
                )
            }
        })
    })
}

fn check(ctx: &Context<'_>, path: &Path, loaded: Result<Project, Errors>) -> ExitCode {
    let (errors, warnings, ids) = match &loaded {
        Ok(project) => (&[][..], &project.warnings[..], project.services.iter().map(|s| s.id.as_str()).collect()),
        Err(errors) => (&errors.0[..], &[][..], Vec::new()),
    };
    warnings.iter().for_each(|warning| ctx.say.note(&format!("{warning} (warning)")));
    if ctx.say.json {
        ctx.say.json(&json!({
            "path": path, "valid": loaded.is_ok(), "services": ids, "errors": errors, "warnings": warnings,
        }));
    }
    match &loaded {
        Err(errors) => {
            // Editors read these lines: nothing stands before the path.
            ctx.say.lines(errors);
            ExitCode::from(Error::Invalid(errors.clone()).exit_code())
        }
        Ok(_) => {
            if !ctx.say.json {
                let count = match ids.len() {
                    0 => "valid, and it describes no services".to_owned(),
                    1 => format!("valid; 1 service: {}", ids[0]),
                    n => format!("valid; {n} services: {}", ids.join(", ")),
                };
                ctx.say.text(&format!("{}: {count}\n", escape(&path.to_string_lossy())));
            }
            Exit::Done.into()
        }
    }
}

fn show(ctx: &Context<'_>, loaded: Result<Project, Errors>) -> ExitCode {
    let project = match loaded {
        Ok(project) => project,
        Err(errors) => return ctx.say.error(&errors.into()),
    };
    let services = || project.services.iter().map(|spec| (spec.id.to_string(), config::written(spec)));
    if ctx.say.json {
        let services: Map<String, Value> = services().map(|(id, keys)| (id, Value::Object(keys))).collect();
        ctx.say.json(&json!({
            "path": project.path, "service": services, "daemon": project.daemon, "paths": project.paths,
            "orphans": project.orphans, "warnings": project.warnings,
        }));
    } else {
        let mut text = format!("# {}\n", escape(&project.path.display().to_string()));
        for (id, keys) in services() {
            text.push_str(&format!("\n{}", config::written_toml(&id, &keys)));
        }
        ctx.say.text(&text);
    }
    Exit::Done.into()
}
