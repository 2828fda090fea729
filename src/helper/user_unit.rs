//! `UserUnit`: a job of a unit of another user's manager. That manager, and the bus before it, are in
//! that user's hands: they may lie, and they may say nothing for ever.

use std::time::Duration;

use super::turns::Turn;
use super::{Helper, HelperError, signals};
use crate::model::{Action, Signal, UnitName, Whom};
use crate::systemd::{CallError, Jobs, Manager, connect_user, user_bus_path};

/// How long a job is waited for: somewhat more than systemd waits for a unit that does not end.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be done with a unit of a user's manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    uid: u32,
    unit: UnitName,
    action: Action,
    /// Of `kill` alone.
    signal: Option<Signal>,
}

impl Job {
    /// From the arguments of a call.
    pub(crate) fn new(uid: u32, unit: &str, verb: &str, signal: i32) -> Result<Self, HelperError> {
        if uid == u32::MAX {
            return Err(HelperError::InvalidArgs("this is nobody's uid".to_owned()));
        }
        let unit = unit_name(unit)?;
        let action = action(verb)?;
        let signal = match (action, signal) {
            (Action::Kill, number) => Some(signals::allowed(number)?),
            (_, 0) => None,
            _ => return Err(HelperError::InvalidArgs(format!("{verb} has no signal"))),
        };
        Ok(Self { uid, unit, action, signal })
    }

    pub(super) fn question(&self, helper: &Helper) -> super::rights::Question {
        let signal = self.signal.map(|signal| signal.to_string()).unwrap_or_default();
        helper.unit_question(self.uid, &self.unit, self.action.verb(), &signal)
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    pub(super) fn unit(&self) -> &UnitName {
        &self.unit
    }
}

/// The name of one unit.
pub(super) fn unit_name(text: &str) -> Result<UnitName, HelperError> {
    let unit: UnitName =
        text.parse().map_err(|error: crate::model::Malformed| HelperError::InvalidArgs(error.to_string()))?;
    if unit.is_template() {
        return Err(HelperError::InvalidArgs(format!("{unit} is a template, of which instances are made")));
    }
    Ok(unit)
}

/// An action by its verb.
pub(super) fn action(verb: &str) -> Result<Action, HelperError> {
    let found = Action::ALL.into_iter().find(|action| action.verb() == verb);
    found.ok_or_else(|| HelperError::InvalidArgs("a verb is start, stop, restart, reload or kill".to_owned()))
}

impl Helper {
    /// Does a job in a user's manager, once polkit has allowed it: the word that its end has.
    pub(crate) async fn user_unit(&self, job: &Job) -> Result<String, HelperError> {
        self.protect_manager(job.uid)?;
        self.protect_unit(&job.unit)?;
        let turn = Turn::new(job.uid, &job.unit);
        self.learn(job.uid).await;
        self.authorise(&job.question(self)).await?;
        let once = async {
            match job.action {
                Action::Kill => self.run(job).await,
                action => turn.once(action, self.run(job)).await,
            }
        };
        let work = async {
            tokio::select! {
                done = once => done,
                _ = self.authority.gone(&self.sender) => Err(HelperError::Failed("the caller has left".to_owned())),
            }
        };
        let late = format!("{} of {} was not done after two minutes; what was queued goes on", job.action, job.unit);
        tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(HelperError::TimedOut(late)))
    }

    async fn run(&self, job: &Job) -> Result<String, HelperError> {
        let failed = |error: CallError| match error.short_name() {
            "NoSuchUnit" => HelperError::NoSuchUnit(clipped(&error)),
            _ => HelperError::Failed(format!("the manager of uid {}: {}", job.uid, clipped(&error))),
        };
        // With that user's effective ids, whatever they have put there.
        let path = user_bus_path(job.uid, None);
        if path.parent().is_none_or(|folder| !folder.exists()) {
            let user = self.name_of(job.uid);
            let why = format!("no manager of {user} runs: they are not logged in, and lingering is not enabled");
            return Err(HelperError::Failed(why));
        }
        let connection = connect_user(&path, job.uid, rustix::process::geteuid().as_raw()).await.map_err(failed)?;
        let manager = Manager::new(connection).await.map_err(failed)?;
        // An alias is another name of a unit that may be protected.
        let id = manager.unit_property(&job.unit, "Id").await.map_err(failed)?;
        let id = unit_name(<&str>::try_from(&id).unwrap_or_default())?;
        self.protect_unit(&id)?;
        if let Some(signal) = job.signal {
            manager.kill(&job.unit, Whom::Main, signal, false).await.map_err(failed)?;
            return Ok(String::new());
        }
        let jobs = Jobs::listen(&manager).await.map_err(failed)?;
        let queued = manager.queue(&job.unit, job.action, false).await.map_err(failed)?;
        let ended = jobs.wait(&queued).await.map_err(failed)?;
        // The word is the manager's, and so its user's.
        Ok(crate::text::clip_to(&ended.0, 32))
    }
}

/// What a manager said, which its user can make it say.
fn clipped(error: &CallError) -> String {
    crate::text::clip_to(&error.to_string(), 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_units_pass() {
        let long = "a".repeat(5000) + ".service";
        for wrong in
            ["", "a", "../a.service", "a/b.service", "a\0.service", "a\n.service", "a@.service", "*.service", &long]
        {
            assert!(matches!(Job::new(1000, wrong, "stop", 0), Err(HelperError::InvalidArgs(_))), "{wrong:?}");
        }
        assert!(Job::new(1000, "a@b.service", "stop", 0).is_ok());
    }

    #[test]
    fn a_signal_belongs_to_kill() {
        assert!(Job::new(1000, "a.service", "stop", 9).is_err());
        assert!(Job::new(1000, "a.service", "kill", 0).is_err());
        assert!(matches!(Job::new(1000, "a.service", "kill", 11), Err(HelperError::NotPermitted(_))));
        assert!(Job::new(1000, "a.service", "kill", 9).is_ok());
        assert!(Job::new(1000, "a.service", "isolate", 0).is_err());
        assert!(Job::new(u32::MAX, "a.service", "stop", 0).is_err());
    }
}
