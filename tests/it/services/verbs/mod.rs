//! The verbs for services as users see them, in each backend: every trial has a user of its own.

mod adhoc;
mod disk;
mod foreground;
mod health;
mod imports;
mod life;
mod live;
mod logs;
mod lost;
mod once;
mod project;
mod starts;
mod targets;

use serde_json::Value;

use crate::rig::{As, Output, Result, Rig, User, eventually};
use crate::trial::Trials;

/// How services are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// As units of the user's manager.
    Systemd,
    /// As children of the daemon: neither systemd nor a bus is to be seen.
    Direct,
}

const BACKENDS: [(&str, u32, Backend); 2] = [("systemd", 0, Backend::Systemd), ("direct", 1, Backend::Direct)];

type Body = fn(&Stage<'_>) -> Result<()>;

pub fn register(trials: &mut Trials) {
    let bodies: Vec<(&'static str, Body)> = [
        project::BODIES,
        adhoc::BODIES,
        targets::BODIES,
        foreground::BODIES,
        logs::BODIES,
        disk::BODIES,
        life::BODIES,
        health::BODIES,
        live::BODIES,
        imports::BODIES,
        once::BODIES,
        starts::BODIES,
        lost::BODIES,
    ]
    .concat();
    for (number, (name, body)) in bodies.into_iter().enumerate() {
        for (word, offset, backend) in BACKENDS {
            let uid = 1200 + 2 * u32::try_from(number).unwrap_or_default() + offset;
            trials.rig(&format!("services::{word}::{name}"), move |rig| body(&Stage::new(rig, uid, backend)?));
        }
    }
}

/// A user with a home and a config in it.
pub struct Stage<'r> {
    pub rig: &'r Rig,
    pub user: String,
    pub home: String,
    pub backend: Backend,
}

impl<'r> Stage<'r> {
    fn new(rig: &'r Rig, uid: u32, backend: Backend) -> Result<Self> {
        let user = format!("user{uid}");
        rig.add_user(&User::person(&user, uid, &[]))?;
        if backend == Backend::Systemd {
            rig.linger(&user)?;
            let bus = format!("/run/user/{uid}/bus");
            eventually("the user's manager is up", || rig.exists(&bus))?;
        }
        Ok(Self { rig, home: format!("/home/{user}"), user, backend })
    }

    /// Writes the config of the home folder.
    pub fn config(&self, text: &str) -> Result<()> {
        self.rig.write_as(&self.user, &format!("{}/provost.toml", self.home), text, 0o600)
    }

    /// The user, in that folder.
    pub fn who(&self) -> As<'r> {
        let who = self.rig.as_user(&self.user).folder(&self.home);
        match self.backend {
            Backend::Systemd => who,
            Backend::Direct => who.no_systemd().no_user_manager(),
        }
    }

    pub fn provost(&self, args: &[&str]) -> Result<Output> {
        self.who().run(["provost"].iter().chain(args))
    }

    /// The same, which must go well; what it prints.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        self.provost(args)?.ok().map_err(|e| format!("{args:?}: {}", crate::rig::words(&e)).into())
    }

    /// The document, and the exit code.
    pub fn json(&self, args: &[&str]) -> Result<(Value, i32)> {
        let output = self.provost(&[&["-o", "json"], args].concat())?;
        let document = serde_json::from_str(&output.stdout).map_err(|e| format!("no JSON ({e}): {output:?}"))?;
        Ok((document, output.code()))
    }

    /// What `list` says of one service.
    pub fn service(&self, id: &str) -> Result<Value> {
        let (list, _) = self.json(&["list", id])?;
        Ok(list["services"][0].clone())
    }

    pub fn pid(&self, id: &str) -> Result<u32> {
        let service = self.service(id)?;
        let pid = service["pid"].as_u64().ok_or_else(|| format!("{id} has no pid: {service}"))?;
        Ok(u32::try_from(pid)?)
    }
}

/// A trial may end early: what it left running is stopped.
impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let _ = self.provost(&["down", "--all", "--force"]);
    }
}

/// A service that only waits; `more` is more of its table.
pub fn sleeper(id: &str, more: &str) -> String {
    format!("[service.{id}]\ncommand = [\"sleep\", \"1000\"]\n{more}\n")
}
