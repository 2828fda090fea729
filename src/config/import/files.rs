//! The one place of an import that reads further files: includes, drop-ins, what is beside.

use std::path::{Component, Path, PathBuf};

use super::Files;

/// More than these are no includes.
const MOST: usize = 1000;

/// The files of this host, as the caller may read them.
pub(crate) struct Host;

impl Files for Host {
    fn glob(&self, pattern: &Path) -> Vec<(PathBuf, Result<String, String>)> {
        let read = |path: PathBuf| {
            let text = crate::config::file::read(&path, false);
            let text = text.map_err(|errors| errors.0.first().map(|p| p.message.clone()).unwrap_or_default());
            (path, text)
        };
        found(pattern).into_iter().filter(|path| path.is_file()).map(read).collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        crate::observe::env(name)
    }

    fn processors(&self) -> usize {
        std::thread::available_parallelism().map_or(1, Into::into)
    }
}

/// The paths that fit a pattern, sorted; `*`, `?` and `[…]` in each part.
pub(super) fn found(pattern: &Path) -> Vec<PathBuf> {
    let mut all = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str().to_string_lossy();
        let wild = matches!(part, Component::Normal(_)) && name.contains(['*', '?', '[']);
        let mut next = Vec::new();
        for folder in all {
            if !wild {
                next.push(folder.join(part));
                continue;
            }
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
            names.sort_unstable();
            let fits = |entry: &&String| glob(&name, entry) && (name.starts_with('.') || !entry.starts_with('.'));
            next.extend(names.iter().filter(fits).map(|entry| folder.join(entry)));
        }
        next.truncate(MOST);
        all = next;
    }
    all
}

/// Whether a name fits a pattern of `*`, `?` and `[a-z]`.
fn glob(pattern: &str, name: &str) -> bool {
    let (mut p, mut n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    p.dedup_by(|a, b| *a == '*' && *b == '*');
    fn fits(p: &[char], n: &[char]) -> bool {
        match (p.split_first(), n.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => fits(rest, n) || n.split_first().is_some_and(|(_, n)| fits(p, n)),
            (Some(('?', p)), Some((_, n))) => fits(p, n),
            (Some(('[', rest)), Some((c, n))) => match rest.iter().position(|c| *c == ']') {
                Some(end) => in_set(&rest[..end], *c) && fits(&rest[end + 1..], n),
                None => *c == '[' && fits(rest, n),
            },
            (Some((a, p)), Some((b, n))) => a == b && fits(p, n),
            _ => false,
        }
    }
    // A file's name is short, and a pattern with more stars than this is none.
    p.truncate(255);
    n.truncate(255);
    p.iter().filter(|c| **c == '*').count() <= 4 && fits(&p, &n)
}

fn in_set(set: &[char], c: char) -> bool {
    let (set, not) = match set.split_first() {
        Some(('!' | '^', rest)) => (rest, true),
        _ => (set, false),
    };
    let single = set.contains(&c);
    let range = set.windows(3).any(|w| w[1] == '-' && (w[0]..=w[2]).contains(&c));
    (single || range) != not
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name) in
            [("*.conf", "a.conf"), ("c??.ini", "c12.ini"), ("[a-c]*", "b1"), ("[!0-9]x", "ax"), ("**", "")]
        {
            assert!(glob(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.conf", "a.conf~"), ("[a-c]", "d"), ("a?", "a")] {
            assert!(!glob(pattern, name), "{pattern} {name}");
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/2.conf", "a/1.conf", "a/.hidden.conf", "c/x.txt"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let all = found(&folder.path().join("*/*.conf"));
        assert_eq!(all, ["a/1.conf", "b/2.conf"].map(|name| folder.path().join(name)));
    }
}
