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
    text(path, bytes(path, system).map_err(|message| Problem::of_file(path, message))?)
}

/// The text of an `env_file`; of the system instance it must be root's alone, as its config: who can
/// write it, or lead it elsewhere, says what root reads and programs are started with.
///
/// # Errors
/// Why not, without a word of the file: secrets are in it.
pub(crate) fn read_env_file(path: &Path, system: bool) -> Result<String, String> {
    String::from_utf8(bytes(path, system)?).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        format!("line {} is not UTF-8", before.split(|byte| *byte == b'\n').count())
    })
}

pub(super) fn bytes(path: &Path, system: bool) -> Result<Vec<u8>, String> {
    let io = |error: std::io::Error| format!("it cannot be read: {error}");
    // A FIFO without a writer would be waited for.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if system && let Some(why) = distrust(&file, path, 0) {
        return Err(format!("it {why}").replacen("it its", "its", 1));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(io)?;
    match bytes.len() as u64 > MOST {
        true => Err(format!("it is larger than {} MiB, the most that is read", MOST >> 20)),
        false => Ok(bytes),
    }
}

pub(super) fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Errors> {
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

    #[test]
    fn an_env_file_is_read_as_carefully() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| folder.path().join(name);
        fs::write(of("good"), "A=1\n").unwrap();
        fs::write(of("bytes"), b"A=1\nB=hush\xff\n").unwrap();
        fs::write(of("large"), vec![b'#'; 5 << 20]).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, of("fifo"), rustix::fs::Mode::RUSR).unwrap();
        symlink("/dev/zero", of("zero")).unwrap();
        assert_eq!(read_env_file(&of("good"), false).as_deref(), Ok("A=1\n"));
        assert_eq!(read_env_file(&of("bytes"), false).unwrap_err(), "line 2 is not UTF-8");
        for (name, part) in [("large", "larger than"), ("fifo", "no regular"), ("zero", "no regular")] {
            assert!(read_env_file(&of(name), false).unwrap_err().contains(part), "{name}");
        }
        // Others can write it: it is theirs to choose what root reads.
        fs::set_permissions(of("good"), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(read_env_file(&of("good"), false).is_ok());
        let why = read_env_file(&of("good"), true).unwrap_err();
        assert!(why.contains("by others") || why.contains("belongs to"), "{why}");
    }
}
