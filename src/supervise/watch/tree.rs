//! What a service is made of: all below some folders, but for what .gitignore, the user and common
//! sense leave out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gix_ignore::Search;
use gix_ignore::glob::pattern::Case;
use gix_ignore::search::Ignore;

/// More folders than these are a mistake, and more than a kernel watches for a user.
const MOST: usize = 20_000;
/// Folders that nobody edits.
const NEVER: [&str; 11] = [
    ".git",
    ".hg",
    ".svn",
    ".jj",
    "__pycache__",
    "node_modules",
    ".venv",
    "venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
];

/// The sources of one service.
pub(crate) struct Sources {
    roots: Vec<PathBuf>,
    patterns: Vec<String>,
    /// How long it must be quiet.
    pub(super) debounce: Duration,
    rules: Search,
    own: Search,
    changed: bool,
}

impl Sources {
    /// Of these files and folders; `patterns`: what is left out besides, as in a .gitignore.
    pub(crate) fn new(roots: Vec<PathBuf>, patterns: Vec<String>, debounce: Duration) -> Self {
        let own = Search::from_overrides(patterns.iter(), Ignore::default());
        Self { roots, patterns, debounce, rules: Search::default(), own, changed: false }
    }

    /// Whether it is the same that is watched.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        (&self.roots, &self.patterns, self.debounce) == (&other.roots, &other.patterns, other.debounce)
    }

    /// Reads what is to be left out, and says which folders are to be watched.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn look(&mut self) -> Result<BTreeSet<PathBuf>, String> {
        self.rules = Search::default();
        let mut folders = BTreeSet::new();
        for root in self.roots.clone() {
            let ancestors: Vec<&Path> = root.ancestors().skip(1).collect();
            // From the top of the work tree down to here.
            let top = root.ancestors().position(|folder| folder.join(".git").exists()).unwrap_or(0);
            ancestors.into_iter().take(top).collect::<Vec<_>>().into_iter().rev().for_each(|folder| self.read(folder));
            if root.is_dir() {
                self.walk(&root, &mut folders)?;
            } else if let Some(folder) = root.parent() {
                folders.insert(folder.to_owned());
            }
        }
        Ok(folders)
    }

    fn walk(&mut self, root: &Path, folders: &mut BTreeSet<PathBuf>) -> Result<(), String> {
        let mut left = vec![root.to_owned()];
        while let Some(folder) = left.pop() {
            if folders.len() >= MOST {
                let root = root.display();
                return Err(format!("{root} has more than {MOST} folders: write watch = {{ paths = […] }} or ignore"));
            }
            self.read(&folder);
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let inside = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(inside.map(|entry| entry.path()).filter(|path| {
                let never = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| NEVER.contains(&name));
                !never
                    && !ignored(&self.rules, path, true)
                    && !ignored(&self.own, path.strip_prefix(root).unwrap_or(path), true)
            }));
            folders.insert(folder);
        }
        Ok(())
    }

    fn read(&mut self, folder: &Path) {
        let path = folder.join(".gitignore");
        if let Some(text) = crate::files::open_regular(&path).and_then(|(file, found)| super::all_of(file, &found)) {
            let _ = self.rules.add_patterns_buffer(&text, path, Some(Path::new("/")), Ignore::default());
        }
    }

    /// Whether a change of this path counts.
    pub(super) fn concerns(&mut self, path: &Path) -> bool {
        let Some(root) = self.roots.iter().filter(|root| path.starts_with(root)).max_by_key(|r| r.as_os_str().len())
        else {
            return false;
        };
        let Ok(inside) = path.strip_prefix(root) else { return false };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let never = inside.components().any(|part| part.as_os_str().to_str().is_some_and(|name| NEVER.contains(&name)));
        // Named itself, it counts whatever else is said.
        let named = inside.as_os_str().is_empty() && !path.is_dir();
        let folder = path.is_dir();
        let left_out = || {
            let above = path.ancestors().skip(1).take_while(|above| above.starts_with(root) && above != root);
            above.into_iter().any(|above| ignored(&self.rules, above, true)) || ignored(&self.rules, path, folder)
        };
        let concerns = named || !(never || is_temporary(name) || left_out() || self.leaves_out(inside, folder));
        self.changed |= concerns;
        concerns
    }

    fn leaves_out(&self, inside: &Path, folder: bool) -> bool {
        let mut all = inside.ancestors().filter(|above| !above.as_os_str().is_empty());
        all.any(|above| ignored(&self.own, above, folder || above != inside))
    }

    /// Whether anything that counts has changed since this was last asked.
    pub(super) fn has_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// Whether the last pattern that fits says so.
fn ignored(rules: &Search, path: &Path, folder: bool) -> bool {
    let bytes = path.strip_prefix("/").unwrap_or(path).as_os_str().as_encoded_bytes();
    let found = rules.pattern_matching_relative_path(bytes.into(), Some(folder), Case::Sensitive);
    found.is_some_and(|found| !found.pattern.is_negative())
}

/// What an editor makes beside a file while it writes it.
fn is_temporary(name: &str) -> bool {
    let ends =
        ["~", ".swp", ".swx", ".swo", ".tmp", ".bak", ".orig", ".rej", ".kate-swp", "___jb_tmp___", "___jb_old___"];
    let begins = [".#", ".goutputstream-", ".~lock."];
    name == "4913"
        || name.len() > 2 && name.starts_with('#') && name.ends_with('#')
        || ends.iter().any(|end| name.ends_with(end))
        || begins.iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_and_editors_leave_behind_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for folder in [".git", "app/src/deep", "app/target/debug", "app/data/cache", "app/node_modules/x", "app/out"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join(".gitignore"), "*.log\n/app/out\n").unwrap();
        fs::write(root.join("app/.gitignore"), "/target\n!kept.log\n").unwrap();
        fs::write(root.join("app/src/.gitignore"), "generated.rs\n").unwrap();
        let app = root.join("app");
        let mut sources = Sources::new(vec![app.clone()], vec!["data/".into(), "*.csv".into()], Duration::ZERO);
        let folders = sources.look().unwrap();
        let folders: Vec<String> =
            folders.iter().map(|f| f.strip_prefix(&root).unwrap().display().to_string()).collect();
        assert_eq!(folders, ["app", "app/src", "app/src/deep"]);
        for counts in ["main.py", "src/a.rs", "kept.log", "src/deep/generated.txt", "src/new/x.py"] {
            assert!(sources.concerns(&app.join(counts)), "{counts}");
        }
        assert!(sources.has_changed() && !sources.has_changed());
        for not in [
            "a.log",
            "src/a.log",
            "target",
            "target/debug/x",
            "src/generated.rs",
            "src/deep/generated.rs",
            "out/x",
            "data/x",
            "x.csv",
            "src/x.csv",
            "src/.a.rs.swp",
            "src/a.rs~",
            "4913",
            "src/.#a.rs",
            "src/#a.rs#",
            "__pycache__/a.pyc",
            "src/deep/__pycache__/a.pyc",
        ] {
            assert!(!sources.concerns(&app.join(not)), "{not}");
        }
        assert!(!sources.concerns(&root.join("other.py")) && !sources.has_changed());
        let mut one = Sources::new(vec![app.join("main.py")], Vec::new(), Duration::ZERO);
        assert_eq!(one.look().unwrap().into_iter().collect::<Vec<_>>(), std::slice::from_ref(&app));
        assert!(one.concerns(&app.join("main.py")) && !one.concerns(&app.join("b.py")));
    }
}
