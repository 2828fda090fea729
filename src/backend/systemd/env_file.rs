//! The variables of a service in a file that only root reads: everybody may read the properties
//! of system units, keys included.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// By which one is told from another.
pub(super) fn hash(env: &BTreeMap<String, String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    env.hash(&mut hasher);
    hasher.finish()
}

/// Writes the file of this name, whole or not at all, and says where it is.
pub(super) fn write(dir: &Path, name: &str, env: &BTreeMap<String, String>) -> io::Result<PathBuf> {
    crate::paths::make_private(dir, rustix::process::geteuid().as_raw())?;
    let (path, new) = (dir.join(name), dir.join(format!(".{name}.new")));
    let _ = std::fs::remove_file(&new);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text(env).as_bytes())?;
    std::fs::rename(&new, &path)?;
    Ok(path)
}

/// Removes it.
pub(super) fn remove(dir: &Path, name: &str) {
    let _not_there = std::fs::remove_file(dir.join(name));
}

/// As systemd.exec(5) reads it: between double quotes, a backslash before `"`, `\`, `` ` `` and `$` counts.
fn text(env: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in env {
        text.push_str(name);
        text.push_str("=\"");
        for c in value.chars() {
            if matches!(c, '"' | '\\' | '`' | '$') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push_str("\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn values_are_quoted_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("env");
        let env = [("A", "plain"), ("B", "a \"q\" $HOME `x` \\ 'y'\nz")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let path = write(&dir, "x", &env).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, "A=\"plain\"\nB=\"a \\\"q\\\" \\$HOME \\`x\\` \\\\ 'y'\nz\"\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        remove(&dir, "x");
        assert!(!path.exists());
    }
}
