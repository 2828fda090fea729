//! The program itself: which one is run, and whether others could exchange it; the config.

use std::path::PathBuf;

use super::Check;
use crate::config::{LoadOptions, find, load};
use crate::install::{Manifest, UNIT, manifest_path, trusted};
use crate::model::Instance;
use crate::observe::Observer;
use crate::paths::Places;

pub(super) fn checks(observer: &Observer, instance: Instance) -> Vec<Check> {
    let uid = observer.caller().uid;
    let mut all = vec![in_path(instance)];
    match manifest_path(instance, uid).and_then(|path| Manifest::load(&path)) {
        Ok(Some(manifest)) => {
            all.push(installed(&manifest, instance, if instance == Instance::User { uid } else { 0 }));
        }
        // Another user may not read it.
        Err(error) if instance == Instance::User || uid == 0 => {
            let found = format!("what was installed is not known: {error}");
            all.push(Check::warning("installed", found, format!("provost install --{instance}")));
        }
        Ok(None) | Err(_) => {}
    }
    all.extend(config(instance, uid));
    all
}

/// Whether the PATH leads to this program and to no other before it.
fn in_path(instance: Instance) -> Check {
    const NAME: &str = "program";
    let own = crate::control::own_program().map(PathBuf::from).unwrap_or_default();
    let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
    let version = env!("CARGO_PKG_VERSION");
    match crate::sys::find_program("provost") {
        None => {
            let folder = own.parent().map(|dir| dir.display().to_string()).unwrap_or_default();
            // Installed for a user, in a shell that was there before.
            let mend = match folder.ends_with("/.local/bin") || folder.ends_with("/.cargo/bin") {
                true => format!("export PATH={}:\"$PATH\"", crate::text::shell_quote(&folder)),
                false => format!("{} install --{instance}", crate::text::shell_quote(&own.display().to_string())),
            };
            Check::warning(NAME, format!("{} (version {version}) is not in the PATH", own.display()), mend)
        }
        Some(first) if real(&first) == real(&own) => Check::ok(NAME, format!("{}, version {version}", own.display())),
        Some(first) => Check::warning(
            NAME,
            format!("this is {} (version {version}); the PATH leads to {}", own.display(), first.display()),
            "remove one of the two, or change the PATH",
        ),
    }
}

/// Whether what was installed is still there, and safe.
fn installed(manifest: &Manifest, instance: Instance, owner: u32) -> Check {
    const NAME: &str = "installed";
    let mend = format!("provost install --{instance}");
    let gone: Vec<String> = manifest
        .files
        .iter()
        .filter(|entry| !entry.path.exists())
        .map(|entry| entry.path.display().to_string())
        .collect();
    if !manifest.binary.exists() {
        return Check::problem(NAME, format!("the program of {UNIT}, {}, is gone", manifest.binary.display()), mend);
    }
    if let Err(why) = trusted(&manifest.binary, owner) {
        return Check::problem(NAME, format!("others can exchange the program of {UNIT}: {why}"), mend);
    }
    if !gone.is_empty() {
        return Check::warning(NAME, format!("gone since: {}", gone.join(", ")), mend);
    }
    if manifest.version != env!("CARGO_PKG_VERSION") {
        return Check::warning(
            NAME,
            format!("version {} for the {instance}, and this is another", manifest.version),
            mend,
        );
    }
    Check::ok(NAME, format!("for the {instance}, {} files", manifest.files.len()))
}

fn config(instance: Instance, uid: u32) -> Option<Check> {
    const NAME: &str = "config";
    let places = Places::of(instance, uid)?;
    let path = match find("/".as_ref(), Some(&places.config), uid, false) {
        Ok(Some(path)) => path,
        Ok(None) => {
            return Some(Check::ok(NAME, format!("none in {}: services are started by hand", places.config.display())));
        }
        Err(errors) => return Some(Check::problem(NAME, errors.to_string(), "provost config check")),
    };
    let options = LoadOptions { system: instance == Instance::System, home: crate::paths::home(uid) };
    Some(match load(&path, &options) {
        Ok(project) if project.warnings.is_empty() => {
            Check::ok(NAME, format!("{}, {} services", path.display(), project.services.len()))
        }
        Ok(project) => Check::warning(
            NAME,
            format!("{}: {} warnings", path.display(), project.warnings.len()),
            format!("provost config check {}", path.display()),
        ),
        Err(errors) => Check::problem(
            NAME,
            errors.to_string().replace('\n', "; "),
            format!("provost config check {}", path.display()),
        ),
    })
}
