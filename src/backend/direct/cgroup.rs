//! A control group for each service, where version 2 of the tree may be written by us: as the
//! owner of a delegated one, or on a host whose PID 1 is not systemd.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Mode, OFlags};

use crate::model::ServiceId;
use crate::model::service::Limits;
use crate::observe::ProcFs;

/// Where control groups of services are made: below that of the daemon.
#[derive(Debug)]
pub(super) struct Cgroups {
    mount: PathBuf,
    base: PathBuf,
    /// What the names of this instance's groups begin with: another's daemon may be in the same
    /// group, and have services of the same names.
    prefix: String,
}

/// The control group of one service.
#[derive(Debug, Clone)]
pub(super) struct Cgroup {
    path: PathBuf,
}

/// The period of `cpu.max`, in microseconds.
const PERIOD: u64 = 100_000;

impl Cgroups {
    /// Those of an instance; `None` where none can be made.
    pub(super) fn find(instance: &str) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter().map(PathBuf::from);
        let mount = mounts.into_iter().find(|dir| dir.join("cgroup.procs").exists())?;
        let mut base = mount.join(own.trim_start_matches('/'));
        // The program before this one may have been moved into a leaf of its own.
        if base.file_name().is_some_and(|name| name == "daemon") {
            base.pop();
        }
        let usable = delegated(&base) && rustix::fs::access(&base, Access::WRITE_OK).is_ok();
        let killable = base.join("cgroup.kill").exists() || base == mount;
        (usable && killable && rustix::fs::access(base.join("cgroup.procs"), Access::WRITE_OK).is_ok()).then(|| Self {
            mount,
            base,
            prefix: prefix(instance),
        })
    }

    fn name(&self, id: &ServiceId) -> String {
        format!("{}{id}", self.prefix)
    }

    fn path(&self, id: &ServiceId) -> PathBuf {
        self.base.join(self.name(id))
    }

    /// Makes the group of a service. Limits whose controller is not there are said.
    pub(super) fn make(&self, id: &ServiceId, limits: &Limits, warnings: &mut Vec<String>) -> Option<Cgroup> {
        let cgroup = Cgroup { path: self.path(id) };
        // Always a new one: some kernels (6.14 and near it) kill at birth who is cloned into a group
        // that was ever killed as a whole.
        let _ = fs::remove_dir(&cgroup.path);
        match fs::create_dir(&cgroup.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                tracing::debug!(%id, "no control group: {error}");
                return None;
            }
            _ => {}
        }
        let mut set = |key: &str, file: &str, value: Option<String>| {
            let Some(value) = value else { return };
            let path = cgroup.path.join(file);
            // Nobody can make a file there: one that is missing would be "permission denied".
            if !path.exists() {
                warnings.push(format!("limits.{key} is not enforced: control groups here have no {file}"));
            } else if let Err(error) = fs::write(path, value) {
                warnings.push(format!("limits.{key} is not enforced: {error} ({file})"));
            }
        };
        set("memory", "memory.max", limits.memory.map(|size| size.0.to_string()));
        set("cpu", "cpu.max", limits.cpu.map(|share| format!("{} {PERIOD}", u64::from(share.0) * PERIOD / 100)));
        set("tasks", "pids.max", limits.tasks.map(|tasks| tasks.to_string()));
        Some(cgroup)
    }

    /// The group that an earlier daemon made, if it is where this one would make it.
    pub(super) fn existing(&self, id: &ServiceId) -> Option<Cgroup> {
        let cgroup = Cgroup { path: self.path(id) };
        cgroup.path.is_dir().then_some(cgroup)
    }

    /// Whether nobody is in the group of a service; an empty one goes.
    pub(super) fn is_free(&self, id: &ServiceId) -> bool {
        !fs::remove_dir(self.path(id)).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
    }

    /// The groups of this instance that somebody is in, with the services that they were made for.
    pub(super) fn occupied(&self) -> Vec<(ServiceId, Vec<u32>)> {
        let entries = fs::read_dir(&self.base).into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix(&self.prefix)?.parse().ok());
        let groups = ids.filter_map(|id: ServiceId| Some((id.clone(), self.existing(&id)?.members())));
        groups.filter(|(id, members)| !id.is_glob() && !members.is_empty()).collect()
    }

    /// The group that a process is in, if it was made for this service.
    pub(super) fn of(&self, id: &ServiceId, pid: u32, proc: &ProcFs) -> Option<Cgroup> {
        let text = proc.cgroup(pid).ok()?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        let name = Path::new(path).file_name()?.to_str()?;
        // Earlier versions did not say whose it is; it holds this process, which is ours.
        let of_service = name == self.name(id) || name == format!("provost-{id}");
        of_service.then(|| Cgroup { path: self.mount.join(path.trim_start_matches('/')) })
    }
}

impl Cgroup {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder, for a child that is to be born in it.
    pub(super) fn folder(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        Ok(rustix::fs::open(&self.path, flags, Mode::empty())?)
    }

    /// Who is in it, and in the groups below it.
    pub(super) fn members(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
            let below = fs::read_dir(&folder).into_iter().flatten().flatten();
            folders.extend(below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()));
        }
        pids
    }

    /// Kills all of it (Linux 5.14); whether that could be asked for.
    pub(super) fn kill(&self) -> bool {
        fs::write(self.path.join("cgroup.kill"), "1").is_ok()
    }

    /// Removes it. What still has members stays.
    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_dir(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!("{} stays: {error}", self.path.display());
        }
    }
}

fn prefix(instance: &str) -> String {
    let plain: String = instance.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("provost-{plain}-")
}

/// Whether groups may be made there without anybody's harm: what systemd has not delegated is its
/// own, whoever may write it. PID 1 marks what it has delegated. A user's manager marks nothing (252
/// to 257), and all groups below it are the user's: ours is known by the name of our unit, which
/// has `Delegate=yes`.
fn delegated(dir: &Path) -> bool {
    if !crate::observe::is_booted_by_systemd() || is_own_unit(dir) {
        return true;
    }
    ["trusted.delegate", "user.delegate"].into_iter().any(|name| {
        let mut value = [0_u8; 8];
        rustix::fs::getxattr(dir, name, &mut value[..]).is_ok_and(|n| value.get(..n) == Some(b"1"))
    })
}

/// Whether it is that of our unit, of a user's manager.
fn is_own_unit(dir: &Path) -> bool {
    let manager = |part: &Path| part.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"user@"));
    dir.ends_with(crate::install::UNIT) && dir.ancestors().skip(1).any(manager)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_users_manager_only_our_own_unit_is_ours() {
        let own = |path: &str| is_own_unit(path.as_ref());
        assert!(own("/sys/fs/cgroup/user.slice/user-1.slice/user@1.service/app.slice/provost.service"));
        assert!(!own("/sys/fs/cgroup/user.slice/user-1.slice/user@1.service/app.slice/a.service"));
        assert!(!own("/sys/fs/cgroup/system.slice/provost.service"), "PID 1 would have marked it");
    }

    #[test]
    fn two_instances_share_no_group() {
        let of = |instance: &str| Cgroups { mount: "/m".into(), base: "/m/b".into(), prefix: prefix(instance) };
        let id: ServiceId = "llm".parse().unwrap();
        let (one, two) = (of("0123456789abcdef0123456789abcdef"), of("1123456789abcdef0123456789abcdef"));
        assert_eq!(one.path(&id), Path::new("/m/b/provost-0123456789ab-llm"));
        assert_ne!(one.path(&id), two.path(&id));
        assert_eq!(of("../x").path(&id), Path::new("/m/b/provost-x-llm"));
    }
}
