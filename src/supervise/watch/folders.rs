//! Folders that the kernel watches for us (inotify(7)). Told is what is made, moved or removed in them,
//! and what was written, once its writer has closed it: what is only read, or grows without an end like
//! a log in the folder of a config, wakes nobody.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::sys::watched::Watched;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// What this names is another file or folder than before, or none.
    Replaced(PathBuf),
    /// This was written.
    Written(PathBuf),
    /// More happened than the kernel keeps.
    TooMuch,
}

#[derive(Debug)]
pub(super) struct Folders {
    inotify: Watched,
    paths: HashMap<i32, PathBuf>,
    watches: HashMap<PathBuf, i32>,
}

impl Folders {
    /// None yet. Needs a tokio runtime.
    pub(super) fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|error| match error {
            Errno::MFILE => io::Error::other(
                "the kernel allows you no more users of inotify: raise fs.inotify.max_user_instances, or run less",
            ),
            other => other.into(),
        })?;
        Ok(Self { inotify: Watched::new(fd)?, paths: HashMap::new(), watches: HashMap::new() })
    }

    pub(super) fn watch(&mut self, folder: &Path) -> io::Result<()> {
        let what = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        let watch = inotify::add_watch(self.inotify.get(), folder, what).map_err(|error| match error {
            Errno::NOSPC => io::Error::other(
                "the kernel allows you no more watches: raise fs.inotify.max_user_watches, or watch less",
            ),
            other => other.into(),
        })?;
        self.paths.insert(watch, folder.to_owned());
        self.watches.insert(folder.to_owned(), watch);
        Ok(())
    }

    pub(super) fn unwatch(&mut self, folder: &Path) {
        let Some(watch) = self.watches.remove(folder) else { return };
        // By its new name the same folder may be watched already.
        if self.paths.get(&watch).is_some_and(|path| path == folder) {
            self.paths.remove(&watch);
            let _gone_with_its_folder = inotify::remove_watch(self.inotify.get(), watch);
        }
    }

    /// Waits until something happens. It can be dropped and called again.
    pub(super) async fn heard(&self) -> io::Result<Vec<Heard>> {
        let mut all = Vec::new();
        let read = |fd: &_| {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = inotify::Reader::new(fd, &mut buffer);
            loop {
                let event = events.next()?;
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                let heard = self.meant(event.wd(), event.events(), name);
                if heard.is_some() && all.last() != heard.as_ref() {
                    all.extend(heard);
                }
                if events.is_buffer_empty() {
                    return Ok(());
                }
            }
        };
        self.inotify.drain(read).await?;
        Ok(all)
    }

    fn meant(&self, watch: i32, what: ReadFlags, name: Option<&OsStr>) -> Option<Heard> {
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            return Some(Heard::TooMuch);
        }
        let folder = self.paths.get(&watch)?;
        let path = name.map_or_else(|| folder.clone(), |name| folder.join(name));
        Some(if what.contains(ReadFlags::CLOSE_WRITE) { Heard::Written(path) } else { Heard::Replaced(path) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;
    use std::time::Duration;

    /// All that is told within a moment.
    async fn told(folders: &Folders) -> Vec<Heard> {
        let heard = tokio::time::timeout(Duration::from_millis(20), folders.heard()).await;
        heard.map(Result::unwrap).unwrap_or_default()
    }

    #[tokio::test]
    async fn only_what_may_change_a_file_wakes_anybody() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (file, other) = (dir.join("a"), dir.join("b"));
        let mut folders = Folders::new().unwrap();
        folders.watch(&dir).unwrap();
        let mut open = fs::File::create(&file).unwrap();
        assert_eq!(told(&folders).await, [Heard::Replaced(file.clone())]);
        open.write_all(b"more and more").unwrap();
        fs::read(&file).unwrap();
        fs::metadata(&file).unwrap();
        assert_eq!(told(&folders).await, []);
        drop(open);
        assert_eq!(told(&folders).await, [Heard::Written(file.clone())]);
        fs::rename(&file, &other).unwrap();
        fs::remove_file(&other).unwrap();
        let renamed = [Heard::Replaced(file), Heard::Replaced(other)];
        assert_eq!(told(&folders).await, renamed);
        folders.unwatch(&dir);
        fs::write(dir.join("c"), "").unwrap();
        assert_eq!(told(&folders).await, []);
    }

    #[tokio::test]
    async fn a_folder_tells_of_itself() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let mut folders = Folders::new().unwrap();
        folders.watch(&inner).unwrap();
        fs::rename(&inner, dir.path().join("elsewhere")).unwrap();
        assert_eq!(told(&folders).await, [Heard::Replaced(inner.clone())]);
        let missing = folders.watch(&inner).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
