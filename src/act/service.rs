//! Services of our own: their daemon is asked, and followed until it is done.

use std::time::Duration;

use tokio::time::Instant;

use super::{ActError, Done, Options, Outcome};
use crate::control::{Asks, Control, Touched};
use crate::error::Error;
use crate::model::Instance;
use crate::model::service::{Desired, ServiceReport, ServiceState};
use crate::model::{Action, ServiceId, Step};
use crate::observe::Observer;
use crate::services::{self, Choice, Ended, Follow, Goal};

/// Asks for one step, and waits for its end, as long as the options say.
pub(super) async fn ask(
    observer: &Observer,
    step: &Step,
    options: Options,
    until: Option<Instant>,
) -> Result<Done, ActError> {
    let done = ask_all(observer, &[step], options, until).await?;
    done.into_iter().next().unwrap_or_else(|| Err(no_step()))
}

/// Asks for steps of one action of one daemon by one call, so that it does them in the order of `after`; what
/// came of each. The error: nothing was done.
pub(super) async fn ask_all(
    observer: &Observer,
    steps: &[&Step],
    options: Options,
    until: Option<Instant>,
) -> Result<Vec<Result<Done, ActError>>, ActError> {
    let Some(first @ Step::Service { id, action, system, start_daemon, load, interactive, .. }) = steps.first() else {
        return Err(no_step());
    };
    let instance = if *system { Instance::System } else { Instance::User };
    let ids: Vec<ServiceId> = steps.iter().filter_map(|step| id_of(step).cloned()).collect();
    let control = match start_daemon {
        true => services::daemon(instance, false, |warning| tracing::warn!("{warning}")).await,
        false => match Control::connect(instance).await {
            Ok(Some(control)) => Ok(control),
            Ok(None) if *action == Action::Stop => {
                let mut done = Vec::new();
                for id in &ids {
                    done.push(unwanted(observer, id, instance).await);
                }
                return Ok(done);
            }
            Ok(None) => Err(Error::Unreachable(format!("the daemon of {id} has ended meanwhile"))),
            Err(error) => Err(error),
        },
    };
    let caller = observer.caller();
    let asks = Asks { terminal: caller.interactive, session: caller.session.is_some() };
    let control = control.map_err(act_error)?.asking(interactive.then_some(asks));
    if let Some(path) = load {
        let choice = Choice { named: Some(path), instance, uid: observer.caller().uid };
        let project = services::load(path, choice).map_err(act_error)?;
        control.load(path, &services::sent_along(&project.services)).await.map_err(act_error)?;
    }
    let mut follow = Follow::begin(&control).await.map_err(act_error)?;
    let touched = give(&control, &ids, first).await.map_err(act_error)?;
    let mut done: Vec<Result<Done, ActError>> = Vec::new();
    for step in steps {
        let came = came_of(&mut follow, step, &touched, options, until).await;
        // What cannot be asked any more cannot, because the daemon has ended.
        let gone = match &came {
            Err(ActError::Failed(_)) => done.iter().find(|done| matches!(done, Err(ActError::Unreachable(_)))),
            _ => None,
        };
        done.push(gone.cloned().unwrap_or(came));
    }
    Ok(done)
}

/// What came of one step that the daemon was told.
async fn came_of(
    follow: &mut Follow,
    step: &Step,
    touched: &Touched,
    Options { no_block, timeout }: Options,
    until: Option<Instant>,
) -> Result<Done, ActError> {
    let Step::Service { id, action, .. } = step else { return Err(no_step()) };
    let idle = touched.iter().any(|(of, did)| of == id && !did);
    let goal = match action {
        Action::Reload | Action::Kill if idle => return Err(ActError::Failed(format!("{id} does not run"))),
        Action::Start => Goal::Ready,
        Action::Restart if idle => Goal::Ready,
        Action::Restart => Goal::Again,
        Action::Stop => Goal::Down,
        Action::Reload => return Ok(Done { outcome: Outcome::Reloaded, state: "it was told to".to_owned() }),
        Action::Kill => return Ok(Done { outcome: Outcome::Signalled, state: signalled(step) }),
    };
    if no_block {
        return Ok(Done { outcome: Outcome::Queued, state: format!("{action} of {id} is under way") });
    }
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let came = follow.until(std::slice::from_ref(id), goal, left, |_| ()).await.map_err(act_error)?;
    match came {
        Ended::Reached(reports) => {
            let state = match (action, reports.first()) {
                (_, None) => "it was removed".to_owned(),
                (Action::Stop, Some(report)) => end(report) + &unwritten(report),
                (_, Some(report)) => state(report),
            };
            let outcome = match action {
                _ if idle => Outcome::Unchanged,
                Action::Restart => Outcome::Restarted,
                Action::Stop => Outcome::Stopped,
                _ => Outcome::Started,
            };
            Ok(Done { outcome, state })
        }
        Ended::Failed(report) if goal == Goal::Down => Err(ActError::Failed(why_not_down(&report))),
        Ended::Failed(report) if goal == Goal::Again && report.state == ServiceState::Stopped => {
            Err(ActError::Failed(format!("it was stopped, and not started again; provost start {id} does that")))
        }
        Ended::Failed(report) => Err(ActError::Failed(why(&report))),
        Ended::TimedOut(report) => Err(ActError::TimedOut(late(&report, timeout.unwrap_or_default()))),
    }
}

fn no_step() -> ActError {
    ActError::Failed("it is no step for a daemon".to_owned())
}

fn id_of(step: &Step) -> Option<&ServiceId> {
    let Step::Service { id, .. } = step else { return None };
    Some(id)
}

/// No daemon runs, and nothing of it: it is to stay so.
async fn unwanted(observer: &Observer, id: &ServiceId, instance: Instance) -> Result<Done, ActError> {
    let mut reports = services::offline_reports(observer).await.map_err(act_error)?;
    reports.retain(|report| report.id == *id);
    if reports.iter().any(ServiceReport::has_processes) {
        return Err(ActError::Unreachable(format!("the daemon of {id} has ended meanwhile")));
    }
    let new = services::unwanted(instance, &reports).map_err(act_error)?;
    let outcome = if new.is_empty() { Outcome::Unchanged } else { Outcome::Stopped };
    Ok(Done { outcome, state: "it did not run, and the next daemon does not start it".to_owned() })
}

/// Tells the daemon to do to all of these what this step says of one of them.
async fn give(control: &Control, ids: &[ServiceId], step: &Step) -> Result<Touched, Error> {
    let Step::Service { action, force, signal, whom, .. } = step else { return Ok(Vec::new()) };
    match action {
        Action::Start => control.start(ids, None, &Default::default()).await,
        Action::Stop => control.stop(ids, None, *force).await,
        Action::Restart => control.restart(ids, None).await,
        Action::Reload => control.reload(ids).await,
        Action::Kill => control.kill(ids, *whom, *signal).await,
    }
}

fn signalled(step: &Step) -> String {
    match step {
        Step::Service { id, signal, whom, .. } => match whom {
            crate::model::Whom::Main => format!("{signal} sent to the main process of {id}"),
            crate::model::Whom::All => format!("{signal} sent to every process of {id}"),
        },
        _ => String::new(),
    }
}

/// How it ended, in words.
fn end(report: &ServiceReport) -> String {
    match report.last_exit {
        Some(exit) => format!("its main process ended with {exit}"),
        None if report.state == ServiceState::Stopped => "it had not run".to_owned(),
        None => format!("it is {}", report.state),
    }
}

/// What becomes of a stop that only the daemon knows of.
fn unwritten(report: &ServiceReport) -> String {
    let why = report.unwritten().map(|why| format!("; the next daemon would not know of it: {why}"));
    why.unwrap_or_default()
}

/// The state in words: `running (pid 7, port 8080)`.
pub(crate) fn state(report: &ServiceReport) -> String {
    let mut details = Vec::new();
    details.extend(report.pid.map(|pid| format!("pid {pid}")));
    details.extend(report.port.filter(|_| report.state.is_alive()).map(|port| format!("port {port}")));
    match (report.last_exit, report.state.is_alive()) {
        (Some(exit), false) => details.push(exit.to_string()),
        _ if report.state == ServiceState::Running && !report.ready => {
            details.push("not ready yet".to_owned());
        }
        _ => {}
    }
    if details.is_empty() { report.state.to_string() } else { format!("{} ({})", report.state, details.join(", ")) }
}

/// Why it is not as it should be, and where to look.
pub(crate) fn why(report: &ServiceReport) -> String {
    let id = &report.id;
    let state = match report.state {
        ServiceState::Failed => "has failed".to_owned(),
        ServiceState::Restarting => report.retried(),
        state => format!("is {state}"),
    };
    // Where somebody stopped it, the last error is an earlier run's.
    let is_of_now = !matches!(report.state, ServiceState::Stopping | ServiceState::Stopped);
    let reason = report.reason.as_ref().or(report.last_error.as_ref().filter(|_| is_of_now));
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{id} {state}{reason}; its output: provost logs {id}")
}

/// Why one that was stopped is not down.
pub(crate) fn why_not_down(report: &ServiceReport) -> String {
    match (report.desired, report.state) {
        (Desired::Down, _) | (_, ServiceState::Failed) => why(report),
        _ => format!("{} was started again meanwhile", report.id),
    }
}

/// What was waited for in vain.
fn late(report: &ServiceReport, limit: Duration) -> String {
    let (id, limit) = (&report.id, humantime::format_duration(limit));
    let why = report.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
    let goes_on = match report.state {
        ServiceState::Stopping => format!("; provost stop --force {id} kills it"),
        _ => format!("; it goes on; its output: provost logs {id}"),
    };
    format!("after {limit} it is {}{why}{goes_on}", report.state)
}

/// An error of the way to the daemon as one of the action.
pub(crate) fn act_error(error: Error) -> ActError {
    match error {
        Error::Act(error) => error,
        Error::Unreachable(why) => ActError::Unreachable(why),
        Error::NotFound { .. } => ActError::Gone(error.to_string()),
        other => ActError::Failed(other.to_string()),
    }
}
