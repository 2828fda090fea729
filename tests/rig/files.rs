//! Files of the rig, read and written from outside; no path leads out of it.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid};

use super::{Result, Rig, program};

impl Rig {
    /// Writes a file of root's with this mode, and the folders that lead to it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        self.write_as("root", path, content, mode)
    }

    /// The same for another owner, who gets the new folders, too.
    pub fn write_as(&self, user: &str, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        let uid = if user == "root" { 0 } else { self.uid(user)? };
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)));
        self.make_folders(Path::new(path).parent().unwrap_or(Path::new("/")), owner)?;
        // Beside its place first: whoever watches the folder sees it appear whole.
        let (folder, name) = self.parent(path)?;
        let (_, fresh) = self.parent(&format!("{path}.new-by-rig"))?;
        if mode & 0o111 == 0 {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&folder, &fresh, flags, Mode::from_raw_mode(0o600))?;
            std::fs::File::from(file).write_all(content.as_ref())?;
        } else {
            program::write(content, &seen_by_others(&folder, &fresh), mode)?;
        }
        rustix::fs::chownat(&folder, &fresh, owner.0, owner.1, AtFlags::empty())?;
        // Last: whoever gets a file loses its special bits.
        rustix::fs::chmodat(&folder, &fresh, Mode::from_raw_mode(mode), AtFlags::empty())?;
        Ok(rustix::fs::renameat(&folder, fresh, &folder, name)?)
    }

    /// Copies a program of the host to a path in an existing folder.
    pub fn copy_program(&self, from: &Path, path: &str) -> Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(program::copy(from, &seen_by_others(&folder, &name))?)
    }

    /// The content of a file, as text.
    pub fn read(&self, path: &str) -> Result<String> {
        let mut bytes = Vec::new();
        std::fs::File::from(self.open(path, OFlags::RDONLY, Mode::empty())?).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether there is something at this path.
    pub fn exists(&self, path: &str) -> bool {
        self.open(path, OFlags::PATH, Mode::empty()).is_ok()
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) -> Result<()> {
        let (folder, name) = self.parent(path)?;
        rustix::fs::unlinkat(&folder, name, AtFlags::empty()).map_err(|e| format!("{path}: {e}").into())
    }

    /// Renames a file.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let ((old, from), (new, to)) = (self.parent(from)?, self.parent(to)?);
        Ok(rustix::fs::renameat(&old, from, &new, to)?)
    }

    /// Makes a symbolic link.
    pub fn link(&self, target: &str, path: &str) -> Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::symlinkat(target, &folder, name)?)
    }

    /// Opens a file of the rig, symbolic links resolved as the rig sees them.
    pub(super) fn open(&self, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, mode, ResolveFlags::IN_ROOT)
            .map_err(|e| format!("{path}: {e}").into())
    }

    fn parent(&self, path: &str) -> Result<(OwnedFd, PathBuf)> {
        let path = Path::new(path);
        let (Some(folder), Some(name)) = (path.parent().and_then(Path::to_str), path.file_name()) else {
            return Err(format!("{}: no file in a folder", path.display()).into());
        };
        Ok((self.open(folder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?, name.into()))
    }

    fn make_folders(&self, path: &Path, owner: (Option<Uid>, Option<Gid>)) -> Result<()> {
        let mut at = PathBuf::from("/");
        for part in path.components().filter(|c| matches!(c, Component::Normal(_))) {
            at.push(part);
            let text = at.to_str().ok_or("a path that is not UTF-8")?;
            if !self.exists(text) {
                let (folder, name) = self.parent(text)?;
                rustix::fs::mkdirat(&folder, &name, Mode::from_raw_mode(0o755))?;
                rustix::fs::chownat(&folder, &name, owner.0, owner.1, AtFlags::empty())?;
            }
        }
        Ok(())
    }
}

/// The way of another process to what is in a folder that this one has open.
fn seen_by_others(folder: &OwnedFd, name: &Path) -> PathBuf {
    let (own, folder) = (std::process::id(), folder.as_raw_fd());
    Path::new(&format!("/proc/{own}/fd/{folder}")).join(name)
}
