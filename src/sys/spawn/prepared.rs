//! What the child needs, in the form in which system calls take it, so that it allocates nothing.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::ptr;

use nix::libc::c_char;

use super::{Program, User};

/// The arguments of the child's system calls. Pointers lead into the strings beside them.
pub(super) struct Prepared {
    pub(super) path: CString,
    pub(super) argv: Pointers,
    pub(super) env: Pointers,
    pub(super) cwd: Option<CString>,
    pub(super) nofile: Option<u64>,
    pub(super) soft_nofile: Option<u64>,
    pub(super) nice: Option<i32>,
    pub(super) oom_score: Option<Vec<u8>>,
    pub(super) user: Option<User>,
}

/// A list of strings that ends with a null pointer.
pub(super) struct Pointers {
    all: Vec<*const c_char>,
    _strings: Vec<CString>,
}

// SAFETY: the pointers lead into the strings beside them, which nothing changes.
unsafe impl Send for Pointers {}

impl Pointers {
    fn new(strings: Vec<CString>) -> Self {
        let all = strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        Self { all, _strings: strings }
    }

    pub(super) fn as_ptr(&self) -> *const *const c_char {
        self.all.as_ptr()
    }
}

impl Prepared {
    pub(super) fn new(program: &Program<'_>) -> io::Result<Self> {
        let env = match &program.env {
            Some(env) => env.iter().map(|pair| text(pair, "the environment")).collect::<io::Result<_>>()?,
            None => own_environment(),
        };
        let argv = program.argv.iter().map(|word| text(word, "the command")).collect::<io::Result<_>>()?;
        let path = |path: &std::path::Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| nul("a path"));
        Ok(Self {
            path: path(program.path)?,
            argv: Pointers::new(argv),
            env: Pointers::new(env),
            cwd: program.cwd.map(path).transpose()?,
            nofile: program.nofile,
            soft_nofile: program.soft_nofile,
            nice: program.nice,
            oom_score: program.oom_score_adjust.map(|score| score.to_string().into_bytes()),
            user: program.user.clone(),
        })
    }
}

fn text(text: &str, of: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| nul(of))
}

fn nul(of: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{of} has a NUL byte"))
}

fn own_environment() -> Vec<CString> {
    let pair = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        CString::new(name.into_vec()).ok()
    };
    std::env::vars_os().filter_map(pair).collect()
}

/// A user by name or number, with the groups from the user database; read here because the child
/// may not.
pub(crate) fn user(name: &str) -> io::Result<User> {
    use nix::unistd::User as Entry;
    let by_number = name.parse::<u32>().ok();
    let found = match by_number {
        Some(uid) => Entry::from_uid(uid.into())?,
        None => Entry::from_name(name)?,
    };
    let entry = found.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("there is no user {}", crate::text::clip(name)))
    })?;
    let login = CString::new(entry.name).map_err(|_| nul("a user name"))?;
    let groups = nix::unistd::getgrouplist(&login, entry.gid)?;
    Ok(User {
        uid: entry.uid.as_raw(),
        gid: entry.gid.as_raw(),
        groups: groups.into_iter().map(|g| g.as_raw()).collect(),
    })
}
