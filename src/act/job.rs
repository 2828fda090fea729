//! Jobs and KillUnit of a manager, with a password where that is needed and possible.

use super::{ActError, Done, Outcome};
use crate::model::{Action, Manager as Whose, Signal, UnitName, Whom};
use crate::observe::Observer;
use crate::polkit::Agent;
use crate::sys::pidfd::PidFd;
use crate::systemd::{CallError, Jobs, Manager};

/// A job to run.
pub(super) struct Job<'a> {
    pub(super) whose: Whose,
    pub(super) unit: &'a UnitName,
    pub(super) action: Action,
    pub(super) force: bool,
    pub(super) interactive: bool,
}

/// Queues the job and waits for its end and the state that it leaves.
pub(super) async fn run(observer: &Observer, job: &Job<'_>, no_block: bool) -> Result<Done, ActError> {
    let manager = manager(observer, job.whose).await?;
    let before =
        if job.action == Action::Stop { Before::look(observer, &manager, job).await } else { Before::default() };
    let jobs = if no_block { None } else { Some(Jobs::listen(&manager).await.map_err(explain)?) };
    let agent = agent(observer, job.interactive).await?;
    let queued = manager.queue(job.unit, job.action, job.interactive).await;
    let killed = match (&queued, job.force) {
        (Ok(_), true) => manager.kill(job.unit, Whom::All, Signal::KILL, job.interactive).await,
        _ => Ok(()),
    };
    if let Some(agent) = agent {
        agent.end().await;
    }
    let path = queued.map_err(explain)?;
    match killed {
        // The stop was faster.
        Err(error) if !matches!(error.short_name(), "NoSuchProcess" | "NoSuchUnit") => return Err(explain(error)),
        _ => {}
    }
    let Some(jobs) = jobs else {
        return Ok(Done { outcome: Outcome::Queued, state: format!("{} of {} is queued", job.action, job.unit) });
    };
    let outcome = jobs.wait(&path).await.map_err(explain)?;
    if !outcome.is_success() {
        return Err(failed(&manager, job, &outcome.0).await);
    }
    before.after(finished(&manager, job).await?, job)
}

/// The processes of a unit before it is stopped, held so that it can be seen what is left of them.
#[derive(Default)]
struct Before {
    main: Option<u32>,
    processes: Vec<(u32, PidFd)>,
}

impl Before {
    async fn look(observer: &Observer, manager: &Manager, job: &Job<'_>) -> Self {
        let Ok(unit) = manager.unit_properties(job.unit, &["ControlGroup", "MainPID"]).await else {
            return Self::default();
        };
        let group = observer.group_of(job.whose, &unit.string("ControlGroup"));
        let pids = group.map(|g| observer.pids_in(&g)).unwrap_or_default();
        let processes = pids.into_iter().filter_map(|pid| Some((pid, PidFd::open(pid).ok()?))).collect();
        Self { main: unit.pid("MainPID"), processes }
    }

    /// What the manager says is believed, and looked at.
    fn after(&self, mut done: Done, job: &Job<'_>) -> Result<Done, ActError> {
        let alive = self.processes.iter().filter(|(_, fd)| fd.is_alive());
        let left: Vec<u32> = alive.map(|(pid, _)| *pid).collect();
        if left.iter().any(|pid| Some(*pid) == self.main) {
            let why = format!("{} is said to be stopped, but its main process still runs", job.unit);
            return Err(ActError::Failed(why));
        }
        let list: Vec<String> = left.iter().take(8).map(ToString::to_string).collect();
        match left.len() {
            0 => {}
            1 => done.state.push_str(&format!("; 1 process of it is left: {}", list.join(", "))),
            n => done.state.push_str(&format!("; {n} processes of it are left: {}", list.join(", "))),
        }
        Ok(done)
    }
}

/// How the log of the unit is read.
fn journalctl(job: &Job<'_>) -> String {
    let user = if matches!(job.whose, Whose::User(_)) { " --user" } else { "" };
    format!("journalctl{user} -u {}", job.unit)
}

/// Sends a signal through the manager.
pub(super) async fn kill(
    observer: &Observer,
    whose: Whose,
    unit: &UnitName,
    whom: Whom,
    signal: Signal,
    interactive: bool,
) -> Result<Done, ActError> {
    let manager = manager(observer, whose).await?;
    let agent = agent(observer, interactive).await?;
    let sent = manager.kill(unit, whom, signal, interactive).await;
    if let Some(agent) = agent {
        agent.end().await;
    }
    sent.map_err(explain)?;
    let whom = match whom {
        Whom::Main => "the main process",
        Whom::All => "every process",
    };
    Ok(Done { outcome: Outcome::Signalled, state: format!("{signal} sent to {whom} of {unit}") })
}

async fn manager(observer: &Observer, whose: Whose) -> Result<Manager, ActError> {
    observer.bus().manager(whose).await.map_err(ActError::Unreachable)
}

pub(super) async fn agent(observer: &Observer, interactive: bool) -> Result<Option<Agent>, ActError> {
    if !interactive {
        return Ok(None);
    }
    let in_session = observer.caller().session.is_some();
    Agent::start(in_session).await.map(Some).map_err(|e| ActError::NotPermitted(e.to_string()))
}

/// The state after a job that succeeded; a start that ended in `failed` did not.
async fn finished(manager: &Manager, job: &Job<'_>) -> Result<Done, ActError> {
    let unit = manager.unit_properties(job.unit, &["Result"]).await.map_err(explain)?;
    let (active, sub) = (unit.string("ActiveState"), unit.string("SubState"));
    let state = format!("{active} ({sub})");
    let outcome = match job.action {
        Action::Start => Outcome::Started,
        Action::Restart => Outcome::Restarted,
        Action::Reload => Outcome::Reloaded,
        Action::Stop | Action::Kill => Outcome::Stopped,
    };
    let starts = matches!(job.action, Action::Start | Action::Restart);
    if starts && active == "failed" {
        return Err(ActError::Failed(format!(
            "{} was started and failed at once ({}); its log: {}",
            job.unit,
            unit.string("Result"),
            journalctl(job)
        )));
    }
    Ok(Done { outcome, state })
}

async fn failed(manager: &Manager, job: &Job<'_>, result: &str) -> ActError {
    let (action, unit) = (job.action, job.unit);
    let why = match result {
        "dependency" => "a unit that it needs could not be started".to_owned(),
        "timeout" => "systemd gave up waiting for it".to_owned(),
        "canceled" => "another job came in between".to_owned(),
        "failed" => match manager.unit_properties(unit, &["Result"]).await {
            Ok(p) => format!("the unit ended with result {}", p.string("Result")),
            Err(_) => "the unit failed".to_owned(),
        },
        other => format!("the job ended as {other}"),
    };
    ActError::Failed(format!("{action} of {unit} failed: {why}; its log: {}", journalctl(job)))
}

/// What an error of the call means for a person.
fn explain(error: CallError) -> ActError {
    if error.is_denied() {
        return ActError::NotPermitted(format!("authentication failed, or polkit said no ({error})"));
    }
    if error.needs_interaction() {
        return ActError::NotPermitted("a password is needed, and nobody could be asked for it here".to_owned());
    }
    match error.short_name() {
        "NoReply" => ActError::NotPermitted("nobody typed the password within the 25 s that systemd waits".to_owned()),
        "NoSuchUnit" | "UnitMasked" | "LoadFailed" | "OnlyByDependency" | "JobTypeNotApplicable" | "NoSuchProcess" => {
            ActError::Failed(error.to_string())
        }
        _ if error.is_unreachable() => ActError::Unreachable(error.to_string()),
        _ => ActError::Failed(error.to_string()),
    }
}
