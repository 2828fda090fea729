//! Units of the rig's managers.

use std::ffi::OsStr;

use super::{Result, Rig, eventually};

/// A system unit that is stopped, and its file gone, when this is dropped: no other trial finds it.
#[must_use = "the unit is there for as long as this is"]
pub struct ForNow<'r> {
    rig: &'r Rig,
    name: String,
}

impl Drop for ForNow<'_> {
    fn drop(&mut self) {
        let _ = self.rig.systemctl(["stop", &self.name]);
        let _ = self.rig.remove(&path_of(&self.name));
        let _ = self.rig.systemctl(["reset-failed", &self.name]);
    }
}

fn path_of(name: &str) -> String {
    format!("/etc/systemd/system/{name}")
}

impl Rig {
    /// systemctl as root; its output, or what it complains of.
    pub fn systemctl<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        self.as_root().run(with_program(&["systemctl"], args))?.ok()
    }

    /// systemctl of a user's own manager.
    pub fn user_systemctl<S: AsRef<OsStr>>(&self, user: &str, args: impl IntoIterator<Item = S>) -> Result<String> {
        self.as_user(user).run(with_program(&["systemctl", "--user"], args))?.ok()
    }

    /// Writes a system unit (or, for a name like `x.service.d/y.conf`, a part of one).
    pub fn unit(&self, name: &str, text: &str) -> Result<()> {
        let path = path_of(name);
        let reload = self.exists(&path) || name.contains('/');
        self.write(&path, text, 0o644)?;
        // A unit that nobody has seen is found without.
        if reload {
            self.systemctl(["daemon-reload"])?;
        }
        Ok(())
    }

    /// Writes a system unit and starts it.
    pub fn started(&self, name: &str, text: &str) -> Result<()> {
        self.unit(name, text)?;
        self.systemctl(["start", name]).map(drop)
    }

    /// Writes a system unit that others would find, by its program or its user, and takes it away at the end.
    pub fn unit_for_now(&self, name: &str, text: &str) -> Result<ForNow<'_>> {
        let unit = ForNow { rig: self, name: name.to_owned() };
        self.unit(name, text).map(|()| unit)
    }

    /// The same, started.
    pub fn started_for_now(&self, name: &str, text: &str) -> Result<ForNow<'_>> {
        let unit = self.unit_for_now(name, text)?;
        self.systemctl(["start", name]).map(|_| unit)
    }

    /// Writes a unit of a user's own manager.
    pub fn user_unit(&self, user: &str, name: &str, text: &str) -> Result<()> {
        let path = format!("/home/{user}/.config/systemd/user/{name}");
        let reload = self.exists(&path) || name.contains('/');
        self.write_as(user, &path, text, 0o644)?;
        if reload {
            self.user_systemctl(user, ["daemon-reload"])?;
        }
        Ok(())
    }

    /// Makes a user's own manager run, and waits until it answers.
    pub fn linger(&self, user: &str) -> Result<()> {
        let bus = format!("/run/user/{}/bus", self.uid(user)?);
        if !self.exists(&bus) {
            self.as_root().run(["loginctl", "enable-linger", user])?.ok()?;
        }
        eventually(&format!("the manager of {user} answers"), || {
            self.exists(&bus) && self.user_systemctl(user, ["show", "-P", "Version"]).is_ok()
        })
    }

    /// `active`, `inactive`, `failed`… of a system unit.
    pub fn active_state(&self, unit: &str) -> Result<String> {
        self.systemctl(["show", "-P", "ActiveState", unit])
    }

    /// The main process of a system unit, 0 if there is none.
    pub fn main_pid(&self, unit: &str) -> Result<u32> {
        Ok(self.systemctl(["show", "-P", "MainPID", unit])?.parse()?)
    }

    /// Waits until a system unit is in this state.
    pub fn wait_for_state(&self, unit: &str, state: &str) -> Result<()> {
        eventually(&format!("{unit} is {state}"), || self.active_state(unit).is_ok_and(|now| now == state))
    }
}

fn with_program<S: AsRef<OsStr>>(program: &[&str], args: impl IntoIterator<Item = S>) -> Vec<std::ffi::OsString> {
    let words = program.iter().map(|word| word.into());
    words.chain(args.into_iter().map(|word| word.as_ref().to_owned())).collect()
}
