//! Where one rig keeps what it needs on the host, and how that is removed: by the keeper at the end, or by the next run.
//!
//! A rig is one folder and one cgroup of the same name. The folder holds a lock for as long as its keeper lives, so that a
//! folder whose lock is free is a left-over. Processes are killed through that cgroup, which holds nothing else, never by
//! name or number.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::mount::UnmountFlags;

use super::{Result, host};

/// Holds the folders of all rigs of this machine.
const ALL: &str = "/var/tmp/provost-rig";

/// The folder and the cgroups of one rig.
pub struct Place {
    pub name: String,
    pub dir: PathBuf,
    pub cgroups: Vec<PathBuf>,
    _lock: OwnedFd,
}

impl Place {
    /// Makes a new one, with a name that nothing else has.
    pub fn new() -> Result<Self> {
        let _all = lock_all()?;
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        let name = format!("provost-rig-{}", random.get(..8).unwrap_or("x"));
        let dir = Path::new(ALL).join(&name);
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let lock = open_dir(&dir)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let cgroups: Vec<PathBuf> = host::cgroup_bases()?.into_iter().map(|base| base.join(&name)).collect();
        let mut list = File::create(dir.join("cgroups"))?;
        for path in &cgroups {
            writeln!(list, "{}", path.display())?;
        }
        if let Some(first) = cgroups.first() {
            fs::create_dir(first).map_err(|e| format!("cannot make the cgroup {}: {e}", first.display()))?;
        }
        Ok(Self { name, dir, cgroups, _lock: lock })
    }

    /// Removes everything. What is mounted in the folder must have been unmounted.
    pub fn remove(&self) -> Result<()> {
        let _all = lock_all()?;
        remove(&self.dir, &self.cgroups)
    }
}

/// Removes what keepers that were killed have left. What cannot be removed now is for the next run.
pub fn left_overs() {
    let Ok(_all) = lock_all() else { return };
    for entry in fs::read_dir(ALL).into_iter().flatten().flatten() {
        let (name, dir) = (entry.file_name(), entry.path());
        let Ok(lock) = open_dir(&dir) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let list = fs::read_to_string(dir.join("cgroups")).unwrap_or_default();
        let cgroups: Vec<PathBuf> = list.lines().map(PathBuf::from).filter(|p| p.ends_with(&name)).collect();
        let _ = kill(&cgroups);
        for mounted in ["root", "layers"] {
            let _ = rustix::mount::unmount(dir.join(mounted), UnmountFlags::DETACH);
        }
        let _ = remove(&dir, &cgroups);
    }
}

/// Kills every process in these cgroups and waits until none is left.
pub fn kill(cgroups: &[PathBuf]) -> Result<()> {
    let Some(v2) = cgroups.first().filter(|c| c.exists()) else { return Ok(()) };
    fs::write(v2.join("cgroup.kill"), "1")?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while fs::read_to_string(v2.join("cgroup.events"))?.contains("populated 1") {
        if Instant::now() > deadline {
            return Err(format!("processes in {} do not die", v2.display()).into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// The file that moves whoever writes `0` to it into `cgroup`.
pub fn procs(cgroup: &Path) -> Result<File> {
    let path = cgroup.join("cgroup.procs");
    File::options().write(true).open(&path).map_err(|e| format!("{}: {e}", path.display()).into())
}

fn remove(dir: &Path, cgroups: &[PathBuf]) -> Result<()> {
    for cgroup in cgroups.iter().filter(|c| c.exists()) {
        remove_tree_of_cgroups(cgroup)?;
    }
    fs::remove_dir_all(dir)?;
    let _ = fs::remove_dir(ALL);
    Ok(())
}

fn remove_tree_of_cgroups(cgroup: &Path) -> Result<()> {
    for entry in fs::read_dir(cgroup)?.flatten().filter(|e| e.path().is_dir()) {
        remove_tree_of_cgroups(&entry.path())?;
    }
    Ok(fs::remove_dir(cgroup)?)
}

/// Opens and locks [`ALL`], which must be root's own.
fn lock_all() -> Result<OwnedFd> {
    loop {
        match fs::DirBuilder::new().mode(0o700).create(ALL) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(format!("{ALL}: {e}").into()),
            _ => {}
        }
        let all = match open_dir(Path::new(ALL)) {
            Err(_) if !Path::new(ALL).is_symlink() && !Path::new(ALL).exists() => continue,
            other => other?,
        };
        flock(&all, FlockOperation::LockExclusive)?;
        let stat = rustix::fs::fstat(&all)?;
        if stat.st_uid != 0 || stat.st_mode & 0o022 != 0 {
            return Err(format!("{ALL} is not root's own").into());
        }
        // Another run may have removed it between the two calls.
        if fs::symlink_metadata(ALL).is_ok_and(|now| now.ino() == stat.st_ino) {
            return Ok(all);
        }
    }
}

fn open_dir(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|e| format!("{}: {e}", path.display()).into())
}
