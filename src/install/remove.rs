//! Takes back what an install did: exactly that.

use std::fs;
use std::io;
use std::path::Path;

use super::log::{Log, Outcome};
use super::manager::{self, Host};
use super::manifest::{Before, Entry, Manifest, fresh, manifest_path, replace, sum};
use super::{UNIT, group, purge};
use crate::control::{Control, Linger};
use crate::error::Error;
use crate::model::Instance;
use crate::supervise::Stop;

/// How an uninstall goes about what services have and leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Services {
    /// Stopped first, in reverse order; their records and their output stay.
    Stop,
    /// They run on.
    Keep,
    /// Stopped, and all that provost keeps of them is removed; the config stays.
    Purge,
}

/// Uninstalls. False: nothing was installed.
///
/// # Errors
/// The first thing that could not be done; what is left is still in the manifest.
pub(crate) async fn uninstall(instance: Instance, services: Services, log: &mut Log<'_>) -> Result<bool, Error> {
    let uid = rustix::process::geteuid().as_raw();
    let path = manifest_path(instance, uid)?;
    let manifest = Manifest::load(&path).map_err(|error| damaged(error, instance))?;
    let was = manifest.is_some();
    if !was && services != Services::Purge {
        return Ok(false);
    }
    let host = Host::connect(instance, uid).await;
    end_daemon(instance, services == Services::Keep, &host, log).await?;
    if let Some(manifest) = manifest {
        take_back(manifest, &path, uid, &host, log).await?;
    }
    if services == Services::Purge {
        purge::all(instance, uid, log)?;
    }
    Ok(was)
}

/// Says what helps.
fn damaged(error: Error, instance: Instance) -> Error {
    match error {
        Error::Io { what, source } if source.kind() == io::ErrorKind::InvalidData => {
            let why = format!(
                "what was installed is written there, and it is damaged ({source}); 'provost install --{instance}' \
                 finds out anew, then uninstall"
            );
            Error::Io { what, source: io::Error::new(io::ErrorKind::InvalidData, why) }
        }
        other => other,
    }
}

async fn take_back(mut manifest: Manifest, path: &Path, uid: u32, host: &Host, log: &mut Log<'_>) -> Result<(), Error> {
    if let Some(manager) = host.manager().filter(|_| manifest.enabled) {
        manager::disable(manager, log).await?;
    }
    if manifest.lingering {
        if !log.dry {
            linger_off(uid).await?;
        }
        log.step("lingering", &crate::observe::user_name(uid), Outcome::Disabled, "");
    }
    if manifest.group {
        group::remove(log);
    }
    manifest.enabled = false;
    manifest.lingering = false;
    manifest.group = false;
    if !log.dry {
        manifest.save(path)?;
    }
    files(&manifest, path, log)?;
    host.reload(log).await
}

/// Ends the daemon, with its services or without. One that does not run although services do is
/// started for it: it alone knows their order.
async fn end_daemon(instance: Instance, keep: bool, host: &Host, log: &mut Log<'_>) -> Result<(), Error> {
    let mut control = Control::connect(instance).await?;
    if control.is_none() && !keep && !log.dry && host.runs_services(instance).await {
        control = Some(crate::control::start_daemon(instance, false).await?.control);
    }
    if let Some(control) = control {
        let (outcome, detail) = if keep { (Outcome::Kept, "they run on") } else { (Outcome::Stopped, "") };
        log.step("services", "all", outcome, detail);
        if !log.dry {
            control.exit(if keep { Stop::None } else { Stop::All }).await?;
        }
        log.step("daemon", UNIT, Outcome::Stopped, "");
    }
    if let Some(manager) = host.manager()
        && !log.dry
    {
        if host.is_active().await {
            manager::job(manager, UNIT, "StopUnit").await?;
        }
        // Nothing is in it any more, and its file goes.
        let slice = manager::slice_of(instance);
        if !keep
            && !host.runs_services(instance).await
            && manager.active_state(&slice).await.is_ok_and(|is| is == "active")
        {
            manager::job(manager, slice.as_str(), "StopUnit").await?;
        }
    }
    Ok(())
}

async fn linger_off(uid: u32) -> Result<(), Error> {
    if Linger::of(uid) != Linger::On {
        return Ok(());
    }
    let lost = |e: zbus::Error| Error::Unreachable(format!("logind: {e}"));
    let bus = super::bus_of(Instance::System, uid).await.map_err(|e| Error::Unreachable(e.to_string()))?;
    let to = (Some("org.freedesktop.login1"), "/org/freedesktop/login1", Some("org.freedesktop.login1.Manager"));
    bus.call_method(to.0, to.1, to.2, "SetUserLinger", &(uid, false, false)).await.map(drop).map_err(lost)
}

/// The files and folders, then the manifest itself.
pub(super) fn files(manifest: &Manifest, path: &Path, log: &mut Log<'_>) -> Result<(), Error> {
    for entry in &manifest.files {
        one(entry, path, log)?;
    }
    for folder in manifest.folders.iter().rev() {
        let name = folder.display().to_string();
        let removed = if log.dry { Ok(()) } else { fs::remove_dir(folder) };
        match removed {
            Ok(()) => log.step("folder", &name, Outcome::Removed, ""),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => log.step("folder", &name, Outcome::Kept, &error.to_string()),
        }
    }
    if log.dry {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::Io { what: path.display().to_string(), source })
        }
        _ => {
            // Unless there are records in it.
            let _is_in_use = path.parent().map(fs::remove_dir);
            Ok(())
        }
    }
}

/// One file: as it was before. What somebody has changed since is theirs.
pub(super) fn one(entry: &Entry, manifest: &Path, log: &mut Log<'_>) -> Result<(), Error> {
    let name = entry.path.display().to_string();
    let failed = |source| Error::Io { what: name.clone(), source };
    let folder = manifest.parent().unwrap_or(Path::new("/"));
    if !is_plausible(entry) {
        log.step("file", &name, Outcome::Kept, "no install wrote that: the list was changed by hand");
        return Ok(());
    }
    if !log.dry {
        // Half of one, of an install that was cut short.
        let _usually_none = fs::remove_file(fresh(&entry.path));
    }
    let content = match fs::read(&entry.path) {
        Ok(content) => Some(content),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
        Err(error) => return Err(failed(error)),
    };
    let is_ours = |sum: &String| *sum == entry.sum || entry.earlier.as_ref() == Some(sum);
    if content.is_some_and(|content| !is_ours(&sum(&content))) {
        log.step("file", &name, Outcome::Kept, "it was changed since it was installed");
        return Ok(());
    }
    let is_link = entry.path.is_symlink();
    match &entry.before {
        Some(before) if !is_link => {
            if !log.dry {
                restore(&entry.path, before, folder).map_err(failed)?;
            }
            log.step("file", &name, Outcome::Restored, "as it was before the install");
        }
        None if !is_link && entry.path.exists() => {
            if !log.dry {
                fs::remove_file(&entry.path).map_err(failed)?;
            }
            log.step("file", &name, Outcome::Removed, "");
        }
        _ => {}
    }
    Ok(())
}

/// Whether an install could have written that: it is a file of provost's by its name, and its copy lies beside the list.
fn is_plausible(entry: &Entry) -> bool {
    use std::path::Component;
    let plain = |path: &Path| path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let copy = match &entry.before {
        Some(Before::File { copy, .. }) => copy.starts_with("before-") && !copy.contains('/'),
        _ => true,
    };
    let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
    entry.path.is_absolute() && plain(&entry.path) && copy && (cfg!(test) || name.contains("provost"))
}

fn restore(path: &Path, before: &Before, folder: &Path) -> io::Result<()> {
    match before {
        Before::Link(target) => {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            std::os::unix::fs::symlink(target, path)
        }
        Before::File { copy, mode } => {
            let copy = folder.join(copy);
            match fs::read(&copy) {
                Ok(content) => {
                    replace(path, &content, *mode)?;
                    fs::remove_file(copy)
                }
                // It was restored by an uninstall that was cut short.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            }
        }
    }
}
