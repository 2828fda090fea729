//! Pid files: for programs that look for a service's pid in a file, as they always did.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Writes the pid: whole to a temporary file, and renamed. The folder is made if there is none.
///
/// # Errors
/// The system's, or that there is something else, with the path.
pub(crate) fn write(path: &Path, pid: u32) -> io::Result<()> {
    check(path)?;
    let about = |error| about(path, error);
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

fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{BEGINS}{}: {error}", path.display()))
}

/// What all that is said of one begins with.
pub(crate) const BEGINS: &str = "pid file ";

/// Whether a pid may be written there: nothing is lost but another pid.
///
/// # Errors
/// There is something else, or that cannot be told; with the path.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    let else_there = || io::Error::other("there is something else of that name, which is left as it is");
    match text(path) {
        Ok(Some(text)) if text.trim().is_empty() || text.trim().parse::<u32>().is_ok() => Ok(()),
        Ok(_) => Err(about(path, else_there())),
        Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
            // Where there is no folder one is made, or that it cannot be is said then.
            Some(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            // A link, or a socket.
            Some(Errno::LOOP | Errno::NXIO) => Err(about(path, else_there())),
            _ => Err(about(path, error)),
        },
    }
}

/// The pid in the file; `None` where there is none.
pub(crate) fn read(path: &Path) -> Option<u32> {
    text(path).ok()??.trim().parse().ok()
}

/// What is in the file; `None`: it is none that could hold a pid alone.
fn text(path: &Path) -> io::Result<Option<String>> {
    // The folder may be the service's own: no link is followed, and nothing is waited for.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let (mut bytes, found) = (Vec::new(), file.metadata()?);
    if !found.is_file() || found.len() > 64 {
        return Ok(None);
    }
    file.take(64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).ok())
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
        assert!(error.starts_with("pid file /") && error.contains("something else"), "{error}");
    }

    #[test]
    fn only_a_pid_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes");
        for (text, free) in [("", true), (" 4711\n", true), ("buy milk\n", false), ("47 11", false), ("1\n2\n", false)]
        {
            fs::write(&path, text).unwrap();
            assert_eq!(check(&path).is_ok(), free, "{text:?}");
            assert_eq!(write(&path, 7).is_ok(), free, "{text:?}");
            remove(&path, 7);
            let left = fs::read_to_string(&path).ok();
            assert_eq!(left.as_deref(), (!free).then_some(text));
        }
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for other in [&link, dir.path()] {
            let why = check(other).unwrap_err().to_string();
            assert!(why.contains("something else of that name"), "{why}");
        }
        check(&dir.path().join("none/a.pid")).unwrap();
        check(&path.join("a.pid")).unwrap();
    }
}
