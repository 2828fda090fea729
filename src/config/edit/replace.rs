//! The file itself: one writer at a time, the old one kept, the new one there at once or not at all.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, XattrFlags};

use super::{ETag, EditError};
use crate::config::file;

/// So many old files are kept: NAME.~1~, NAME.~2~, …; the highest number is the newest.
const KEPT: u32 = 10;

/// A new content that lies beside the file that it is to replace. Nobody else can change that file
/// meanwhile; dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Staged {
    /// The file, links resolved: what a link leads to is replaced, and not the link.
    real: PathBuf,
    /// The new content; it holds the lock.
    new: PathBuf,
    file: File,
    etag: ETag,
    done: bool,
    /// There is nothing to replace.
    first: bool,
}

impl Staged {
    /// `old`: what must be there still. `system`: the file must be root's alone.
    pub(super) fn make(path: &Path, old: &ETag, text: &[u8], system: bool) -> Result<Self, EditError> {
        let io =
            |source: io::Error| EditError::Io { path: path.to_owned(), source: crate::disk::explained(source, path) };
        let real = fs::canonicalize(path).map_err(io)?;
        let (Some(folder), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(io(io::Error::from(io::ErrorKind::IsADirectory)));
        };
        // Its extension stays: some programs tell a format by it.
        let new = folder.join(format!(".new-{}", name.to_string_lossy()));
        let file = lock(&new).map_err(io)?.ok_or_else(|| EditError::Busy(path.to_owned()))?;
        let mut staged = Self { real, new, file, etag: ETag::of(text), done: false, first: false };
        // Under the lock: what is there is what was read.
        let bytes = file::bytes(path, system)
            .map_err(|message| EditError::Invalid(super::errors::Problem::of_file(path, message).into()))?;
        let now = ETag::of(&bytes);
        if now != *old {
            return Err(EditError::Conflict { path: path.to_owned(), expected: old.clone(), now: Some(now) });
        }
        staged.fill(text).map_err(io)?;
        Ok(staged)
    }

    /// A file that is not there yet; nobody but its owner may read it.
    pub(super) fn begin(path: &Path, text: &[u8]) -> Result<Self, EditError> {
        let io =
            |source: io::Error| EditError::Io { path: path.to_owned(), source: crate::disk::explained(source, path) };
        let real = file::absolute(path).map_err(EditError::Invalid)?;
        let (Some(folder), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(io(io::Error::from(io::ErrorKind::IsADirectory)));
        };
        let new = folder.join(format!(".new-{}", name.to_string_lossy()));
        let file = lock(&new).map_err(io)?.ok_or_else(|| EditError::Busy(path.to_owned()))?;
        let mut staged = Self { real, new, file, etag: ETag::of(text), done: false, first: true };
        let fill = |file: &mut File| {
            file.set_len(0)?;
            file.write_all(text)?;
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.sync_all()
        };
        fill(&mut staged.file).map_err(io)?;
        Ok(staged)
    }

    fn fill(&mut self, text: &[u8]) -> io::Result<()> {
        let old = fs::metadata(&self.real)?;
        self.file.set_len(0)?;
        self.file.write_all(text)?;
        self.like(&old)?;
        self.file.sync_all()
    }

    /// Whose it is, and who may read it, stays.
    fn like(&self, old: &Metadata) -> io::Result<()> {
        let own = self.file.metadata()?;
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            std::os::unix::fs::fchown(&self.file, Some(old.uid()), Some(old.gid())).map_err(|error| {
                let (user, group) = (crate::observe::user_name(old.uid()), old.gid());
                let whose = format!("it belongs to {user} and group {group}, and that could not be kept");
                io::Error::new(error.kind(), format!("{whose}: {error}"))
            })?;
        }
        // An access list that is lost would leave its mask to the group.
        for name in ["system.posix_acl_access", "security.selinux"] {
            let mut value = vec![0; 64 << 10];
            if let Ok(length) = rustix::fs::getxattr(&self.real, name, value.as_mut_slice()) {
                let _ = rustix::fs::fsetxattr(&self.file, name, &value[..length], XattrFlags::empty());
            }
        }
        self.file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))
    }

    /// Where the new content lies.
    pub(crate) fn path(&self) -> &Path {
        &self.new
    }

    /// The file that it is to replace.
    pub(crate) fn file(&self) -> &Path {
        &self.real
    }

    /// Puts it in the place of the file; what was there is the newest backup.
    ///
    /// # Errors
    /// The system's; the file is as it was then.
    pub(crate) fn commit(mut self) -> Result<ETag, EditError> {
        let io = |source| EditError::Io { path: self.real.clone(), source };
        if self.first {
            // Under the lock, so that of two of us one comes first; whoever else made it is not overwritten.
            if fs::symlink_metadata(&self.real).is_ok() {
                let (path, expected) = (self.real.clone(), self.etag.clone());
                return Err(EditError::Conflict { path, expected, now: None });
            }
        } else {
            back_up(&self.real).map_err(io)?;
        }
        fs::rename(&self.new, &self.real).map_err(io)?;
        self.done = true;
        let folder = self.real.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        Ok(self.etag.clone())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.done {
            // The lock is held until the file is closed, which is later.
            let _gone = fs::remove_file(&self.new);
        }
    }
}

/// The file for the new content, which is the lock as well: nobody but its owner can open it, so
/// nobody else can hold it. One that a dead writer left is taken over. `None`: a living one has it.
fn lock(new: &Path) -> io::Result<Option<File>> {
    loop {
        let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow);
        let file = options.open(new)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("{} is no regular file", new.display())));
        }
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Whoever had it may have renamed or removed it before we locked it.
        let (own, there) = (file.metadata()?, fs::symlink_metadata(new));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
            return Ok(Some(file));
        }
    }
}

/// Keeps the file that is there under the next number, and of those only the newest.
fn back_up(real: &Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (real.parent(), real.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let number = |other: &str| -> Option<u32> {
        other.strip_prefix(name)?.strip_prefix(".~")?.strip_suffix('~')?.parse().ok().filter(|n| *n > 0)
    };
    let names = fs::read_dir(folder)?.flatten().map(|entry| entry.file_name());
    let mut numbers: Vec<u32> = names.filter_map(|other| number(other.to_str()?)).collect();
    numbers.sort_unstable();
    let next = numbers.last().map_or(1, |last| last.saturating_add(1));
    let of = |number: u32| folder.join(format!("{name}.~{number}~"));
    // The same file under another name: nothing is copied, and it is as it was in every way.
    if fs::hard_link(real, of(next)).is_err() {
        let old = fs::metadata(real)?;
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(old.mode() & 0o600).open(of(next))?;
        io::copy(&mut File::open(real)?, &mut copy)?;
    }
    let surplus = (numbers.len() + 1).saturating_sub(KEPT as usize);
    for number in numbers.into_iter().take(surplus) {
        let _ = fs::remove_file(of(number));
    }
    Ok(())
}
