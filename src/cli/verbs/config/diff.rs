//! `config diff`: what a reload would do, by the records of what is known and the file as it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::super::Context;
use crate::cli::exit::Exit;
use crate::config::{self, LoadOptions, Project};
use crate::error::Error;
use crate::gather::Gather as _;
use crate::model::{Instance, ServiceId};
use crate::paths::Places;
use crate::registry::Store;
use crate::supervise::changes::{Change, Known, Occasion, changes, later_backend};
use crate::supervise::run::{pid_dir, put_pid_file};

pub(super) fn run(ctx: &Context<'_>, path: &Path, options: &LoadOptions) -> Result<ExitCode, Error> {
    let project = config::load(path, options)?;
    let instance = if options.system { Instance::System } else { Instance::User };
    let path = project.path.clone();
    let Changed { all, any, notes } = of_project(instance, project, Occasion::Changed)?;
    if ctx.say.json {
        ctx.say.json(&json!({"path": path, "changes": all}));
    } else if !any {
        let path = crate::text::escape(&path.to_string_lossy());
        ctx.say.text(&format!("nothing of {path} is known to the daemon yet: provost up starts it\n"));
    } else if all.is_empty() {
        ctx.say.text("nothing would change\n");
    } else {
        all.iter().for_each(|(id, change)| ctx.say.text(&format!("{id}: {change}\n")));
    }
    notes.iter().for_each(|note| ctx.say.note(&format!("provost: {note}")));
    Ok(Exit::Done.into())
}

/// What would become of the services of a project.
pub(in crate::cli::verbs) struct Changed {
    /// What is done to each.
    pub(in crate::cli::verbs) all: BTreeMap<ServiceId, Change>,
    /// Whether any of it is known.
    any: bool,
    /// What holds later.
    pub(in crate::cli::verbs) notes: Vec<String>,
}

/// The same, by the records and this description.
pub(in crate::cli::verbs) fn of_project(
    instance: Instance,
    project: Project,
    occasion: Occasion,
) -> Result<Changed, Error> {
    let places = Places::of(instance, rustix::process::geteuid().as_raw());
    let (records, removed) = match places {
        None => Default::default(),
        Some(places) => {
            let store = Store::at(&places);
            let read = store.look();
            let what = || format!("the records in {} cannot be read", places.registry().display());
            (read.map_err(|source| Error::Io { what: what(), source })?.records, store.removed())
        }
    };
    let ours: Vec<_> = records.into_iter().filter(|record| record.instance.is_some()).collect();
    let mut of_project = ours.iter().filter(|record| record.spec.project.as_ref() == Some(&project.path)).peekable();
    let any = of_project.peek().is_some();
    let given = of_project.find_map(|record| pid_dir(&record.environment));
    let mut new = project.services;
    new.retain(|spec| !removed.has(&project.path, &spec.id));
    if let Some(dir) = given.as_ref().or(project.paths.pid_dir.as_ref()) {
        new.iter_mut().for_each(|spec| put_pid_file(spec, dir));
    }
    let known: BTreeMap<ServiceId, Known<'_>> =
        ours.iter().map(|record| (record.id.clone(), Known::from(record))).gather();
    let mut notes = Vec::new();
    for spec in &new {
        let runs = known.get(&spec.id).filter(|known| known.alive);
        notes.extend(
            runs.and_then(|known| later_backend(known.record, spec)).map(|note| format!("{}: {note}", spec.id)),
        );
    }
    Ok(Changed { all: changes(&known, &project.path, &new, occasion), any, notes })
}
