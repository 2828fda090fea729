//! `StopProcessTree`: a process and all that descends from it, ended by a ladder of signals. The
//! walk is the one of [`crate::act::end`]; here is by what right each member is signalled.
//!
//! Each is looked at by its own facts. A password that was given for one holds, within this call,
//! for the others of the same user and polkit action: it was given for the tree. What a rule allows
//! it allows for what it looked at, so others are asked about each. Of the
//! root it is always asked; what else is the caller's own they could end themselves.
//!
//! Before a SIGKILL a member is stopped, so that it starts nothing meanwhile, if polkit allows SIGSTOP
//! too; it is continued only where it was stopped here.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::rights::Question;
use super::target::Target;
use super::{Helper, HelperError, signals};
use crate::act::ActError;
use crate::act::end::{Hand, Root, end_held};
use crate::model::Signal;
use crate::polkit::Answer;
use crate::sys::pidfd::PidFd;

/// The processes of a tree that are held at the same time, or explained: each may be a question to
/// polkit.
const MOST: usize = 1000;
/// How long it is at least between two looks at all processes of the host.
const PAUSE: Duration = Duration::from_millis(100);

impl Helper {
    /// Ends a tree. Whether nothing is left that could be ended, and what was done or could not be.
    pub(crate) async fn stop_tree(&self, fd: OwnedFd, ladder: &str) -> Result<(bool, Vec<String>), HelperError> {
        let ladder = signals::ladder(ladder)?;
        let target = self.hold(fd).await?;
        self.protect(&target).await?;
        self.protect_tree(&target)?;
        let rights = Rights::new(self, target.seen.pid, signals::names(&ladder));
        let stops = rights.judge(&target, self.interactive).await?;
        target.is_unchanged(&self.proc)?;
        let (pid, start_ticks) = (target.seen.pid, target.seen.start_ticks);
        let pidfd = duplicate(&target.pidfd)?;
        rights.members().insert(pid, Ok(Member { target, stops }));
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
        let root = target.seen.pid;
        let rights = Rights::new(self, root, signals);
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
            self.learn(member.seen.shown_uid()).await;
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

/// A process that may be signalled.
struct Member {
    target: Target,
    /// It may be stopped before it is killed.
    stops: bool,
}

/// What is known of the members of one tree.
struct Rights<'a> {
    helper: &'a Helper,
    /// The pid of the root, which is asked about whosever it is.
    root: u32,
    /// Each signal of the ladder, by its name.
    signals: Vec<String>,
    /// Those that may be signalled, as they were when that was said; or why not.
    members: Mutex<BTreeMap<u32, Result<Member, HelperError>>>,
    /// Those that were stopped here.
    stopped: Mutex<BTreeSet<u32>>,
    /// What polkit answered to the same question about another process.
    answers: Mutex<Vec<(Question, Answer)>>,
    /// For whom a password was given: polkit action and user.
    passwords: Mutex<Vec<(&'static str, String)>>,
    /// Whether the first ones were asked about, for whom a password may be asked for.
    begun: std::sync::atomic::AtomicBool,
}

impl<'a> Rights<'a> {
    fn new(helper: &'a Helper, root: u32, signals: Vec<String>) -> Self {
        Self {
            helper,
            root,
            signals,
            members: Mutex::default(),
            stopped: Mutex::default(),
            answers: Mutex::default(),
            passwords: Mutex::default(),
            begun: false.into(),
        }
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<u32, Result<Member, HelperError>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The question as a person is asked it: once, about all signals.
    fn question(&self, target: &Target) -> Question {
        let (stop, kill) = (Signal::STOP.to_string(), Signal::KILL.to_string());
        let mut all = Vec::new();
        for signal in &self.signals {
            // Whoever types a password is told of all that is sent.
            if *signal == kill && !self.signals.contains(&stop) {
                all.push(stop.clone());
            }
            all.push(signal.clone());
        }
        self.about(target, &all.join(", "))
    }

    fn stopped(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self, signal: Signal) -> bool {
        self.signals.contains(&signal.to_string())
    }

    /// Whether a member that may be killed may be stopped before, which the ladder does not name.
    async fn may_stop(&self, target: &Target, by_password: bool) -> bool {
        if !self.names(Signal::KILL) || self.names(Signal::STOP) {
            return self.names(Signal::STOP);
        }
        match self.ask_once(&self.about(target, &Signal::STOP.to_string())).await {
            Ok(Answer::Allowed) => true,
            // The password was asked for with SIGSTOP named.
            Ok(Answer::NeedsPassword) => by_password,
            _ => false,
        }
    }

    fn about(&self, target: &Target, signals: &str) -> Question {
        let own = target.seen.pid != self.root && target.seen.is_of(self.helper.uid);
        Question { own, ..self.helper.question(target, signals) }
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

    /// Whether a member may be signalled; a password is asked for if `interactive`. If so, whether it
    /// may be stopped for a SIGKILL.
    async fn judge(&self, target: &Target, interactive: bool) -> Result<bool, HelperError> {
        let (question, answer) = self.ask(target).await;
        let answer = answer?;
        if answer != Answer::NeedsPassword {
            self.helper.judge(&question, Ok(answer))?;
            return Ok(self.may_stop(target, false).await);
        }
        let whose = (question.action, self.user(&question));
        let given = || self.passwords.lock().unwrap_or_else(PoisonError::into_inner).contains(&whose);
        if given() {
            return Ok(self.may_stop(target, true).await);
        }
        let answer = if interactive { self.helper.ask(&question, true).await } else { Ok(answer) };
        self.helper.judge(&question, answer)?;
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner).push(whose);
        Ok(self.may_stop(target, true).await)
    }

    fn user(&self, question: &Question) -> String {
        question.details.iter().find(|(name, _)| *name == "user").map(|(_, user)| user.clone()).unwrap_or_default()
    }

    async fn look_at(&self, pidfd: &PidFd, interactive: bool) -> Result<Member, HelperError> {
        let target = Target::of(&self.helper.proc, duplicate(pidfd)?)?;
        self.helper.learn(target.seen.shown_uid()).await;
        self.helper.protect(&target).await?;
        let stops = self.judge(&target, interactive).await?;
        Ok(Member { target, stops })
    }
}

impl Hand for Rights<'_> {
    async fn admit(&self, members: Vec<(u32, &PidFd)>) {
        // Only before the first signal: later, some may be stopped, and wait.
        let first = !self.begun.swap(true, std::sync::atomic::Ordering::Relaxed);
        // What has ended is held no longer, and its pid may be another's.
        let is_left = |pid: &u32| members.iter().any(|(left, _)| left == pid);
        self.members().retain(|pid, _| is_left(pid));
        self.stopped().retain(is_left);
        for (pid, pidfd) in members {
            if self.members().contains_key(&pid) {
                continue;
            }
            let result = self.look_at(pidfd, first && self.helper.interactive).await;
            self.members().insert(pid, result);
        }
    }

    fn bounds(&self) -> (usize, Duration) {
        (MOST, PAUSE)
    }

    fn send(&self, pidfd: &PidFd, pid: u32, signal: Signal) -> Result<bool, ActError> {
        if signal == Signal::CONT && !self.names(signal) {
            if !self.stopped().remove(&pid) {
                return Err(ActError::NotPermitted(format!("process {pid} was not stopped by provost")));
            }
            // What was stopped here goes on, whatever it has become.
            return crate::act::send_to(pidfd, pid, signal);
        }
        let mut members = self.members();
        let sent = match members.get(&pid) {
            Some(Ok(member)) if signal == Signal::STOP && !member.stops => {
                Err(HelperError::NotPermitted(format!("polkit does not let you stop process {pid} before")))
            }
            Some(Ok(Member { target, .. })) => target.is_unchanged(&self.helper.proc).and_then(|()| {
                tracing::info!("{}: {signal} to {pid} ({:?})", self.helper.who(), target.seen.exe);
                let sent = target.send(signal)?;
                if signal == Signal::STOP && sent {
                    self.stopped().insert(pid);
                }
                Ok(sent)
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
