//! The verbs for services, one file each; what several of them need is here.

pub(in crate::cli) mod down;
pub(in crate::cli) mod events;
mod fail;
mod hosted;
pub(in crate::cli) mod ids;
pub(in crate::cli) mod list;
pub(in crate::cli) mod logs;
mod look;
pub(in crate::cli) mod run;
pub(in crate::cli) mod status;
pub(in crate::cli) mod up;
mod watch;

use super::Context;
use crate::control::{Asks, Control};
use crate::error::Error;
use crate::model::Instance;
use crate::model::ServiceId;
use crate::model::service::ServiceReport;
use crate::services::{self, Choice, Source};

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

    /// Whether another one's daemon is asked: the system's, by an ordinary user.
    pub(super) fn is_guest(&self) -> bool {
        self.instance() == Instance::System && !self.client.observer().caller().is_root()
    }

    /// Whether nothing may be written while it is waited: a password may be asked for.
    pub(super) fn quiet(&self) -> bool {
        self.say.quiet || self.is_guest()
    }

    /// Who may be asked for a password.
    pub(super) fn asks(&self) -> Option<Asks> {
        let caller = self.client.observer().caller();
        self.ask_password.then_some(Asks { terminal: caller.interactive, session: caller.session.is_some() })
    }

    /// The daemon, if one runs.
    pub(super) async fn connect(&self) -> Result<Option<Control>, Error> {
        Ok(Control::connect(self.instance()).await?.map(|control| control.asking(self.asks())))
    }

    /// The daemon, started where none runs.
    pub(super) async fn daemon(&self, linger: bool) -> Result<Control, Error> {
        let tell = |warning: &str| self.say.note(&format!("provost: {warning}"));
        Ok(services::daemon(self.instance(), linger, tell).await?.asking(self.asks()))
    }

    /// Where the lines of a service are read; `system`: of one of the system's instance.
    pub(super) fn source(&self, report: &ServiceReport, system: bool) -> Source {
        match system && !self.client.observer().caller().is_root() {
            true => Source::System(report.id.clone(), self.ask_password),
            false => Source::of(report),
        }
    }

    /// What is known of these services, or of all. Where no daemon runs, the registry is read,
    /// each record is verified, and that is said.
    pub(super) async fn known(&self, ids: &[ServiceId], resources: bool) -> Result<Vec<ServiceReport>, Error> {
        if !self.is_guest() {
            for lost in services::lost_records(self.client.observer(), ids) {
                self.say.note(&format!("provost: {}", crate::text::escape(&lost)));
            }
        }
        if let Some(control) = self.connect().await? {
            return match control.list(ids, None, resources).await {
                Ok(reports) => Ok(reports),
                Err(error) => Err(self.whose(error, ids).await),
            };
        }
        if self.is_guest() {
            let why = "the system's provost does not run: nothing is known of its services";
            return Err(Error::Unreachable(why.to_owned()));
        }
        let mut reports = services::offline_reports(self.client.observer()).await?;
        for damaged in services::damaged_records(self.client.observer()) {
            self.say.note(&format!("provost: {}", crate::text::escape(&damaged)));
        }
        for id in ids {
            if !id.is_glob() && reports.iter().all(|report| !services::means(id, report)) {
                return Err(self.whose(unknown(id, &reports), ids).await);
            }
        }
        if !ids.is_empty() {
            reports.retain(|report| ids.iter().any(|id| services::means(id, report)));
        }
        if resources {
            services::measure(self.client.observer(), &mut reports);
        }
        if !reports.is_empty() {
            self.say.note("provost: no daemon runs; this is what the registry says, as it was just verified");
        }
        Ok(reports)
    }

    /// Where nothing is known of an id: whether somebody else has it, or a config may describe it that
    /// nobody can read as it is.
    pub(super) async fn whose(&self, error: Error, ids: &[ServiceId]) -> Error {
        let Error::NotFound { what, nearest } = error else { return error };
        for id in ids {
            if !what.contains(id.as_str()) {
                continue;
            }
            if let Some(elsewhere) = services::belongs_elsewhere(self.client.observer(), id).await {
                return Error::NotFound { what: elsewhere, nearest: Vec::new() };
            }
            if let Some(invalid) = self.invalid() {
                return invalid;
            }
        }
        Error::NotFound { what, nearest }
    }

    /// What is wrong in the config that counts here. Of another's daemon it is not the caller's to mend.
    fn invalid(&self) -> Option<Error> {
        if self.is_guest() {
            return None;
        }
        let choice = self.choice(None);
        let read = services::choose(choice).and_then(|path| path.map(|path| services::load(&path, choice)).transpose());
        read.err().filter(|error| matches!(error, Error::Invalid(_)))
    }
}

fn unknown(id: &ServiceId, reports: &[ServiceReport]) -> Error {
    let near = |report: &&ServiceReport| strsim::jaro_winkler(id.as_str(), report.id.as_str()) > 0.8;
    let nearest = reports.iter().filter(near).take(3).map(|report| report.id.to_string()).collect();
    Error::NotFound { what: format!("there is no service {id}"), nearest }
}
