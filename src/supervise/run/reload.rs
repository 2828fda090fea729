//! Services read their configuration again: checked first, and only in the way that they have.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::backends::AnyBackend;
use super::commands::{Outcomes, reply};
use super::{Done, Supervisor};
use crate::backend::Use;
use crate::model::service::{EventKind, Reload};
use crate::model::{ServiceId, Whom};
use crate::supervise::readiness::{self, Commands};
use crate::supervise::{Answer, Refusal, Selection};

/// How long a command that checks a configuration, or has a service read it, may take.
const RELOAD: Duration = Duration::from_secs(60);

/// A command, the same as messages name it, and how it is run.
type Beside = (Vec<String>, Vec<String>, Commands);

/// One reload, with everything that is needed for it.
struct Reloading {
    id: ServiceId,
    run: u64,
    /// Of which run that service is now; it may be forgotten.
    now: Weak<Cell<u64>>,
    stops: Rc<Notify>,
    backend: Rc<dyn AnyBackend>,
    check: Option<Beside>,
    how: How,
}

enum How {
    Signal(crate::model::Signal),
    Exec(Beside),
    Restart,
}

impl Supervisor {
    pub(super) fn reload(&mut self, which: &Selection, answer: Answer<Outcomes>) {
        let work = self.select(which).and_then(|named| {
            let one = |id: ServiceId| match self.reloading(&id) {
                Ok(work) => Ok((id, work)),
                Err(why) => Err(cannot(&id, why)),
            };
            named.into_iter().map(one).collect::<Result<Vec<_>, Refusal>>()
        });
        let work = match work {
            Ok(work) => work,
            Err(refusal) => return reply(answer, Err(refusal)),
        };
        let tell = self.tell.clone();
        crate::tasks::spawn_local(async move {
            let mut outcomes = Outcomes::new();
            for (id, work) in work {
                let runs = work.is_some();
                if let Some(Err(why)) = match work {
                    Some(work) => Some(work.carry_out(&tell).await),
                    None => None,
                } {
                    return reply(answer, Err(cannot(&id, why)));
                }
                outcomes.push((id, runs));
            }
            reply(answer, Ok(outcomes));
        });
    }

    /// What it reads has changed.
    pub(super) fn reload_changed(&mut self, id: &ServiceId) {
        match self.reloading(id) {
            Ok(None) => {}
            Ok(Some(work)) => {
                let (tell, id) = (self.tell.clone(), id.clone());
                crate::tasks::spawn_local(async move {
                    if let Err(why) = work.carry_out(&tell).await {
                        let words = format!("its configuration changed, and was not read again: {why}");
                        let _ = tell.send(Done::Say(id, EventKind::Warning, words));
                    }
                });
            }
            Err(why) => {
                self.say(id, EventKind::Warning, format!("its configuration changed, and was not read again: {why}"));
            }
        }
    }

    /// Its check has found good what it is to read by being started anew.
    pub(super) fn restart_to_read(&mut self, id: &ServiceId, run: u64) {
        // It may take a minute: who was started again meanwhile has read it, and who was stopped stays so.
        let runs = self.services.get(id).is_some_and(|service| service.machine.run() == run);
        if runs && self.is_wanted(id) && self.finishing.is_none() {
            let words = "it is started anew to read its configuration again".to_owned();
            self.say(id, EventKind::Reloaded, words);
            self.restart_all(&BTreeSet::from([id.clone()]));
        }
    }

    /// What a reload of it is made of; `None`: it does not run.
    fn reloading(&self, id: &ServiceId) -> Result<Option<Reloading>, String> {
        let Some(service) = self.services.get(id) else { return Err("it is gone".to_owned()) };
        let record = service.record();
        let resolved = self.resolve(&record)?;
        let Some(how) = resolved.reload else {
            return Err("its config does not say how (reload = { signal = \"HUP\" }, or { restart = true })".to_owned());
        };
        let Some(backend) = self.living_backend(id) else { return Ok(None) };
        let env = self.environment(&record, resolved.env);
        let beside = || self.commands(&record, Use::Reload, env.clone(), resolved.cwd.clone());
        let check = match resolved.config_check {
            Some((argv, shown)) => Some((argv, shown, beside()?)),
            None => None,
        };
        let how = match (how, resolved.reload_shown) {
            (Reload::Signal(signal), _) => How::Signal(signal),
            (Reload::Restart(_), _) => How::Restart,
            (Reload::Exec(argv), shown) => {
                let shown = match shown {
                    Some(Reload::Exec(words)) => words,
                    _ => Vec::new(),
                };
                How::Exec((argv, shown, beside()?))
            }
        };
        let (run, now) = (service.machine.run(), Rc::downgrade(&service.run));
        let stops = Rc::clone(&service.stops);
        Ok(Some(Reloading { id: id.clone(), run, now, stops, backend, check, how }))
    }

    /// The check of a service's configuration, were that in this file; `None`: it has none.
    pub(super) fn check_at(&self, id: &ServiceId, file: &std::path::Path) -> Result<Option<Check>, String> {
        let Some(service) = self.services.get(id) else { return Err("it is gone".to_owned()) };
        let mut record = service.record().clone();
        record.spec.config_file = file.to_str().map(crate::model::service::literal);
        let resolved = self.resolve(&record)?;
        let env = self.environment(&record, resolved.env);
        match resolved.config_check {
            Some((argv, shown)) => {
                Ok(Some(Check((argv, shown, self.commands(&record, Use::Reload, env, resolved.cwd)?))))
            }
            None => Ok(None),
        }
    }
}

/// The check of a configuration, ready to be run.
pub(super) struct Check(Beside);

impl Check {
    /// The error: what is wrong with it.
    pub(super) async fn run(self) -> Result<(), String> {
        let (argv, shown, commands) = self.0;
        readiness::run(argv, shown, RELOAD, &commands).await
    }
}

impl Reloading {
    /// A command that is under way is ended when the service is stopped.
    async fn carry_out(self, tell: &tokio::sync::mpsc::UnboundedSender<Done>) -> Result<(), String> {
        let stops = Rc::clone(&self.stops);
        tokio::select! {
            biased;
            () = stops.notified() => Err("it was stopped meanwhile".to_owned()),
            done = self.all_of_it(tell) => done,
        }
    }

    async fn all_of_it(self, tell: &tokio::sync::mpsc::UnboundedSender<Done>) -> Result<(), String> {
        if let Some(check) = self.check {
            let checked = Check(check).run().await;
            checked.map_err(|why| format!("its configuration is not good: {why}"))?;
        }
        // The check may take a minute, and what runs by then may not know the signal yet.
        match self.now.upgrade().map(|now| now.get()) {
            Some(now) if now == self.run => {}
            Some(_) => {
                let words = "it was started anew meanwhile, and read its configuration by that".to_owned();
                let _ = tell.send(Done::Say(self.id, EventKind::Reloaded, words));
                return Ok(());
            }
            None => return Ok(()),
        }
        match self.how {
            How::Signal(signal) => {
                self.backend.signal(&self.id, signal, Whom::Main).await.map_err(|error| error.to_string())?;
            }
            How::Exec((argv, shown, commands)) => readiness::run(argv, shown, RELOAD, &commands).await?,
            How::Restart => {
                let _ = tell.send(Done::Restart { id: self.id, run: self.run });
                return Ok(());
            }
        }
        let words = "it was asked to read its configuration again".to_owned();
        let _ = tell.send(Done::Say(self.id, EventKind::Reloaded, words));
        Ok(())
    }
}

fn cannot(id: &ServiceId, why: String) -> Refusal {
    Refusal::Failed(format!("{id} cannot be reloaded: {why}"))
}
