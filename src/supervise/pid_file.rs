//! Pid files: for programs that look for a service's pid in a file, as they always did.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Writes the pid: whole to a temporary file, and renamed. The folder is made if there is none.
///
/// # Errors
/// The system's, with the path.
pub(crate) fn write(path: &Path, pid: u32) -> io::Result<()> {
    let about = |error: io::Error| io::Error::new(error.kind(), format!("pid file {}: {error}", path.display()));
    let temporary = temporary(path).ok_or_else(|| about(io::ErrorKind::InvalidInput.into()))?;
    let result = put(&temporary, path, pid);
    if result.is_err() {
        let _never_made = fs::remove_file(&temporary);
    }
    result.map_err(about)
}

fn put(temporary: &Path, path: &Path, pid: u32) -> io::Result<()> {
    // A new file always: a link that somebody put there is not followed.
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o644).open(temporary);
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(temporary)?;
            open()?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            open()?
        }
        opened => opened?,
    };
    file.write_all(format!("{pid}\n").as_bytes())?;
    fs::rename(temporary, path)
}

fn temporary(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    Some(path.with_file_name(format!(".{name}.new")))
}

/// The pid in the file; `None` where there is none.
pub(crate) fn read(path: &Path) -> Option<u32> {
    // The folder may be the service's own: no link is followed, and nothing is waited for.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let mut text = String::new();
    file.metadata().ok()?.is_file().then(|| file.take(64).read_to_string(&mut text))?.ok()?;
    text.trim().parse().ok()
}

/// Removes the file if it still names this pid: another may have written it since.
pub(crate) fn remove(path: &Path, pid: u32) {
    if read(path) == Some(pid)
        && let Err(error) = fs::remove_file(path)
    {
        tracing::warn!("the pid file {} stays: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_whole_and_removed_by_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/a.pid");
        write(&path, 41).unwrap();
        fs::write(dir.path().join("run/.a.pid.new"), "left behind").unwrap();
        write(&path, 42).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "42\n");
        remove(&path, 41);
        assert_eq!(read(&path), Some(42), "it is another's");
        remove(&path, 42);
        assert_eq!(read(&path), None);
        assert_eq!(fs::read_dir(dir.path().join("run")).unwrap().count(), 0, "nothing else is left");
        let error = write(&dir.path().join("run"), 1).unwrap_err().to_string();
        assert!(error.starts_with("pid file /") && error.contains("directory"), "{error}");
    }
}
