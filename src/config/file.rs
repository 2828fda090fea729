//! The one place of `config` that reads config files.

use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::errors::{Errors, Fault, Problem, located};
use super::trust::distrust;

/// Larger is no config: one of ten thousand services is half of it.
const MOST: u64 = 4 << 20;

/// The text of a file, without a byte order mark; `system`: which must be root's alone.
pub(super) fn read(path: &Path, system: bool) -> Result<String, Errors> {
    let wrong = |message: String| Errors::from(Problem::of_file(path, message));
    let io = |error: std::io::Error| wrong(format!("it cannot be read: {error}"));
    // A FIFO without a writer would be waited for.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(wrong("it is no regular file".to_owned()));
    }
    if system && let Some(why) = distrust(&file, path, 0) {
        return Err(wrong(format!("it {why}").replacen("it its", "its", 1)));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MOST {
        return Err(wrong(format!("it is larger than {} MiB, the most that is read", MOST >> 20)));
    }
    text(path, bytes)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Errors> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(at).copied().unwrap_or_default();
            let before = String::from_utf8_lossy(&error.as_bytes()[..at]);
            let fault = Fault::new(at, "", format!("it is not UTF-8: byte 0x{byte:02x} begins no character"));
            Err(Errors(located(path, &before, vec![fault])))
        }
    }
}

/// The file's path from the root, its folder without links: the same file has one name, and stays
/// in the folder where it was found.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Errors> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::canonicalize(folder);
    let folder = folder.map_err(|error| Problem::of_file(path, format!("its folder cannot be read: {error}")))?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let large = write("large.toml", &vec![b'#'; 5 << 20]);
        let bytes = write("bytes.toml", b"# a\nb = \"\xff\"\n");
        let fifo = folder.path().join("fifo.toml");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        for (path, part) in [
            (large, "larger than 4 MiB"),
            (bytes, ":2:6: it is not UTF-8: byte 0xff"),
            (fifo, "no regular file"),
            (folder.path().to_owned(), "no regular file"),
            (folder.path().join("none.toml"), "No such file"),
        ] {
            let error = read(&path, false).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(read(&write("bom.toml", "\u{feff}a = 1".as_bytes()), false).unwrap(), "a = 1");
    }
}
