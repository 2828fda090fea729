//! The port of a service that is to be started: which one, and what follows where it is another.

use std::collections::BTreeSet;
use std::io;

use super::service::Service;
use super::{Done, Supervisor};
use crate::backend::StartError;
use crate::gather::Gather as _;
use crate::model::ServiceId;
use crate::model::service::{EventKind, PortSpec, ServiceSpec};
use crate::supervise::machine::{Event, PORT_WAIT};
use crate::supervise::ports;

impl Service {
    /// Of one that failed, and names a port that a socket holds without listening: that may be why.
    pub(super) fn say_who_holds_its_port(&mut self) {
        let port = self.record().spec.fixed_port();
        let failed = self.machine.counts().last_exit.is_some_and(|exit| !exit.is_success());
        if let Some(why) = port.filter(|_| failed).and_then(ports::held) {
            self.machine.add_reason(&why);
        }
    }
}

impl Supervisor {
    /// Chooses the port; of a fixed one that is taken, the number.
    pub(super) fn port(&mut self, id: &ServiceId) -> Result<Option<u16>, StartError> {
        let Some(service) = self.services.get(id) else { return Ok(None) };
        let (spec, had) = (service.record().spec.port, service.record().port);
        let failed =
            |error: io::Error| StartError::Transient(format!("whether its port is free cannot be read: {error}"));
        let port = match spec {
            None => None,
            Some(PortSpec::Fixed(port)) if !ports::is_free(port).map_err(failed)? => return Ok(Some(port)),
            Some(PortSpec::Fixed(port)) => Some(port),
            Some(range) => {
                let had = had.filter(|port| range.has(*port));
                let wanted = had.or_else(|| self.port_by_number(&service.record().spec, range));
                let others = |port: u16| self.ports.get(&port).is_some_and(|owner| owner != id);
                let mut taken = BTreeSet::new();
                // Asked one by one: what else listens on this host does not matter.
                loop {
                    let port = ports::choose(range, wanted, others, &taken).map_err(StartError::Transient)?;
                    if ports::is_free(port).map_err(failed)? && ports::held(port).is_none() {
                        break Some(port);
                    }
                    taken.insert(port);
                }
            }
        };
        if port != had {
            self.has_port(id, had, port);
        }
        Ok(None)
    }

    /// The one of a range that falls to an instance: they are given out in the order of their numbers, and not of
    /// their starts.
    fn port_by_number(&self, spec: &ServiceSpec, range: PortSpec) -> Option<u16> {
        let (group, number) = spec.instance_of.as_ref()?;
        let PortSpec::Range(first, last) = range else { return None };
        let of_group =
            |id: &ServiceId| self.services.get(id).is_some_and(|service| service.record().spec.group() == Some(group));
        let mut left = (first..=last).filter(|port| self.ports.get(port).is_none_or(of_group));
        left.nth(usize::try_from(*number).ok()?.saturating_sub(1))
    }

    /// It has another port than before.
    fn has_port(&mut self, id: &ServiceId, had: Option<u16>, port: Option<u16>) {
        if let Some(had) = had.filter(|had| self.ports.get(had) == Some(id)) {
            self.ports.remove(&had);
        }
        if let Some(port) = port {
            self.ports.insert(port, id.clone());
        }
        let Some(service) = self.services.get_mut(id) else { return };
        service.record_mut().port = port;
        let described = service.record().spec.port;
        if let (Some(had), Some(port)) = (had, port) {
            let why = match (described.is_some_and(|described| described.has(had)), self.ports.get(&had)) {
                (false, _) => format!(" (it was {had})"),
                (true, None) => format!(": {had} is taken"),
                (true, Some(other)) => format!(": {had} is that of {other}"),
            };
            self.say(id, EventKind::Port { port }, format!("its port is {port} now{why}"));
            self.restart_those_by_port(id);
        }
    }

    /// Its port is another: who runs by the old one would find somebody else there.
    fn restart_those_by_port(&mut self, id: &ServiceId) {
        let group = self.services.get(id).and_then(|service| service.record().spec.group().cloned());
        let names = [Some(id), group.as_ref()].map(|name| name.map(|name| format!("service.{name}.port")));
        let runs_by = |service: &Service| {
            let others = crate::config::of_others(&service.record().spec);
            service.machine.is_alive() && names.iter().flatten().any(|name| others.contains(name))
        };
        let mut named: BTreeSet<ServiceId> =
            self.services.iter().filter(|(_, service)| runs_by(service)).map(|(id, _)| id.clone()).gather();
        named.retain(|other| other != id && self.is_wanted(other) && self.can_start_again(other).is_ok());
        self.restart_each(&named);
    }

    pub(super) fn await_port(&mut self, id: &ServiceId, run: u64, port: u16) {
        let (tell, id) = (self.tell.clone(), id.clone());
        let Some(service) = self.services.get_mut(&id) else { return };
        service.cancel();
        let own = id.clone();
        let wait = crate::tasks::spawn_local(async move {
            // It is waited for from now on; who holds it takes longer to find out.
            let said = |holder: String| Done::Event(own.clone(), Event::PortTaken { run, holder });
            let _ = tell.send(said(format!("{port} is taken")));
            let holder = async { tell.send(said(ports::holder(port).await)) };
            // The machine gives up first.
            let (_, free) = tokio::join!(holder, ports::wait_free(port, 2 * PORT_WAIT));
            let done = match free {
                Ok(true) => Done::PortFree(own, run),
                Ok(false) => return,
                Err(error) => {
                    let error = StartError::Transient(format!("whether {port} is free cannot be read: {error}"));
                    Done::Event(own, Event::NotPrepared { run, error })
                }
            };
            let _ = tell.send(done);
        });
        service.wait = Some(wait.abort_handle());
    }
}
