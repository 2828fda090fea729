//! Accounts in the rig, written straight into its user database: no program has to run for it.

use std::fs;
use std::path::Path;

use super::{Result, Rig};

/// The password of every user who has one.
pub const PASSWORD: &str = "elementary";

/// [`PASSWORD`] as crypt(3) stores it: SHA-512, few rounds, a fixed salt.
const HASH: &str = "$6$rounds=1000$provostrig$\
    zatuARdI9avWpzuqSETgMPV10/4qa1G6VpgtXAA9I7Zik0kXvOv16DZ7I/eZLQSQuG0I.UstA5596iS60HIR./";

/// One account.
pub struct User<'a> {
    pub name: &'a str,
    pub uid: u32,
    /// Groups beside its own one; they must exist.
    pub groups: &'a [&'a str],
    pub home: String,
    pub shell: &'a str,
    pub password: bool,
}

impl<'a> User<'a> {
    /// Somebody with a home folder, a shell and a password.
    pub fn person(name: &'a str, uid: u32, groups: &'a [&'a str]) -> Self {
        Self { name, uid, groups, home: format!("/home/{name}"), shell: "/bin/bash", password: true }
    }

    /// The account of a service.
    pub fn service(name: &'a str, uid: u32) -> Self {
        Self { name, uid, groups: &[], home: "/".into(), shell: "/usr/sbin/nologin", password: false }
    }
}

/// Who is there from the start: an administrator, a stranger, the user of a service.
pub fn first() -> Vec<User<'static>> {
    vec![User::person("watson", 1000, &["sudo"]), User::person("eve", 1001, &[]), User::service("ollama", 700)]
}

/// Writes `user` into the databases under `root`, in the place of whoever had its name or number.
pub fn add(root: &Path, user: &User<'_>) -> Result<()> {
    let User { name, uid, home, shell, .. } = user;
    let id = uid.to_string();
    let etc = root.join("etc");
    let others = |line: &str| {
        let mut fields = line.split(':');
        fields.next() != Some(*name) && fields.nth(1) != Some(id.as_str())
    };
    replace(&etc.join("passwd"), 0o644, others, &format!("{name}:x:{uid}:{uid}::{home}:{shell}"), |l| l.into())?;
    let hash = if user.password { HASH } else { "!*" };
    let unnamed = |line: &str| line.split(':').next() != Some(*name);
    replace(&etc.join("shadow"), 0o640, unnamed, &format!("{name}:{hash}:20000:0:99999:7:::"), |l| l.into())?;
    replace(&etc.join("group"), 0o644, others, &format!("{name}:x:{uid}:"), |line| {
        match line.split(':').next().is_some_and(|g| user.groups.contains(&g)) {
            true if line.ends_with(':') => format!("{line}{name}"),
            true => format!("{line},{name}"),
            false => line.into(),
        }
    })?;
    if user.password {
        let path = root.join(home.trim_start_matches('/'));
        fs::create_dir_all(&path)?;
        std::os::unix::fs::chown(&path, Some(*uid), Some(*uid))?;
    }
    Ok(())
}

/// Rewrites one database: the lines that are kept, each through `edit`, then the new one.
fn replace(
    path: &Path,
    mode: u32,
    keep: impl Fn(&str) -> bool,
    new: &str,
    edit: impl Fn(&str) -> String,
) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let old = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut text: String = old.lines().filter(|l| keep(l)).map(|l| edit(l) + "\n").collect();
    text.push_str(new);
    text.push('\n');
    let fresh = path.with_extension("rig");
    fs::write(&fresh, text)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(mode))?;
    Ok(fs::rename(&fresh, path)?)
}

impl Rig {
    /// Adds an account while the rig runs. Its name and its number are no other trial's: it would meet what is left of
    /// the other user, such as a manager that runs, with another home.
    pub fn add_user(&self, user: &User<'_>) -> Result<()> {
        static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
        let id = user.uid.to_string();
        for line in self.read("/etc/passwd")?.lines() {
            let mut fields = line.split(':');
            let (name, number) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
            if (name == user.name) != (number == id) {
                return Err(format!("{} ({id}) would be confused with {name} ({number})", user.name).into());
            }
        }
        add(Path::new(&format!("/proc/{}/root", self.leader)), user)
    }

    /// The number of a user, from the rig's database.
    pub fn uid(&self, name: &str) -> Result<u32> {
        let passwd = self.read("/etc/passwd")?;
        let field = passwd.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(":x:")?.split(':').next());
        Ok(field.ok_or_else(|| format!("no user {name} in the rig"))?.parse()?)
    }
}
