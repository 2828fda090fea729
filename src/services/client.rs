//! Services for callers of the library.

use super::{Ended, Follow, Goal};
use crate::act::ActError;
use crate::client::Client;
use crate::control::Control;
use crate::error::Error;
use crate::model::service::{ServiceReport, ServiceSpec};

impl Client {
    /// The services of the caller's instance: as the daemon says, or, where none runs, as their
    /// records say and were just verified.
    pub async fn services(&self) -> Result<Vec<ServiceReport>, Error> {
        let observer = self.observer();
        let instance = super::instance_of(observer.units(), observer.caller().uid);
        match Control::connect(instance).await? {
            Some(control) => control.list(&[], None, true).await,
            None => super::offline_reports(observer).await,
        }
    }

    /// Starts a service that is in no config, as `provost run` does: the daemon supervises it, and is
    /// started where none runs. Returns when the service is ready.
    ///
    /// # Errors
    /// There can be no daemon, a service of that id runs, or this one failed.
    pub async fn run(&self, spec: &ServiceSpec) -> Result<ServiceReport, Error> {
        let observer = self.observer();
        let instance = super::instance_of(observer.units(), observer.caller().uid);
        let control = super::daemon(instance, false, |warning| tracing::warn!("{warning}")).await?;
        let environment = super::sent_along(std::slice::from_ref(spec));
        control.define(std::slice::from_ref(spec), &environment).await?;
        let ids = std::slice::from_ref(&spec.id);
        let mut follow = Follow::begin(&control).await?;
        control.start(ids, None, &environment).await?;
        let gone = || Error::Unreachable(format!("{} was removed meanwhile", spec.id));
        match follow.until(ids, Goal::Ready, None, |_| ()).await? {
            Ended::Reached(reports) => reports.into_iter().next().ok_or_else(gone),
            Ended::Failed(report) | Ended::TimedOut(report) => {
                Err(Error::Act(ActError::Failed(crate::act::why_not(&report))))
            }
        }
    }
}
