//! Carries plans out. Holds no policy: what may not be done, [`crate::decide`] did not plan.
//!
//! Before a signal, the process is opened and looked at once more, so that no other one is hit.
//! A unit is a name: its manager acts on whatever bears it when the call arrives.

mod command;
pub(crate) mod end;
mod helper;
mod job;
mod service;
mod signal;

pub(crate) use service::why as why_not;
pub(crate) use service::why_not_down;
pub(crate) use signal::send_to;

use std::time::Duration;

use serde::Serialize;

use crate::model::{Action, Aim, Ladder, Means, Plan, Step, Stopper};
use crate::observe::{Observer, ProcFs};
use crate::registry::Store;

/// How an action ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The wanted state was there already.
    Unchanged,
    /// It runs now.
    Started,
    /// It has ended.
    Stopped,
    /// It ended and runs again.
    Restarted,
    /// It was told to read its configuration again, and said that it did.
    Reloaded,
    /// The signal was sent.
    Signalled,
    /// The job is queued; nobody waited for it (`--no-block`).
    Queued,
}

/// How an action ended, and in what state that leaves its object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// How it ended.
    pub outcome: Outcome,
    /// The state afterwards, in words: `active (running)`, `3 processes ended`.
    pub state: String,
}

/// Why an action did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// Authorisation was refused.
    #[error("{0}")]
    NotPermitted(String),
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// The time given did not suffice.
    #[error("{0}")]
    TimedOut(String),
    /// The manager or its bus cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The target is gone, or another process has its pid now.
    #[error("{0}")]
    Gone(String),
    /// The plan itself says that it cannot be.
    #[error("{reason}")]
    Stopped {
        /// As what kind of obstacle.
        stopper: Stopper,
        /// The plan's reason.
        reason: String,
    },
}

/// How plans are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Jobs are queued and not waited for.
    pub no_block: bool,
    /// The longest time for all of it.
    pub timeout: Option<Duration>,
}

/// How long it may take to find out what was waited for in vain.
const TELLING: Duration = Duration::from_secs(5);

/// Carries out a plan.
pub async fn carry_out(observer: &Observer, plan: &Plan, options: Options) -> Result<Done, ActError> {
    if let Some(state) = &plan.already {
        return Ok(Done { outcome: Outcome::Unchanged, state: state.clone() });
    }
    if let Some(stopper) = plan.stopper {
        return Err(ActError::Stopped { stopper, reason: plan.reason.clone() });
    }
    let end = options.timeout.map(|limit| tokio::time::Instant::now() + limit);
    // A step that follows a service says itself what it waited for. A reload is the answer to one call.
    let follows = |action: &Action| matches!(action, Action::Start | Action::Stop | Action::Restart);
    let is_told = plan.steps.iter().any(|step| matches!(step, Step::Service { action, .. } if follows(action)));
    let work = async {
        let mut done = Done { outcome: Outcome::Unchanged, state: String::new() };
        for step in &plan.steps {
            done = self::step(observer, plan.action, step, (options, end)).await?;
            if plan.means == Means::OwnService && done.outcome == Outcome::Stopped {
                forget(observer, step);
            }
        }
        Ok(done)
    };
    match options.timeout {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit + if is_told { TELLING } else { Duration::ZERO }, work)
            .await
            .unwrap_or_else(|_| Err(not_done(plan.action, limit))),
    }
}

fn not_done(action: Action, limit: Duration) -> ActError {
    let limit = humantime::format_duration(limit);
    ActError::TimedOut(format!("{action} was not done after {limit}; what was queued or sent goes on"))
}

/// Carries out plans of one action of one daemon, by one call: it knows itself which of its services comes first.
pub(crate) async fn carry_out_together(
    observer: &Observer,
    plans: &[&Plan],
    options: Options,
) -> Vec<Result<Done, ActError>> {
    let steps: Vec<&Step> = plans.iter().flat_map(|plan| &plan.steps).collect();
    let end = options.timeout.map(|limit| tokio::time::Instant::now() + limit);
    let work = service::ask_all(observer, &steps, options, end);
    let done = match (options.timeout, plans) {
        (Some(limit), [plan, ..]) => {
            tokio::time::timeout(limit + TELLING, work).await.unwrap_or_else(|_| Err(not_done(plan.action, limit)))
        }
        _ => work.await,
    };
    match done {
        Ok(done) => done,
        // Nobody knows what came of it.
        Err(error @ (ActError::Unreachable(_) | ActError::TimedOut(_))) => {
            plans.iter().map(|_| Err(error.clone())).collect()
        }
        // What stands against one of them need not stand against the others.
        Err(_) => {
            let mut done = Vec::new();
            for plan in plans {
                done.push(carry_out(observer, plan, options).await);
            }
            done
        }
    }
}

/// Ends processes and all that descends from them by the rungs of a ladder, as a plan's step does:
/// for those that no plan can speak of, because they belong to nobody.
pub(crate) async fn end_trees(proc: &ProcFs, roots: &[Aim], ladder: &Ladder) -> Result<Done, ActError> {
    end::end(proc, roots, ladder).await
}

/// What provost started and now ended needs no record any more.
fn forget(observer: &Observer, step: &Step) {
    let (Some(store), Step::End { processes, .. }) = (Store::of(observer.caller().uid), step) else { return };
    for record in store.all() {
        if record.instance.is_none()
            && record.identity.is_some_and(|own| processes.iter().any(|aim| aim.identity.is(&own)))
            && let Err(error) = store.remove(&record.id)
        {
            tracing::warn!("the record of {} stays: {error}", record.id);
        }
    }
}

async fn step(
    observer: &Observer,
    action: Action,
    step: &Step,
    (options, end): (Options, Option<tokio::time::Instant>),
) -> Result<Done, ActError> {
    match step {
        Step::Job { manager, unit, action, force, interactive } => {
            let job = job::Job { whose: *manager, unit, action: *action, force: *force, interactive: *interactive };
            job::run(observer, &job, options.no_block).await
        }
        Step::KillUnit { manager, unit, whom, signal, interactive } => {
            job::kill(observer, *manager, unit, *whom, *signal, *interactive).await
        }
        Step::Signal { processes, signal } => signal::send(observer.proc(), processes, *signal),
        Step::End { processes, ladder } => end::end(observer.proc(), processes, ladder).await,
        Step::HelperSignal { processes, signal, interactive } => {
            helper::signal(observer, processes, *signal, *interactive).await
        }
        Step::HelperEnd { processes, ladder, interactive } => {
            helper::end(observer, processes, ladder, *interactive).await
        }
        Step::HelperUnit { uid, unit, action, signal, interactive } => {
            helper::unit(observer, (*uid, unit), *action, *signal, *interactive).await
        }
        Step::Service { .. } => service::ask(observer, step, options, end).await,
        Step::Command { argv } => command::run(argv, action).await,
    }
}
