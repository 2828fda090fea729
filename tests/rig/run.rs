//! Commands in the rig, as somebody, and what can be special about them.
//!
//! Before anything else a command moves to `init.scope`, so that it is a plain process without a unit of its own, in a
//! session without a terminal, with an environment of a few variables.

use std::ffi::{OsStr, OsString};
use std::process::Stdio;
use std::time::Duration;

use super::output::{self, Output};
use super::{Result, Rig, words};

/// Somebody in the rig, with what is special about the next command.
#[derive(Clone)]
pub struct As<'r> {
    pub(super) rig: &'r Rig,
    pub(super) user: String,
    pub(super) env: Vec<(OsString, OsString)>,
    timeout: Duration,
    pub(super) unit: Option<String>,
    pub(super) folder: Option<String>,
    pub(super) cap_kill: bool,
    pub(super) session: bool,
    pub(super) desktop: bool,
    pub(super) user_manager: bool,
    pub(super) hidden: Vec<String>,
    pub(super) hidepid: bool,
}

impl Rig {
    /// Commands as root.
    pub fn as_root(&self) -> As<'_> {
        self.as_user("root")
    }

    /// Commands as `user`.
    pub fn as_user(&self, user: &str) -> As<'_> {
        As {
            rig: self,
            user: user.to_owned(),
            env: Vec::new(),
            timeout: Duration::from_secs(60),
            unit: None,
            folder: None,
            cap_kill: false,
            session: false,
            desktop: false,
            user_manager: true,
            hidden: Vec::new(),
            hidepid: false,
        }
    }
}

impl As<'_> {
    /// Adds a variable to the environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The command is killed, and that is an error, when it takes longer; 60 s unless said.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Runs it in this folder instead of `/`.
    pub fn folder(mut self, path: &str) -> Self {
        self.folder = Some(path.to_owned());
        self
    }

    /// With CAP_KILL, and no other capability.
    pub fn cap_kill(mut self) -> Self {
        self.cap_kill = true;
        self
    }

    /// In a login session of logind's, as `su -l` makes one.
    pub fn in_session(mut self) -> Self {
        self.session = true;
        self
    }

    /// In a login session that says to be a graphical one.
    pub fn in_desktop_session(mut self) -> Self {
        (self.session, self.desktop) = (true, true);
        self
    }

    /// In the cgroup of a running system unit, or of the unit at this path of the cgroup tree if it begins with `/`.
    pub fn in_unit(mut self, unit: &str) -> Self {
        self.unit = Some(unit.to_owned());
        self
    }

    /// Without a trace of the user's own manager and bus.
    pub fn no_user_manager(mut self) -> Self {
        self.user_manager = false;
        self.without("/run/user")
    }

    /// Without the system bus.
    pub fn no_bus(self) -> Self {
        self.without("/run/dbus")
    }

    /// As on a host whose PID 1 is not systemd: neither its folder nor a bus.
    pub fn no_systemd(self) -> Self {
        self.without("/run/systemd").no_bus()
    }

    /// With an empty folder in the place of `path`, for this command alone.
    pub fn without(mut self, path: &str) -> Self {
        self.hidden.push(path.to_owned());
        self
    }

    /// With a /proc that shows other users' processes to root only.
    pub fn hidepid(mut self) -> Self {
        self.hidepid = true;
        self
    }

    /// Runs a command to its end. What it leaves running does not matter.
    pub fn run<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Result<Output> {
        let mut command = self.command(argv, false)?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        output::collect(&mut child, self.timeout).map_err(|e| format!("{command:?}: {}", words(&e)).into())
    }
}
