//! Who asks: ids, capabilities, terminal, session, and the processes and units around provost.

use std::fs;

use super::cgroup::{self, CgroupPath};
use super::proc::ProcFs;
use crate::model::{Caller, Session, UnitName};

/// Reads the caller from provost's own process.
pub(crate) fn caller(proc: &ProcFs) -> Caller {
    let uid = rustix::process::geteuid().as_raw();
    let own_cgroup = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| cgroup::path_of(&text));
    Caller {
        uid,
        user: user_name(uid),
        groups: rustix::process::getgroups().unwrap_or_default().iter().map(|g| g.as_raw()).collect(),
        capabilities: capabilities(),
        interactive: has_terminal(),
        session: session(own_cgroup.as_ref()),
        lineage: proc.lineage(),
        units: own_cgroup.as_ref().map(units_around).unwrap_or_default(),
        runtime_dir: super::env("XDG_RUNTIME_DIR").filter(|dir| dir.starts_with('/')),
    }
}

/// The name of a user, or the number where there is none.
pub(crate) fn user_name(uid: u32) -> String {
    if uid == 0 {
        return "root".to_owned();
    }
    // Nearly every name is found here, without the name service switch and its daemons.
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    if let Some(name) = named {
        return name;
    }
    nix::unistd::User::from_uid(uid.into()).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

fn capabilities() -> Vec<String> {
    let effective = caps::read(None, caps::CapSet::Effective).unwrap_or_default();
    let mut names: Vec<String> = effective.iter().map(|c| c.to_string().to_ascii_lowercase()).collect();
    names.sort_unstable();
    names
}

/// Whether there is a controlling terminal: pkttyagent asks on it, whatever standard input is.
fn has_terminal() -> bool {
    fs::OpenOptions::new().read(true).write(true).open("/dev/tty").is_ok()
}

/// The login session as polkit sees it: the one whose scope holds us, else, for what runs in a
/// user's slice, that user's display session. What runs elsewhere (a system unit with `User=`) is in
/// no session, whoever else is logged in under that name.
fn session(own: Option<&CgroupPath>) -> Option<Session> {
    let parts = || own.into_iter().flat_map(|path| path.as_str().split('/'));
    let from_scope =
        parts().find_map(|part| part.strip_prefix("session-")?.strip_suffix(".scope").map(ToOwned::to_owned));
    let display = || {
        let uid: u32 = parts().find_map(|part| part.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok())?;
        logind_value(&format!("users/{uid}"), "DISPLAY")
    };
    let id = from_scope.or_else(display).filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric()))?;
    let file = format!("sessions/{id}");
    let kind = logind_value(&file, "TYPE").unwrap_or_default();
    Some(Session {
        seat: logind_value(&file, "SEAT").is_some(),
        graphical: matches!(kind.as_str(), "x11" | "wayland" | "mir"),
        id,
    })
}

/// A value from logind's state files, which is what libsystemd's sd_session_get_* read too.
fn logind_value(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/run/systemd/{file}")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// The units named by the parts of a cgroup path, outermost first.
fn units_around(path: &CgroupPath) -> Vec<UnitName> {
    path.as_str().split('/').filter_map(|part| part.strip_prefix('_').unwrap_or(part).parse().ok()).collect()
}
