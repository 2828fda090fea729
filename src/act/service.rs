//! Services of our own: their daemon is asked, and followed until it is done.

use std::time::Duration;

use tokio::time::Instant;

use super::{ActError, Done, Options, Outcome};
use crate::control::{Asks, Control, Touched};
use crate::error::Error;
use crate::model::Instance;
use crate::model::service::ServiceReport;
use crate::model::{Action, ServiceId, Step};
use crate::observe::Observer;
use crate::services::{self, Choice, Ended, Follow, Goal};

/// Asks for one step, and waits for its end, as long as the options say.
pub(super) async fn ask(
    observer: &Observer,
    step: &Step,
    Options { no_block, timeout }: Options,
    until: Option<Instant>,
) -> Result<Done, ActError> {
    let Step::Service { id, action, system, start_daemon, load, interactive, .. } = step else {
        return Err(ActError::Failed("it is no step for a daemon".to_owned()));
    };
    let instance = if *system { Instance::System } else { Instance::User };
    let control = match start_daemon {
        true => services::daemon(instance, false, |warning| tracing::warn!("{warning}")).await,
        false => match Control::connect(instance).await {
            Ok(Some(control)) => Ok(control),
            Ok(None) if *action == Action::Stop => return unwanted(observer, id, instance).await,
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
    let touched = give(&control, step).await.map_err(act_error)?;
    let goal = match action {
        Action::Start => Goal::Ready,
        Action::Restart => Goal::Again,
        Action::Stop => Goal::Down,
        Action::Reload => return Ok(Done { outcome: Outcome::Reloaded, state: "it was told to".to_owned() }),
        Action::Kill => return Ok(Done { outcome: Outcome::Signalled, state: signalled(step) }),
    };
    if no_block {
        return Ok(Done { outcome: Outcome::Queued, state: format!("{action} of {id} is under way") });
    }
    let goal = if nothing_to_do(&touched, id) && goal == Goal::Again { Goal::Ready } else { goal };
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
                _ if nothing_to_do(&touched, id) => Outcome::Unchanged,
                Action::Restart => Outcome::Restarted,
                Action::Stop => Outcome::Stopped,
                _ => Outcome::Started,
            };
            Ok(Done { outcome, state })
        }
        Ended::Failed(report) => Err(ActError::Failed(why(&report))),
        Ended::TimedOut(report) => Err(ActError::TimedOut(late(&report, timeout.unwrap_or_default()))),
    }
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

async fn give(control: &Control, step: &Step) -> Result<Touched, Error> {
    let Step::Service { id, action, force, signal, whom, .. } = step else { return Ok(Vec::new()) };
    let ids = std::slice::from_ref(id);
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

fn nothing_to_do(touched: &Touched, id: &ServiceId) -> bool {
    touched.iter().any(|(of, did)| of == id && !did)
}

/// How it ended, in words.
fn end(report: &ServiceReport) -> String {
    match report.last_exit {
        Some(exit) => format!("its main process ended with {exit}"),
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
        _ if report.state == crate::model::service::ServiceState::Running && !report.ready => {
            details.push("not ready yet".to_owned());
        }
        _ => {}
    }
    if details.is_empty() { report.state.to_string() } else { format!("{} ({})", report.state, details.join(", ")) }
}

/// Why it is not as it should be, and where to look.
pub(crate) fn why(report: &ServiceReport) -> String {
    use crate::model::service::ServiceState;
    let id = &report.id;
    let state = match report.state {
        ServiceState::Failed => "has failed".to_owned(),
        ServiceState::Restarting => report.retried(),
        state => format!("is {state}"),
    };
    let reason = report.reason.as_ref().or(report.last_error.as_ref());
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{id} {state}{reason}; its output: provost logs {id}")
}

/// What was waited for in vain.
fn late(report: &ServiceReport, limit: Duration) -> String {
    let (id, limit) = (&report.id, humantime::format_duration(limit));
    let why = report.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
    let goes_on = match report.state {
        crate::model::service::ServiceState::Stopping => format!("; provost stop --force {id} kills it"),
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
