//! The program of a service, or its script, as files: where they are, and why they cannot be executed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

pub(super) fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// A file that the daemon may execute.
fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// What may be a program to others: what is denied to the daemon it cannot know.
fn may_be_program(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(found) => found.is_file() && found.permissions().mode() & 0o111 != 0,
        Err(error) => is_denied(&error),
    }
}

/// The program in the service's own PATH, or from its folder. `by_unit`: a unit executes it, which may be allowed
/// what is denied to the daemon, and says if it is not.
pub(super) fn find_program(
    name: &str,
    env: &BTreeMap<String, String>,
    cwd: &Path,
    by_unit: bool,
) -> Result<PathBuf, String> {
    if name.contains('/') {
        let path = cwd.join(name);
        if is_program(&path) || by_unit && may_be_program(&path) {
            return Ok(path);
        }
        return Err(format!("{}: {}", path.display(), no_program(&path)));
    }
    let dirs = env.get("PATH").map_or("", String::as_str).split(':').filter(|dir| dir.starts_with('/'));
    let all: Vec<PathBuf> = dirs.map(|dir| Path::new(dir).join(name)).collect();
    let unseen = || all.iter().find(|path| by_unit && may_be_program(path));
    let found = all.iter().find(|path| is_program(path)).or_else(unseen).cloned();
    found.ok_or_else(|| format!("{name}: there is no such program in the PATH of the service"))
}

/// Interpreters that take a word with an extension for a file, and nothing else; python does so of any word.
const OF_FILES: [&str; 6] = ["node", "bash", "sh", "perl", "ruby", "php"];

/// A script that is not there, where its interpreter is known to find none either: it would only fail, again and again.
pub(super) fn check_script(argv: &[String], cwd: &Path) -> Result<(), String> {
    let [interpreter, script, ..] = argv else { return Ok(()) };
    let name = interpreter.rsplit('/').next().unwrap_or_default();
    let (path, python) = (cwd.join(script), name.starts_with("python"));
    // Shells look in the PATH too.
    let of_files = || path.extension().is_some() && (script.contains('/') || !name.ends_with("sh"));
    if script.starts_with('-') || !(python || OF_FILES.contains(&name) && of_files()) {
        return Ok(());
    }
    let is_missing = match fs::metadata(&path) {
        Ok(found) => python && found.is_dir() && !path.join("__main__.py").exists(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_missing { Err(format!("{}: {}", path.display(), no_program(&path))) } else { Ok(()) }
}

/// Why a file is none that can be executed.
fn no_program(path: &Path) -> String {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            let to = fs::read_link(path).unwrap_or_default();
            format!("it is a link to {}, which is not there", to.display())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => "there is no such file".to_owned(),
        Err(error) => error.to_string(),
        Ok(found) if found.is_dir() => "it is a folder".to_owned(),
        Ok(_) => "it may not be executed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_where_the_service_looks() {
        let env = |path: &str| BTreeMap::from([("PATH".to_owned(), path.to_owned())]);
        let find = |name: &str, path: &str| find_program(name, &env(path), Path::new("/usr"), false);
        assert_eq!(find("sh", "/nowhere:/bin"), Ok("/bin/sh".into()));
        assert_eq!(find("./bin/env", ""), Ok("/usr/./bin/env".into()));
        assert!(find("sh", "bin").unwrap_err().contains("no such program in the PATH of the service"));
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("python");
        std::os::unix::fs::symlink("/nowhere/python3", &link).unwrap();
        let why = find(&link.display().to_string(), "").unwrap_err();
        assert!(why.ends_with("python: it is a link to /nowhere/python3, which is not there"), "{why}");
        for (name, why) in [("/etc", "it is a folder"), ("/etc/passwd", "not be executed"), ("./x", "no such file")] {
            assert!(find(name, "/bin").unwrap_err().contains(why), "{name}");
        }
    }

    #[test]
    fn a_script_that_is_not_there_is_not_tried() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("there.py"), "").unwrap();
        fs::create_dir_all(dir.path().join("packed")).unwrap();
        fs::create_dir_all(dir.path().join("folder")).unwrap();
        fs::write(dir.path().join("packed/__main__.py"), "").unwrap();
        let check = |words: &str| check_script(&words.split(' ').map(str::to_owned).collect::<Vec<_>>(), dir.path());
        let good =
            "python3 there.py|/v/bin/python packed|python3 -m|node server|bash of-the-path.sh|uv run|deno a:b.ts";
        for words in good.split('|') {
            assert_eq!(check(words), Ok(()), "{words}");
        }
        for words in ["python3 nosuch.py", "/v/bin/python nosuch", "node x.js", "bash ./x.sh --flag"] {
            let why = check(words).unwrap_err();
            assert!(why.starts_with('/') && why.ends_with(": there is no such file"), "{why}");
        }
        assert!(check("python3 folder").unwrap_err().ends_with("folder: it is a folder"));
    }
}
