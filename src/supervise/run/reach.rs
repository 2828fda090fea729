//! What a command would touch besides what it names: what that comes after, and what comes after it.
//! Whoever may not do everything is asked about by each of them, and no other is touched then.

use std::collections::BTreeSet;

use super::Supervisor;
use super::commands::{refuse, reply};
use crate::model::ServiceId;
use crate::supervise::machine::Event;
use crate::supervise::{Command, Refusal, Selection, Touch};

impl Supervisor {
    /// The services that this would be done to now, those that were named first.
    pub(super) fn reach(&self, which: &Selection, what: Touch) -> Result<Vec<(ServiceId, Touch)>, Refusal> {
        let mut named = self.select(which)?;
        if which.ids.is_empty() && what == Touch::Start {
            named.retain(|id| self.services.get(id).is_some_and(|service| service.record().spec.enabled));
        }
        let (others, to_others): (BTreeSet<ServiceId>, Touch) = match what {
            Touch::Start | Touch::Restart => (self.order.with_earlier(named.iter().cloned()), Touch::Start),
            Touch::Stop => (self.order.with_later(named.iter().cloned()), Touch::Stop),
        };
        let others = others.into_iter().filter(|id| !named.contains(id) && self.is_touched(id, to_others));
        let others: Vec<_> = others.map(|id| (id, to_others)).collect();
        Ok(named.into_iter().map(|id| (id, what)).chain(others).collect())
    }

    fn is_touched(&self, id: &ServiceId, what: Touch) -> bool {
        let Some(service) = self.services.get(id) else { return false };
        match what {
            Touch::Start | Touch::Restart => service.held.is_some() || !service.machine.is_already_so(&Event::Start),
            // By force also what is stopping already.
            Touch::Stop => !service.machine.is_already_so(&Event::Stop { force: true }),
        }
    }

    /// A command of somebody who was allowed to touch these, and nothing else.
    pub(super) fn on_bounded(&mut self, allowed: &[ServiceId], command: Command) {
        let reach = match &command {
            Command::Start { which, .. } => self.reach(which, Touch::Start),
            Command::Stop { which, .. } => self.reach(which, Touch::Stop),
            Command::Restart { which, .. } => self.reach(which, Touch::Restart),
            _ => Ok(Vec::new()),
        };
        let other = reach.iter().flatten().find(|(id, _)| !allowed.contains(id));
        match other {
            None => self.on_command(command),
            Some((id, what)) => {
                let why = format!("{id} would have to {} too, by now: ask once more", what.verb());
                match command {
                    Command::Start { answer, .. } | Command::Stop { answer, .. } | Command::Restart { answer, .. } => {
                        reply(answer, Err(Refusal::Failed(why)));
                    }
                    other => refuse(other),
                }
            }
        }
    }
}
