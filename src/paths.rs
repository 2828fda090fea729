//! Where provost keeps things: the system's folders, and a user's by the XDG base directory
//! specification.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::model::{Instance, ServiceId};
use crate::observe::env;

/// The socket of the daemon, in the runtime folder.
pub(crate) const CONTROL_SOCKET: &str = "control.sock";

/// The folders of one instance. Naming them makes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// Whose they are.
    pub(crate) instance: Instance,
    /// The user that owns them.
    pub(crate) uid: u32,
    /// Its configuration: `$XDG_CONFIG_HOME/provost`, `/etc/provost`.
    pub(crate) config: PathBuf,
    /// What must outlive a reboot: `$XDG_STATE_HOME/provost/MACHINE-ID`, because a home may be
    /// shared by several hosts; `/var/lib/provost`.
    pub(crate) state: PathBuf,
    /// Captured output: `logs` in the state folder; `/var/log/provost`.
    pub(crate) logs: PathBuf,
    /// What dies with the boot: `$XDG_RUNTIME_DIR/provost`, else `/run/user/UID/provost` if that
    /// is the user's, else `/tmp/provost-UID`; `/run/provost`. See [`Self::make_runtime`].
    pub(crate) runtime: PathBuf,
}

/// Where the system's instance keeps output, whichever folder of it.
pub(crate) const SYSTEM_LOGS: &str = "/var/log/provost";

impl Places {
    /// By the environment of the caller. `None` for a user without a home.
    pub(crate) fn of(instance: Instance, uid: u32) -> Option<Self> {
        let path = PathBuf::from;
        if instance == Instance::System {
            let (config, state) = (path("/etc/provost"), path("/var/lib/provost"));
            let (logs, runtime) = (path(SYSTEM_LOGS), path("/run/provost"));
            return Some(Self { instance, uid, config, state, logs, runtime });
        }
        let state = xdg("XDG_STATE_HOME", ".local/state", uid)?.join(machine_id());
        let (config, logs) = (xdg("XDG_CONFIG_HOME", ".config", uid)?, state.join("logs"));
        Some(Self { instance, uid, config, logs, state, runtime: user_runtime(uid) })
    }

    /// All of them below one folder: for tests.
    pub(crate) fn below(root: &Path) -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let state = root.join("state");
        let (config, logs, runtime) = (root.join("config"), state.join("logs"), root.join("run"));
        Self { instance: Instance::User, uid, config, logs, state, runtime }
    }

    /// The records.
    pub(crate) fn registry(&self) -> PathBuf {
        self.state.join("registry")
    }

    /// Where the daemon answers.
    pub(crate) fn socket(&self) -> PathBuf {
        self.runtime.join(CONTROL_SOCKET)
    }

    /// The variables of a service of the system, which its unit reads.
    pub(crate) fn variables(&self, id: &ServiceId) -> PathBuf {
        self.runtime.join("env").join(id.as_str())
    }

    /// The pid file that every service gets.
    pub(crate) fn pid_file(&self, id: &ServiceId) -> PathBuf {
        self.runtime.join(format!("{id}.pid"))
    }

    /// Makes the runtime folder if need be, and never one of somebody else.
    pub(crate) fn make_runtime(&self) -> io::Result<&Path> {
        make_private(&self.runtime, self.uid)?;
        Ok(&self.runtime)
    }
}

fn user_runtime(uid: u32) -> PathBuf {
    let own = |dir: &PathBuf| fs::metadata(dir).is_ok_and(|m| m.is_dir() && m.uid() == uid);
    let named = env("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let usual = PathBuf::from(format!("/run/user/{uid}"));
    match named.into_iter().chain([usual]).find(own) {
        Some(dir) => dir.join("provost"),
        None => PathBuf::from(format!("/tmp/provost-{uid}")),
    }
}

fn machine_id() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let id = id.trim();
    // It becomes the name of a folder.
    let named = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
    if named { id.to_owned() } else { "no-machine-id".to_owned() }
}

/// The folder of configuration of the instance that this user means without naming one.
pub(crate) fn config_dir(uid: u32) -> Option<PathBuf> {
    Places::of(Instance::usual(uid), uid).map(|places| places.config)
}

/// The state folder of that instance.
pub(crate) fn state_dir(uid: u32) -> Option<PathBuf> {
    Places::of(Instance::usual(uid), uid).map(|places| places.state)
}

/// The runtime folder of that instance, made if need be.
pub(crate) fn runtime_dir(uid: u32) -> io::Result<PathBuf> {
    let dir = match Instance::usual(uid) {
        Instance::System => PathBuf::from("/run/provost"),
        Instance::User => user_runtime(uid),
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
        let why = format!("{} is not a folder of uid {uid} alone; set XDG_RUNTIME_DIR to one that is", dir.display());
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

/// The caller's home: `$HOME`, else as the system has it.
pub(crate) fn home(uid: u32) -> Option<PathBuf> {
    env("HOME").map(PathBuf::from).filter(|dir| dir.is_absolute()).or_else(|| home_of(uid))
}

fn xdg(variable: &str, below_home: &str, uid: u32) -> Option<PathBuf> {
    let named = env(variable).map(PathBuf::from).filter(|dir| dir.is_absolute());
    Some(named.or_else(|| Some(home(uid)?.join(below_home)))?.join("provost"))
}

fn home_of(uid: u32) -> Option<PathBuf> {
    Some(nix::unistd::User::from_uid(uid.into()).ok()??.dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_folders_of_its_own_besides_those_of_the_system() {
        let system = Places::of(Instance::System, 0).unwrap();
        assert_eq!(system.registry(), Path::new("/var/lib/provost/registry"));
        assert_eq!(system.socket(), Path::new("/run/provost").join(CONTROL_SOCKET));
        let user = Places::of(Instance::User, 0).unwrap();
        assert!(user.state.ends_with(format!("provost/{}", machine_id())), "{}", user.state.display());
        assert!(user.runtime != system.runtime && user.config != system.config);
        assert_eq!((state_dir(0), config_dir(0)), (Some(system.state), Some(system.config)));
    }
}
