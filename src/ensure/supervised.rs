//! Has provost's daemon start what is missing, and supervise it.

use super::{Ensured, Run};
use crate::error::Error;
use crate::model::service::{RestartPolicy, ServiceReport, ServiceSpec, ServiceState};
use crate::model::{Availability, AvailabilityState, Means, ServiceId};
use crate::services::{self, Ended, Follow, Goal};

impl Run<'_> {
    /// Defines the command as a service, starts it and waits for its answer. The inner error is why
    /// there can be no daemon: then the command is started without one.
    pub(super) async fn supervised(&self, id: &ServiceId, shown: &str) -> Result<Result<Ensured, String>, Error> {
        let observer = self.client.observer();
        let instance = services::instance_of(observer.units(), observer.caller().uid);
        let tell = |warning: &str| tracing::warn!("{warning}");
        let control = match services::daemon(instance, false, tell).await {
            Ok(control) => control,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
        // The words come from a shell, which has replaced what was to be replaced.
        let command = self.options.command.iter().map(|word| word.replace('$', "$$")).collect();
        let mut spec = ServiceSpec::new(id.clone(), command, here);
        spec.restart.policy = RestartPolicy::OnFailure;
        let environment = services::sent_along(std::slice::from_ref(&spec));
        control.define(std::slice::from_ref(&spec), &environment).await?;
        let mut follow = Follow::begin(&control).await?;
        control.start(std::slice::from_ref(id), None, &environment).await?;
        let found = tokio::select! {
            found = self.wait(None) => found?,
            lost = lost(&mut follow, id) => {
                let lost = lost?;
                // Nobody asked for one that fails again and again.
                control.stop(std::slice::from_ref(id), None, false).await?;
                return Ok(Ok(self.lost(&lost, shown)));
            }
        };
        let report = control.list(std::slice::from_ref(id), None, false).await?.into_iter().next();
        // Without an address nobody can tell whether it does its work; that it failed tells enough.
        let failed = |report: &&ServiceReport| report.state != ServiceState::Running || report.failures > 0;
        if let Some(report) = report.as_ref().filter(failed).filter(|_| found.state == AvailabilityState::Unknown) {
            control.stop(std::slice::from_ref(id), None, false).await?;
            return Ok(Ok(self.lost(report, shown)));
        }
        let pid = report.and_then(|report| report.pid).map(|pid| format!(", pid {pid}")).unwrap_or_default();
        let started = format!("started {shown} as service:{id}{pid}, supervised; its output: provost logs {id}");
        Ok(Ok(match found.state {
            AvailabilityState::Available | AvailabilityState::Unknown => {
                self.good(found, true, Means::OwnService, &started)
            }
            _ => {
                let limit = humantime::format_duration(self.options.timeout);
                let reason = format!("{started}; it is {} after {limit} ({})", found.state, found.detail);
                Ensured { started: true, means: Means::OwnService, ..self.bad(found, 7, reason, None) }
            }
        }))
    }

    fn lost(&self, report: &ServiceReport, shown: &str) -> Ensured {
        let why = match (&report.reason, &report.last_error, report.last_exit) {
            (Some(why), ..) | (None, Some(why), _) => why.clone(),
            (None, None, Some(exit)) => format!("it ended with {exit}"),
            (None, None, None) => format!("it is {}", report.state),
        };
        let reason = format!("{shown} was started and did not last: {why}; its output: provost logs {}", report.id);
        let ended = self.bad(Availability::unknown(""), 1, reason, None);
        Ensured { started: true, means: Means::OwnService, ..ended }
    }
}

/// Returns when the service will not run any more.
async fn lost(follow: &mut Follow, id: &ServiceId) -> Result<ServiceReport, Error> {
    match follow.until(std::slice::from_ref(id), Goal::Ready, None, |_| ()).await? {
        Ended::Failed(report) | Ended::TimedOut(report) => Ok(*report),
        Ended::Reached(reports) => match reports.into_iter().find(|report| report.state != ServiceState::Running) {
            Some(ended) => Ok(ended),
            // Ready: whether it answers is for others to say; it may still end.
            None => match follow.until(std::slice::from_ref(id), Goal::Lost, None, |_| ()).await? {
                Ended::Failed(report) | Ended::TimedOut(report) => Ok(*report),
                Ended::Reached(mut reports) => {
                    reports.pop().ok_or_else(|| Error::Unreachable(format!("{id} was removed meanwhile")))
                }
            },
        },
    }
}
