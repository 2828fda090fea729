//! Which file goes where.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::files::{self, with_program};
use super::trust::trusted;
use crate::error::Error;
use crate::model::{Instance, Malformed, Polkit};

/// Where the program of the system is put if it is not in a safe place already: the first of these
/// that is root's alone and can be written to.
const SYSTEM_PROGRAMS: [&str; 2] = ["/usr/local/bin", "/opt/provost/bin"];

/// What the command line makes from its own definition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Generated {
    /// Completion scripts: bash, zsh and fish.
    pub(crate) completions: [Vec<u8>; 3],
    /// Man pages of section 1: file name and text.
    pub(crate) pages: Vec<(String, Vec<u8>)>,
}

/// One file to be there.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) content: Vec<u8>,
    pub(super) mode: u32,
    /// Where it cannot be written, nothing is installed; else that is said, and the rest is.
    pub(super) required: bool,
}

/// All files of an install.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    /// Where the program is, or will be.
    pub(super) binary: PathBuf,
    pub(super) files: Vec<File>,
    /// What cannot be installed here, and why.
    pub(super) skipped: Vec<(PathBuf, String)>,
    /// Root writes: only where nobody else could put a link, or exchange a file.
    pub(super) strict: bool,
}

impl Layout {
    /// `own` is where this program is; `searched` is where the user's manager looks for units, if one runs.
    pub(super) fn new(
        instance: Instance,
        uid: u32,
        own: &Path,
        polkit: Option<&Polkit>,
        searched: &[PathBuf],
        generated: Generated,
    ) -> Result<Self, Error> {
        let mut layout = Self { strict: uid == 0, ..Self::default() };
        match instance {
            Instance::System => layout.system(own, polkit)?,
            Instance::User => layout.user(uid, own, searched)?,
        }
        let data = match instance {
            Instance::System => PathBuf::from("/usr/local/share"),
            Instance::User => folders(uid)?.1,
        };
        let [bash, zsh, fish] = generated.completions;
        layout.add(data.join("bash-completion/completions/provost"), bash, 0o644, false);
        layout.add(data.join("zsh/site-functions/_provost"), zsh, 0o644, false);
        layout.add(data.join("fish/vendor_completions.d/provost.fish"), fish, 0o644, false);
        for (name, page) in generated.pages {
            layout.add(data.join("man/man1").join(name), page, 0o644, false);
        }
        Ok(layout)
    }

    fn system(&mut self, own: &Path, polkit: Option<&Polkit>) -> Result<(), Error> {
        let why = trusted(own, 0).and_then(|()| for_everybody(own));
        self.binary = match &why {
            Ok(()) => own.to_owned(),
            Err(_) => {
                let folder = SYSTEM_PROGRAMS.iter().map(Path::new).find(|dir| is_safe(dir));
                let none = || {
                    Malformed::new(
                        "neither /usr/local/bin nor /opt is a place for the program: others may write to them, or nobody may",
                    )
                };
                folder.ok_or_else(none)?.join("provost")
            }
        };
        if why.is_err() {
            self.program(own)?;
        }
        let program = text(&self.binary)?.to_owned();
        let units = Path::new("/etc/systemd/system");
        let with = |text: &str| with_program(text, &program).into_bytes();
        let mut add = |path: PathBuf, content: Vec<u8>, required| self.add(path, content, 0o644, required);
        add(units.join(super::UNIT), with(files::SYSTEM_UNIT), true);
        add(units.join("provost.slice"), files::SYSTEM_SLICE.into(), true);
        add("/etc/dbus-1/system.d/org.provost.Provost1.conf".into(), files::BUS_POLICY.into(), true);
        let activation = "dbus-1/system-services/org.provost.Provost1.service";
        let local = Path::new("/usr/local/share");
        // Where others may write to it, as "staff" on older Debian systems.
        let elsewhere = !is_safe(local) && is_safe(Path::new("/usr/share"));
        let data = if elsewhere { Path::new("/usr/share") } else { local };
        add(data.join(activation), files::SYSTEM_ACTIVATION.into(), false);
        add("/etc/sysusers.d/provost.conf".into(), files::SYSUSERS.into(), false);
        add("/etc/tmpfiles.d/provost.conf".into(), files::TMPFILES.into(), false);
        let policy = "polkit-1/actions/org.provost.policy";
        let usual = Path::new("/usr/share").join(policy);
        if is_writable(Path::new("/usr/share")) {
            add(usual, files::POLICY.into(), true);
        } else if super::reads_etc(polkit) {
            add(Path::new("/etc").join(policy), files::POLICY.into(), true);
        } else {
            let why =
                "/usr cannot be written to, and this polkit reads no other folder: provost will act for root only";
            self.skipped.push((usual, why.to_owned()));
        }
        Ok(())
    }

    fn user(&mut self, uid: u32, own: &Path, searched: &[PathBuf]) -> Result<(), Error> {
        let (config, data, home) = folders(uid)?;
        // One of the distribution or of `cargo install` is kept up to date where it is.
        let elsewhere = trusted(own, 0).is_ok() || own.starts_with(home.join(".cargo/bin"));
        self.binary = if elsewhere { own.to_owned() } else { home.join(".local/bin/provost") };
        if !elsewhere {
            self.program(own)?;
        }
        let program = text(&self.binary)?.to_owned();
        let with = |text: &str| with_program(text, &program);
        let units = unit_folder(config.join("systemd/user"), searched);
        let places = ["XDG_CONFIG_HOME", "XDG_STATE_HOME"].map(|name| (name, crate::observe::env(name)));
        let unit = files::with_places(&with(files::USER_UNIT), &places);
        self.add(units.join(super::UNIT), unit.into_bytes(), 0o644, true);
        self.add(units.join("app-provost.slice"), files::USER_SLICE.into(), 0o644, true);
        let activation = data.join("dbus-1/services/org.provost.Provost1.service");
        self.add(activation, with(files::SESSION_ACTIVATION).into_bytes(), 0o644, false);
        Ok(())
    }

    /// The program itself: what runs, whatever has become of its file.
    fn program(&mut self, own: &Path) -> Result<(), Error> {
        let io = |source| Error::Io { what: own.display().to_string(), source };
        let content = std::fs::read("/proc/self/exe").map_err(io)?;
        self.add(self.binary.clone(), content, 0o755, true);
        Ok(())
    }

    fn add(&mut self, path: PathBuf, content: Vec<u8>, mode: u32, required: bool) {
        self.files.push(File { path, content, mode, required });
    }
}

/// Where the user's manager finds a unit: `usual`, unless it was started with another `XDG_CONFIG_HOME` or `HOME` than
/// the caller has, as where a shell's own file sets one.
fn unit_folder(usual: PathBuf, searched: &[PathBuf]) -> PathBuf {
    if searched.contains(&usual) {
        return usual;
    }
    // The first of all is that of `systemctl --user set-property`, beside the one for the user's own units.
    let own = searched.iter().find(|folder| folder.ends_with("systemd/user.control"));
    let own = own.map(|folder| folder.with_file_name("user")).filter(|folder| searched.contains(folder));
    own.unwrap_or(usual)
}

/// A user's folders of configuration and of data, and the home.
fn folders(uid: u32) -> Result<(PathBuf, PathBuf, PathBuf), Error> {
    let home = crate::paths::home(uid).ok_or_else(|| Malformed::new("there is no home folder to install into"))?;
    let named = |name: &str| crate::observe::env(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let config = named("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
    let data = named("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share"));
    Ok((config, data, home))
}

/// `Ok` if everybody may run it where it is, and not only root.
fn for_everybody(own: &Path) -> Result<(), String> {
    let closed = own.ancestors().find(|part| part.metadata().is_ok_and(|found| found.mode() & 0o001 == 0));
    closed.map_or(Ok(()), |part| Err(format!("{} is closed to others", part.display())))
}

/// Whether root alone may change what is in this folder, or in the one that it will be made in.
fn is_safe(dir: &Path) -> bool {
    let there = dir.ancestors().find(|part| part.exists());
    there.is_some_and(|part| trusted(part, 0).is_ok() && is_writable(part))
}

/// Whether its file system can be written to; asked for root, whoever the caller is.
fn is_writable(dir: &Path) -> bool {
    use rustix::fs::StatVfsMountFlags;
    rustix::fs::statvfs(dir).is_ok_and(|found| !found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| Malformed::new(format!("{} is not UTF-8", path.display())).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_put_where_the_manager_looks() {
        let usual = || PathBuf::from("/home/x/conf/systemd/user");
        let with_home = |folder: &str| {
            [
                &format!("{folder}/systemd/user.control"),
                "/run/user/1/systemd/user.control",
                "/run/user/1/systemd/transient",
            ]
            .into_iter()
            .map(|path: &str| PathBuf::from(path))
            .chain([format!("{folder}/systemd/user").into(), "/etc/systemd/user".into()])
            .collect::<Vec<_>>()
        };
        assert_eq!(unit_folder(usual(), &[]), usual());
        assert_eq!(unit_folder(usual(), &with_home("/home/x/conf")), usual());
        assert_eq!(unit_folder(usual(), &with_home("/home/x/.config")), Path::new("/home/x/.config/systemd/user"));
        assert_eq!(unit_folder(usual(), &["/etc/systemd/user".into()]), usual());
    }
}
