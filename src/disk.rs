//! What a person is told when something cannot be written: not only the file, but the file system
//! that is full or read-only, because that is what has to be put right.

use std::io;
use std::path::{Path, PathBuf};

/// The error, and about the file system of this path if that is the reason.
pub(crate) fn explained(error: io::Error, path: &Path) -> io::Error {
    match reason(error.kind(), path) {
        Some(reason) => io::Error::new(error.kind(), format!("{error}: {reason}")),
        None => error,
    }
}

/// `the file system /home (ext4) is full`; `None`: it is not the file system's fault.
fn reason(kind: io::ErrorKind, path: &Path) -> Option<String> {
    let is = match kind {
        io::ErrorKind::StorageFull => "is full",
        io::ErrorKind::QuotaExceeded => "has no more room for you: your quota is used up",
        io::ErrorKind::ReadOnlyFilesystem => "is read-only",
        _ => return None,
    };
    let mounts = std::fs::read("/proc/self/mountinfo").ok()?;
    let real = path.ancestors().find_map(|part| part.canonicalize().ok())?;
    let (mount, kind) = mount_of(&String::from_utf8_lossy(&mounts), &real)?;
    Some(format!("the file system {} ({kind}) {is}", mount.display()))
}

/// Where the file system of a path is mounted, and its type; of several at one place the last one
/// is seen.
fn mount_of(mountinfo: &str, path: &Path) -> Option<(PathBuf, String)> {
    let parsed = mountinfo.lines().filter_map(|line| {
        let mount = PathBuf::from(unescaped(line.split(' ').nth(4)?));
        let kind = line.split(" - ").nth(1)?.split(' ').next()?.to_owned();
        path.starts_with(&mount).then_some((mount, kind))
    });
    parsed.max_by_key(|(mount, _)| mount.components().count())
}

/// Blanks and the like are octal numbers there.
fn unescaped(word: &str) -> String {
    let mut text = word.to_owned();
    for (code, is) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(code, is);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        30 21 0:5 / /home/my\\040data rw shared:3 - tmpfs tmpfs rw\n\
        31 30 0:6 / /home/my\\040data rw - xfs /dev/sdb rw\n";

    #[test]
    fn the_innermost_mount_that_is_seen_is_named() {
        let of = |path: &str| mount_of(MOUNTS, Path::new(path)).map(|(at, kind)| format!("{} {kind}", at.display()));
        assert_eq!(of("/home/my data/x/y").as_deref(), Some("/home/my data xfs"));
        assert_eq!(of("/home/my").as_deref(), Some("/ ext4"));
        assert_eq!(of("relative"), None);
    }

    #[test]
    fn only_what_is_the_file_systems_fault_is_explained() {
        let told = |kind| explained(io::Error::from(kind), Path::new("/proc/none/x")).to_string();
        assert!(told(io::ErrorKind::ReadOnlyFilesystem).contains("the file system /proc (proc) is read-only"));
        assert!(!told(io::ErrorKind::PermissionDenied).contains("file system /proc"));
    }
}
