//! Where a process stands in the cgroup tree: the text of /proc/PID/cgroup, and the tree itself.
//!
//! [`path_of`] finds the one line that matters, [`place`] says what the path means, [`CgroupFs`]
//! reads the tree. Which unit a process is in is read here first, at a hundredth of a
//! millisecond; a manager is asked to confirm it.

mod container;
mod fs;
mod place;

pub(crate) use fs::CgroupFs;
pub(crate) use place::{Place, place};

use std::fmt;

/// A path in the cgroup tree in which systemd works, as /proc/PID/cgroup has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CgroupPath(String);

impl CgroupPath {
    /// A path that was read before.
    pub(crate) fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// The path, from the `/` of the cgroup namespace.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it leads out of this cgroup namespace, so that nothing can be said of it.
    pub(crate) fn is_foreign(&self) -> bool {
        self.components().any(|c| c == "..")
    }

    /// The names between the slashes.
    fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|c| !c.is_empty())
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path that counts in the text of /proc/PID/cgroup: that of cgroup v2 (`0::`), or of
/// `name=systemd` where v2 is absent or not used by systemd. `None` if it has neither.
pub(crate) fn path_of(content: &str) -> Option<CgroupPath> {
    let line = |id: Option<&str>, controllers: &str| {
        content.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let number = fields.next()?;
            let same = fields.next()? == controllers && id.is_none_or(|id| id == number);
            // With a removed cgroup the kernel appends this; a unit's name has no space.
            fields.next().filter(|p| same && p.starts_with('/')).map(|p| p.strip_suffix(" (deleted)").unwrap_or(p))
        })
    };
    let (unified, named) = (line(Some("0"), ""), line(None, "name=systemd"));
    let path = match (unified, named) {
        (None | Some("/"), Some(named)) => named,
        (unified, named) => unified.or(named)?,
    };
    Some(CgroupPath(path.to_owned()))
}

/// The part of the tree that belongs to PID 1's manager: what `place` takes away in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManagerRoot(String);

impl ManagerRoot {
    /// From the path of PID 1, which systemd puts into `init.scope`; the whole tree where that
    /// path is not known (`hidepid`).
    pub(crate) fn of(pid1: Option<&CgroupPath>) -> Self {
        let path = pid1.filter(|p| !p.is_foreign()).map_or("", CgroupPath::as_str);
        Self(path.strip_suffix("/init.scope").unwrap_or(path).trim_end_matches('/').to_owned())
    }

    /// The rest of a path below this root.
    fn below<'p>(&self, path: &'p CgroupPath) -> Option<&'p str> {
        path.as_str().strip_prefix(&self.0).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(content: &str) -> Option<String> {
        path_of(content).map(|p| p.to_string())
    }

    #[test]
    fn the_line_that_counts() {
        let is = |content: &str, expected: Option<&str>| assert_eq!(path(content).as_deref(), expected, "{content}");
        is("0::/system.slice/a.service\n", Some("/system.slice/a.service"));
        is("1:name=systemd:/old\n0::/system.slice/a.service\n", Some("/system.slice/a.service"));
        is("4:memory:/x\n1:name=systemd:/system.slice/a.service\n", Some("/system.slice/a.service"));
        is("1:name=systemd:/system.slice/a.service\n0::/\n", Some("/system.slice/a.service"));
        is("9:name=systemd:/\n4:memory:/other\n0::/\n", Some("/"));
        is("0::/system.slice/a.service (deleted)\n", Some("/system.slice/a.service"));
        is("0::/a:b/c.service\n", Some("/a:b/c.service"));
        is("4:memory:/x\n", None);
        is("", None);
        is("0::relative\n", None);
        is("10::/no\n", None);
    }

    #[test]
    fn the_managers_root() {
        let root = |p: &str| ManagerRoot::of(Some(&CgroupPath(p.to_owned()))).0;
        assert_eq!(root("/init.scope"), "");
        assert_eq!(root("/"), "");
        assert_eq!(root("/machine.slice/x.service/payload/init.scope"), "/machine.slice/x.service/payload");
        assert_eq!(root("/docker/abc"), "/docker/abc");
        assert_eq!(root("/../x"), "");
        assert_eq!(ManagerRoot::of(None).0, "");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(content in "(\\PC|[:/\n]|0::/|name=systemd| \\(deleted\\)){0,40}") {
            if let Some(path) = path_of(&content) {
                prop_assert!(path.as_str().starts_with('/'));
                let root = ManagerRoot::of(Some(&path));
                prop_assert!(path.is_foreign() || path.as_str().ends_with('/') || root.below(&path).is_some());
            }
        }
    }
}
