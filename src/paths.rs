//! Where provost keeps things: the folders of the caller, by the XDG base directory specification.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::observe::env;

/// The folder of the user's own configuration: `$XDG_CONFIG_HOME/provost`; `/etc/provost` for root.
pub(crate) fn config_dir(uid: u32) -> Option<PathBuf> {
    if uid == 0 { Some(PathBuf::from("/etc/provost")) } else { xdg("XDG_CONFIG_HOME", ".config", uid) }
}

/// The folder of what must outlive a reboot: `$XDG_STATE_HOME/provost/MACHINE-ID`, because a home
/// may be shared by several hosts; `/var/lib/provost` for root.
pub(crate) fn state_dir(uid: u32) -> Option<PathBuf> {
    if uid == 0 {
        return Some(PathBuf::from("/var/lib/provost"));
    }
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let id = Some(id.trim()).filter(|id| !id.is_empty()).unwrap_or("no-machine-id");
    Some(xdg("XDG_STATE_HOME", ".local/state", uid)?.join(id))
}

/// The folder of what dies with the boot: `$XDG_RUNTIME_DIR/provost`, else `/run/user/UID/provost`
/// if that is ours, else `/tmp/provost-UID`; `/run/provost` for root. Made if need be, and never
/// one of somebody else.
pub(crate) fn runtime_dir(uid: u32) -> io::Result<PathBuf> {
    let own = |dir: &PathBuf| fs::metadata(dir).is_ok_and(|m| m.is_dir() && m.uid() == uid);
    let dir = if uid == 0 {
        PathBuf::from("/run/provost")
    } else {
        let named = env("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
        let usual = PathBuf::from(format!("/run/user/{uid}"));
        match named.into_iter().chain([usual]).find(own) {
            Some(dir) => dir.join("provost"),
            None => PathBuf::from(format!("/tmp/provost-{uid}")),
        }
    };
    make_private(&dir, uid)?;
    Ok(dir)
}

/// Makes a folder that only its owner may enter, or checks that it is one.
pub(crate) fn make_private(dir: &Path, uid: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).recursive(false).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().mode(0o700).recursive(true).create(dir)?;
        }
        other => return other,
    }
    // lstat: a link that somebody put here is not followed.
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o022 != 0 {
        let why = format!("{} is not a folder of uid {uid} alone", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

/// Makes a folder of the caller's own home or state that only they may enter; one of theirs that
/// others may enter is closed to them: command lines and output may hold keys.
pub(crate) fn make_own(dir: &Path, uid: u32) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(dir)?;
    close(dir, uid, 0o700)
}

/// Takes the access of all others from a file or folder, if it is the caller's.
pub(crate) fn close(path: &Path, uid: u32, mode: u32) -> io::Result<()> {
    let found = fs::metadata(path)?;
    if found.uid() == uid && found.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn xdg(variable: &str, below_home: &str, uid: u32) -> Option<PathBuf> {
    let absolute = |dir: &PathBuf| dir.is_absolute();
    let named = env(variable).map(PathBuf::from).filter(absolute);
    let home = || env("HOME").map(PathBuf::from).filter(absolute).or_else(|| home_of(uid));
    Some(named.or_else(|| Some(home()?.join(below_home)))?.join("provost"))
}

fn home_of(uid: u32) -> Option<PathBuf> {
    Some(nix::unistd::User::from_uid(uid.into()).ok()??.dir)
}
