//! Takes back what an install did: exactly that.

use std::fs;
use std::io;
use std::path::Path;

use super::log::{Log, Outcome};
use super::manager::{self, Host};
use super::manifest::{Before, Entry, Manifest, manifest_path, replace, sum};
use super::{UNIT, group};
use crate::control::{Control, Linger};
use crate::error::Error;
use crate::model::Instance;
use crate::supervise::Stop;

/// Uninstalls. Services are stopped first, in reverse order, unless they are to run on. False:
/// nothing was installed.
///
/// # Errors
/// The first thing that could not be done; what is left is still in the manifest.
pub(crate) async fn uninstall(instance: Instance, keep_services: bool, log: &mut Log<'_>) -> Result<bool, Error> {
    let uid = rustix::process::geteuid().as_raw();
    let path = manifest_path(instance, uid)?;
    let Some(mut manifest) = Manifest::load(&path)? else { return Ok(false) };
    let host = Host::connect(instance, uid).await;
    end_daemon(instance, keep_services, &host, log).await?;
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
        manifest.save(&path)?;
    }
    files(&manifest, &path, log)?;
    host.reload(log).await?;
    Ok(true)
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
        && host.is_active().await
    {
        manager::job(manager, "StopUnit").await?;
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
    let content = match fs::read(&entry.path) {
        Ok(content) => Some(content),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
        Err(error) => return Err(failed(error)),
    };
    if content.is_some_and(|content| sum(&content) != entry.sum) {
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
