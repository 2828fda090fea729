//! The verbs for services, one file each; what several of them need is here.

pub(in crate::cli) mod down;
pub(in crate::cli) mod events;
mod fail;
mod hosted;
pub(in crate::cli) mod ids;
pub(in crate::cli) mod list;
pub(in crate::cli) mod logs;
pub(in crate::cli) mod run;
pub(in crate::cli) mod status;
pub(in crate::cli) mod up;
mod watch;

use super::Context;
use crate::control::Control;
use crate::error::Error;
use crate::model::Instance;
use crate::model::ServiceId;
use crate::model::service::ServiceReport;
use crate::services::{self, Choice};

impl Context<'_> {
    /// Whose services.
    pub(super) fn instance(&self) -> Instance {
        let observer = self.client.observer();
        services::instance_of(observer.units(), observer.caller().uid)
    }

    /// Who chooses a config.
    pub(super) fn choice<'a>(&self, named: Option<&'a std::path::Path>) -> Choice<'a> {
        Choice { named, instance: self.instance(), uid: self.client.observer().caller().uid }
    }

    /// The daemon, started where none runs.
    pub(super) async fn daemon(&self, linger: bool) -> Result<Control, Error> {
        let tell = |warning: &str| self.say.note(&format!("provost: {warning}"));
        services::daemon(self.instance(), linger, tell).await
    }

    /// What is known of these services, or of all. Where no daemon runs, the registry is read,
    /// each record is verified, and that is said.
    pub(super) async fn known(&self, ids: &[ServiceId], resources: bool) -> Result<Vec<ServiceReport>, Error> {
        if let Some(control) = Control::connect(self.instance()).await? {
            return match control.list(ids, None, resources).await {
                Ok(reports) => Ok(reports),
                Err(error) => Err(self.whose(error, ids).await),
            };
        }
        if self.instance() == Instance::System && !self.client.observer().caller().is_root() {
            let why = "the system's provost does not run: nothing is known of its services";
            return Err(Error::Unreachable(why.to_owned()));
        }
        let mut reports = services::offline_reports(self.client.observer()).await;
        for id in ids {
            if !id.is_glob() && reports.iter().all(|report| !services::means(id, report)) {
                return Err(self.whose(unknown(id, &reports), ids).await);
            }
        }
        if !ids.is_empty() {
            reports.retain(|report| ids.iter().any(|id| services::means(id, report)));
        }
        if !reports.is_empty() {
            self.say.note("provost: no daemon runs; this is what the registry says, as it was just verified");
        }
        Ok(reports)
    }

    /// Where nothing is known of an id: whether somebody else has it.
    pub(super) async fn whose(&self, error: Error, ids: &[ServiceId]) -> Error {
        let Error::NotFound { what, nearest } = error else { return error };
        for id in ids {
            if !what.contains(id.as_str()) {
                continue;
            }
            if let Some(elsewhere) = services::belongs_elsewhere(self.client.observer(), id).await {
                return Error::NotFound { what: elsewhere, nearest: Vec::new() };
            }
        }
        Error::NotFound { what, nearest }
    }
}

fn unknown(id: &ServiceId, reports: &[ServiceReport]) -> Error {
    let near = |report: &&ServiceReport| strsim::jaro_winkler(id.as_str(), report.id.as_str()) > 0.8;
    let nearest = reports.iter().filter(near).take(3).map(|report| report.id.to_string()).collect();
    Error::NotFound { what: format!("there is no service {id}"), nearest }
}
