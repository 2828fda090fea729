//! The folder of a service, as its unit has it.
//!
//! For each part of the path of its folder a unit needs the mount that the manager may know of. For
//! one that it does not know it makes a unit as well, tells all who listen to it, and forgets it
//! again, in every start: a tenth of the whole (252). Only a folder that may be missing (`-`) has none
//! of that. So this is what one is called that is there, that the service can enter, and that needs no
//! mount. Should it go away just then, the service runs in `/`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatxFlags, access, statx};

use super::Scope;
use super::unit::path;
use crate::backend::{Launch, StartError};

/// What there is to know of the manager.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// Where it looks for units (`UnitPath`); that of a user mounts nothing.
    units: Vec<PathBuf>,
}

impl Folders {
    pub(super) fn new(units: Vec<PathBuf>) -> Self {
        Self { units }
    }

    /// `WorkingDirectory` of a service.
    pub(super) fn of(&self, launch: &Launch, scope: Scope) -> Result<String, StartError> {
        let folder = path("the folder", &launch.cwd)?;
        // What a sandbox hides would go unnoticed.
        let known = launch.systemd.is_empty()
            && match scope {
                Scope::User(_) => is_open(&launch.cwd),
                Scope::System => self.is_open_to(&launch.cwd, launch.user.as_deref()),
            };
        Ok(if known { format!("-{folder}") } else { folder })
    }

    fn is_open_to(&self, folder: &Path, user: Option<&str>) -> bool {
        let open = match user {
            None => is_open(folder),
            Some(_) => is_open_to_all(folder),
        };
        open && is_on_the_root(folder) && !self.knows_a_mount(folder)
    }

    /// Whether the manager has the definition of a mount on the way to this folder.
    fn knows_a_mount(&self, folder: &Path) -> bool {
        let names: Vec<String> = folder.ancestors().filter_map(mount_unit).collect();
        self.units.is_empty() || self.units.iter().any(|dir| names.iter().any(|name| dir.join(name).exists()))
    }
}

fn is_open(folder: &Path) -> bool {
    access(folder, Access::EXEC_OK).is_ok()
}

/// Whether everybody may enter it, and all that it is in.
fn is_open_to_all(folder: &Path) -> bool {
    let open =
        |part: &Path| part.metadata().is_ok_and(|meta| meta.is_dir() && meta.permissions().mode() & 0o111 == 0o111);
    folder.canonicalize().is_ok_and(|real| real.ancestors().all(open))
}

/// Whether it lies in the same mount as the root.
fn is_on_the_root(folder: &Path) -> bool {
    let mount = |path: &Path| {
        let found = statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::MNT_ID).ok()?;
        (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(found.stx_mnt_id)
    };
    mount(folder).is_some_and(|id| mount("/".as_ref()) == Some(id))
}

/// The name of the unit of a mount there, by the rules of systemd-escape(1) for paths; none for the root.
fn mount_unit(path: &Path) -> Option<String> {
    let text = path.to_str()?.trim_matches('/');
    if text.is_empty() {
        return None;
    }
    let mut name = String::with_capacity(text.len() + ".mount".len());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at > 0 => name.push('.'),
            b':' | b'_' => name.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            byte => name.push_str(&format!("\\x{byte:02x}")),
        }
    }
    Some(name + ".mount")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_have_the_names_that_systemd_gives_them() {
        let of = |path: &str| mount_unit(path.as_ref()).unwrap_or_default();
        assert_eq!(of("/srv/models"), "srv-models.mount");
        assert_eq!(of("/srv/my-models/v1.2_x"), r"srv-my\x2dmodels-v1.2_x.mount");
        assert_eq!(of("/.hidden/ä b"), r"\x2ehidden-\xc3\xa4\x20b.mount");
        assert_eq!(of("/"), "");
    }

    #[test]
    fn a_mount_anywhere_on_the_way_is_found() {
        let units = tempfile::tempdir().unwrap();
        let folders = Folders::new(vec!["/nowhere".into(), units.path().to_owned()]);
        let known = |folder: &str| folders.knows_a_mount(folder.as_ref());
        assert!(!known("/srv/a-b/c"));
        std::fs::write(units.path().join(r"srv-a\x2db.mount"), "").unwrap();
        assert!(known("/srv/a-b/c") && known("/srv/a-b") && !known("/srv/a/b") && !known("/srv"));
        assert!(Folders::default().knows_a_mount("/srv".as_ref()), "nothing is known of where its units are");
    }

    #[test]
    fn a_folder_that_not_everybody_may_enter_is_seen() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let mode = |mode| std::fs::set_permissions(outer.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o755);
        assert!(is_open_to_all(&inner));
        mode(0o750);
        assert!(!is_open_to_all(&inner) && is_open(&inner));
        assert!(!is_open_to_all(&inner.join("none")) && !is_open(&inner.join("none")));
    }
}
