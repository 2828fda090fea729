//! The names that lead to a file: its own, and those of all links on the way.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows.
const LINKS: usize = 40;

/// Each name with its folder. Where something on the way is not there, that is the last one: what is
/// to come is noticed.
pub(super) fn names(path: &Path) -> Vec<(PathBuf, OsString)> {
    let mut left: VecDeque<OsString> = parts(path).collect();
    let mut at = PathBuf::from("/");
    let (mut all, mut links) = (Vec::new(), 0);
    while let Some(name) = left.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        match fs::symlink_metadata(&next) {
            Ok(found) if found.is_symlink() && links < LINKS => {
                links += 1;
                all.push((at.clone(), name));
                let Ok(target) = fs::read_link(&next) else { return all };
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                    left.push_front(part);
                }
            }
            Ok(_) if !left.is_empty() => at = next,
            // The file, or the first thing that is not there.
            _ => {
                all.push((at, name));
                return all;
            }
        }
    }
    all
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_link_on_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        // As a config map of Kubernetes is laid out.
        fs::create_dir(root.join("..2024")).unwrap();
        fs::write(root.join("..2024/app.yml"), "").unwrap();
        symlink("..2024", root.join("..data")).unwrap();
        symlink("..data/app.yml", root.join("app.yml")).unwrap();
        let of = |path: &str| -> Vec<String> {
            let inside =
                |(folder, name): (PathBuf, OsString)| folder.join(name).strip_prefix(&root).unwrap().to_owned();
            names(&root.join(path)).into_iter().map(|name| inside(name).display().to_string()).collect()
        };
        assert_eq!(of("app.yml"), ["app.yml", "..data", "..2024/app.yml"]);
        assert_eq!(of("none/at/all"), ["none"]);
        assert_eq!(of("..2024/../app2.yml"), ["app2.yml"]);
        symlink("circle", root.join("circle")).unwrap();
        assert!(of("circle").len() > 1);
    }
}
