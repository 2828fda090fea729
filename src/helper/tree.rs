//! `StopProcessTree`: a process and all that descends from it, ended by a ladder of signals. The
//! walk is the one of [`crate::act::end`]; here is by what right each member is signalled.
//!
//! Each is looked at by its own facts. A password that was given for one holds, within this call,
//! for the others of the same user and polkit action: it was given for the tree. What a rule allows
//! it allows for what it looked at, so others are asked about each. What is the caller's own they
//! could end themselves.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rights::Question;
use super::target::Target;
use super::{Helper, HelperError, signals};
use crate::act::ActError;
use crate::act::end::{Hand, Root, end_held};
use crate::model::Signal;
use crate::polkit::Answer;
use crate::sys::pidfd::PidFd;

/// The processes of a tree that is explained: each may be a question to polkit.
const MOST: usize = 1000;

impl Helper {
    /// Ends a tree. Whether nothing is left that could be ended, and what was done or could not be.
    pub(crate) async fn stop_tree(&self, fd: OwnedFd, ladder: &str) -> Result<(bool, Vec<String>), HelperError> {
        let ladder = signals::ladder(ladder)?;
        let target = self.hold(fd)?;
        self.protect(&target).await?;
        self.protect_tree(&target)?;
        let rights = Rights::new(self, signals::names(&ladder));
        rights.judge(&target, self.interactive).await?;
        target.is_unchanged(&self.proc)?;
        let (pid, start_ticks) = (target.seen.pid, target.seen.start_ticks);
        let pidfd = duplicate(&target.pidfd)?;
        rights.members().insert(pid, Ok(target));
        let root = Root { pid, start_ticks, pidfd };
        let ended = tokio::select! {
            ended = end_held(&self.proc, vec![root], &ladder, &rights) => ended,
            gone = self.authority.gone(&self.sender) => {
                tracing::info!("{}: the caller of StopProcessTree has left ({gone:?}); nothing more is sent", self.who());
                return Err(HelperError::Failed("the caller has left".to_owned()));
            }
        };
        let lines = |text: &str| text.split("; ").map(str::to_owned).collect();
        match ended {
            Ok(done) => Ok((true, lines(&done.state))),
            Err(ActError::Gone(text)) => Err(HelperError::NoSuchProcess(text)),
            Err(error) => Ok((false, lines(&error.to_string()))),
        }
    }

    /// The worst answer that polkit has for any process of a tree, with the question.
    pub(super) async fn tree_answer(
        &self,
        target: Target,
        signals: Vec<String>,
    ) -> Result<(Question, Result<Answer, HelperError>), HelperError> {
        self.protect(&target).await?;
        self.protect_tree(&target)?;
        let rights = Rights::new(self, signals);
        let root = target.seen.pid;
        let mut worst = rights.ask(&target).await;
        let tree = crate::observe::tree::of(&self.proc, &[root]);
        if tree.len() > MOST {
            let why = format!("{} processes are too many to be asked about one by one", tree.len());
            return Err(HelperError::LimitsExceeded(why));
        }
        for pid in tree {
            // Others are answered in between.
            tokio::task::yield_now().await;
            if pid == root || !matches!(worst.1, Ok(Answer::Allowed | Answer::NeedsPassword)) {
                continue;
            }
            let Ok(member) = PidFd::open(pid).map_err(drop).and_then(|fd| Target::of(&self.proc, fd).map_err(drop))
            else {
                continue;
            };
            let one = match self.protect(&member).await {
                Ok(()) => rights.ask(&member).await,
                Err(error) => (rights.question(&member), Err(error)),
            };
            if one.1 != Ok(Answer::Allowed)
                && (worst.1 == Ok(Answer::Allowed) || !matches!(one.1, Ok(Answer::NeedsPassword)))
            {
                worst = one;
            }
        }
        Ok(worst)
    }
}

fn duplicate(pidfd: &PidFd) -> Result<PidFd, HelperError> {
    let copy = pidfd.as_fd().try_clone_to_owned();
    copy.map(PidFd::from).map_err(|error| HelperError::Failed(error.to_string()))
}

/// What is known of the members of one tree.
struct Rights<'a> {
    helper: &'a Helper,
    /// Each signal of the ladder, by its name.
    signals: Vec<String>,
    /// Those that may be signalled, as they were when that was said; or why not.
    members: Mutex<BTreeMap<u32, Result<Target, HelperError>>>,
    /// What polkit answered to the same question about another process.
    answers: Mutex<Vec<(Question, Answer)>>,
    /// For whom a password was given: polkit action and user.
    passwords: Mutex<Vec<(&'static str, String)>>,
    /// Whether the first ones were asked about, for whom a password may be asked for.
    begun: std::sync::atomic::AtomicBool,
}

impl<'a> Rights<'a> {
    fn new(helper: &'a Helper, signals: Vec<String>) -> Self {
        Self {
            helper,
            signals,
            members: Mutex::default(),
            answers: Mutex::default(),
            passwords: Mutex::default(),
            begun: false.into(),
        }
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<u32, Result<Target, HelperError>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The question as a person is asked it: once, about all signals.
    fn question(&self, target: &Target) -> Question {
        self.about(target, &self.signals.join(", "))
    }

    fn about(&self, target: &Target, signals: &str) -> Question {
        Question { own: target.seen.is_of(self.helper.uid), ..self.helper.question(target, signals) }
    }

    /// What polkit says about a member, without a password: the worst that it says of a signal, with
    /// the question.
    async fn ask(&self, target: &Target) -> (Question, Result<Answer, HelperError>) {
        let mut worst = Answer::Allowed;
        for signal in &self.signals {
            let question = self.about(target, signal);
            match self.ask_once(&question).await {
                Ok(Answer::Allowed) => {}
                Ok(Answer::NeedsPassword) => worst = Answer::NeedsPassword,
                other => return (question, other),
            }
        }
        (self.question(target), Ok(worst))
    }

    async fn ask_once(&self, question: &Question) -> Result<Answer, HelperError> {
        // The pid is shown to people, and no rule can mean anything by it.
        let like = Question {
            details: question.details.iter().filter(|(name, _)| *name != "pid").cloned().collect(),
            what: String::new(),
            ..question.clone()
        };
        let known = {
            let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.iter().find(|(known, _)| *known == like).map(|(_, answer)| *answer)
        };
        if let Some(answer) = known {
            return Ok(answer);
        }
        let answer = self.helper.ask(question, false).await.map_err(|error| HelperError::unanswered(&error))?;
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push((like, answer));
        Ok(answer)
    }

    /// Whether a member may be signalled; a password is asked for if `interactive`.
    async fn judge(&self, target: &Target, interactive: bool) -> Result<(), HelperError> {
        let (question, answer) = self.ask(target).await;
        let answer = answer?;
        if answer != Answer::NeedsPassword {
            return self.helper.judge(&question, Ok(answer));
        }
        let whose = (question.action, self.user(&question));
        let given = || self.passwords.lock().unwrap_or_else(PoisonError::into_inner).contains(&whose);
        if given() {
            return Ok(());
        }
        let answer = if interactive { self.helper.ask(&question, true).await } else { Ok(answer) };
        self.helper.judge(&question, answer)?;
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner).push(whose);
        Ok(())
    }

    fn user(&self, question: &Question) -> String {
        question.details.iter().find(|(name, _)| *name == "user").map(|(_, user)| user.clone()).unwrap_or_default()
    }

    async fn look_at(&self, pidfd: &PidFd, interactive: bool) -> Result<Target, HelperError> {
        let target = Target::of(&self.helper.proc, duplicate(pidfd)?)?;
        self.helper.protect(&target).await?;
        self.judge(&target, interactive).await?;
        Ok(target)
    }
}

impl Hand for Rights<'_> {
    async fn admit(&self, members: Vec<(u32, &PidFd)>) {
        // Only before the first signal: later, some may be stopped, and wait.
        let first = !self.begun.swap(true, std::sync::atomic::Ordering::Relaxed);
        for (pid, pidfd) in members {
            if self.members().contains_key(&pid) {
                continue;
            }
            let result = self.look_at(pidfd, first && self.helper.interactive).await;
            self.members().insert(pid, result);
        }
    }

    fn send(&self, _pidfd: &PidFd, pid: u32, signal: Signal) -> Result<bool, ActError> {
        let mut members = self.members();
        let sent = match members.get(&pid) {
            Some(Ok(target)) => target.is_unchanged(&self.helper.proc).and_then(|()| {
                tracing::info!("{}: {signal} to {pid} ({:?})", self.helper.who(), target.seen.exe);
                target.send(signal)
            }),
            Some(Err(error)) => Err(error.clone()),
            None => Err(HelperError::NotPermitted(format!("process {pid} was not asked about"))),
        };
        match sent {
            Err(HelperError::NoSuchProcess(_)) => Ok(false),
            Err(HelperError::Changed(why)) => {
                // As what it is now it is asked about before the next signal.
                members.remove(&pid);
                Err(ActError::Failed(why))
            }
            sent => sent.map_err(ActError::from),
        }
    }
}
