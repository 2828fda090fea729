//! `Explain`: what would come of a call, for the one who asks. polkit is asked by root about them,
//! with the very details that the helper, or the system's manager, would pass: so the answer is
//! exact, rules on details included, and nobody is prompted.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use super::rights::Question;
use super::user_unit::{Job, action, unit_name};
use super::{Helper, HelperError, signals};
use crate::model::{Action, Ladder, Rung, Signal, UnitName, Verdict};
use crate::polkit::Answer;
use crate::systemd::Manager;

/// systemd's action for units of the system; its details, the same in 252 and 257, are `unit` (the
/// unit's main name) and `verb`.
const UNITS: &str = "org.freedesktop.systemd1.manage-units";

/// What is asked about.
#[derive(Debug)]
pub(crate) enum About {
    /// A process, by its pidfd: `kill` it, or `stop` it with all that it started.
    Process(OwnedFd),
    /// A unit of the system, which its manager would act on.
    Unit(String),
    /// A unit of a user's manager, which the helper would act on.
    UserUnit(u32, String),
}

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Explained {
    pub(crate) verdict: Verdict,
    /// Empty where polkit is not asked.
    pub(crate) action: String,
    pub(crate) details: BTreeMap<String, String>,
    pub(crate) reason: String,
}

impl Explained {
    fn of(question: &Question, answer: Result<Answer, HelperError>) -> Self {
        let what = &question.what;
        let (verdict, reason) = match answer {
            Ok(Answer::Allowed) if question.own => (Verdict::Allowed, format!("you may {what}: it is your own")),
            Ok(Answer::Allowed) => (Verdict::Allowed, format!("polkit lets you {what} ({})", question.action)),
            Ok(Answer::NeedsPassword) => {
                (Verdict::NeedsPassword, format!("polkit wants a password to {what} ({})", question.action))
            }
            Ok(Answer::Denied) => (Verdict::Denied, format!("polkit does not let you {what} ({})", question.action)),
            Err(error) => (Verdict::Denied, error.to_string()),
        };
        let details = question.details.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Self { verdict, action: question.action.to_owned(), details: details.collect(), reason }
    }

    fn refused(error: &HelperError) -> Self {
        let reason = error.to_string();
        Self { verdict: Verdict::Denied, action: String::new(), details: BTreeMap::new(), reason }
    }
}

impl Helper {
    /// What would come of an action.
    pub(crate) async fn explain(&self, about: About, verb: &str, number: i32) -> Result<Explained, HelperError> {
        let action = action(verb)?;
        let explained = match about {
            About::Process(fd) => self.of_process(fd, action, number).await,
            About::Unit(name) => self.of_unit(&unit_name(&name)?, action).await,
            About::UserUnit(uid, name) => {
                let number = if action == Action::Kill && number == 0 { Signal::TERM.number() } else { number };
                self.of_user_unit(&Job::new(uid, &name, verb, number)?).await
            }
        };
        match explained {
            Ok(explained) => Ok(explained),
            Err(error @ HelperError::NotPermitted(_)) => Ok(Explained::refused(&error)),
            Err(error) => Err(error),
        }
    }

    async fn of_process(&self, fd: OwnedFd, action: Action, number: i32) -> Result<Explained, HelperError> {
        let target = self.hold(fd).await?;
        match action {
            Action::Kill => {
                let signal = signals::allowed(if number == 0 { Signal::TERM.number() } else { number })?;
                self.protect(&target).await?;
                let question = self.question(&target, &signal.to_string());
                let answer = self.ask(&question, false).await;
                Ok(Explained::of(&question, answer.map_err(|error| HelperError::unanswered(&error))))
            }
            Action::Stop => {
                // The usual ladder begins with SIGTERM; another signal stands for itself.
                let ladder = match number {
                    0 | 15 => Ladder::default(),
                    number => Ladder(vec![Rung { signal: signals::allowed(number)?, wait: Ladder::WAIT }]),
                };
                let (question, answer) = self.tree_answer(target, signals::names(&ladder)).await?;
                Ok(Explained::of(&question, answer))
            }
            _ => Err(HelperError::InvalidArgs("of a process, kill and stop are explained".to_owned())),
        }
    }

    async fn of_unit(&self, unit: &UnitName, action: Action) -> Result<Explained, HelperError> {
        let manager = Manager::new(self.authority.connection().clone()).await;
        let id = match manager {
            Ok(manager) => manager.unit_property(unit, "Id").await,
            Err(error) => Err(error),
        };
        let id = id.map_err(|error| HelperError::Failed(format!("systemd: {error}")))?;
        let id = unit_name(<&str>::try_from(&id).unwrap_or_default())?;
        self.protect_unit(&id)?;
        if self.own_unit().as_ref() == Some(&id) {
            return Err(HelperError::NotPermitted(format!("{id} is the unit that provost itself runs in")));
        }
        let verb = action.verb();
        let question = Question {
            action: UNITS,
            details: vec![("unit", id.to_string()), ("verb", verb.to_owned())],
            what: format!("{verb} {id}"),
            own: false,
        };
        let answer = self.ask(&question, false).await;
        Ok(Explained::of(&question, answer.map_err(|error| HelperError::unanswered(&error))))
    }

    async fn of_user_unit(&self, job: &Job) -> Result<Explained, HelperError> {
        self.protect_manager(job.uid())?;
        self.protect_unit(job.unit())?;
        self.learn(job.uid()).await;
        let question = job.question(self);
        let answer = self.ask(&question, false).await;
        Ok(Explained::of(&question, answer.map_err(|error| HelperError::unanswered(&error))))
    }
}
