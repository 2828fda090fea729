//! What the host must offer for a rig, and where its cgroup trees are.

use std::fs;
use std::path::{Path, PathBuf};

use super::Result;

/// Why no rig can run here, if so, in words for whoever reads the test output.
pub fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("a container needs root".into());
    }
    for program in ["systemd-nspawn", "nsenter", "setpriv"] {
        if which(program).is_none() {
            return Some(format!("{program} is not installed"));
        }
    }
    match cgroup_bases() {
        Ok(bases) if bases.is_empty() => Some("cgroup v2 is not mounted".into()),
        Ok(_) => None,
        Err(e) => Some(super::words(&e).to_owned()),
    }
}

/// The full path of a program, so that the environment given to it does not matter.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|d| d.join(program)).find(|p| p.is_file())
}

/// This process's own folder in the v2 tree and, where there is one, in the `name=systemd` tree: nspawn keeps both alike.
/// The first is the v2 one.
pub fn cgroup_bases() -> Result<Vec<PathBuf>> {
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let (v2, named) = mounts()?;
    let mut bases = Vec::new();
    if let Some(mount) = v2 {
        bases.push(mount.join(path_in(&own, "0::").unwrap_or_default()));
    }
    if let (Some(mount), false) = (named, bases.is_empty()) {
        // nspawn mirrors the v2 path there, whatever ours is.
        bases.push(mount.join(path_in(&own, "0::").unwrap_or_default()));
    }
    Ok(bases)
}

/// The folder, on the host, of the tree that the container's systemd sees as its root.
pub fn payload_of(leader: u32) -> Result<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{leader}/cgroup"))?;
    let path = path_in(&text, "0::").ok_or("the container's systemd has no v2 cgroup")?;
    let mount = mounts()?.0.ok_or("cgroup v2 is not mounted")?;
    let payload = Path::new(&path);
    Ok(mount.join(payload.parent().filter(|_| payload.ends_with("init.scope")).unwrap_or(payload)))
}

fn path_in(cgroup_file: &str, prefix: &str) -> Option<String> {
    let line = cgroup_file.lines().find_map(|l| l.strip_prefix(prefix))?;
    Some(line.trim_start_matches('/').to_owned())
}

/// Mount points of the v2 tree and of the v1 tree `name=systemd`.
fn mounts() -> Result<(Option<PathBuf>, Option<PathBuf>)> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let mut found = (None, None);
    for line in text.lines() {
        let Some((front, back)) = line.split_once(" - ") else { continue };
        let Some(point) = front.split(' ').nth(4) else { continue };
        let mut back = back.split(' ');
        match (back.next(), back.next_back()) {
            (Some("cgroup2"), _) if found.0.is_none() => found.0 = Some(point.into()),
            (Some("cgroup"), Some(options)) if options.split(',').any(|o| o == "name=systemd") => {
                found.1 = Some(point.into());
            }
            _ => {}
        }
    }
    Ok(found)
}
