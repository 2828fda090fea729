//! Waits for a state: by pidfds and D-Bus signals where they exist, polling only what has none.

use std::time::Duration;

use crate::client::Client;
use crate::control::{Control, Events, Next};
use crate::error::Error;
use crate::model::service::{ServiceReport, ServiceState};
use crate::model::{
    Availability, AvailabilityState, Facts, Identity, Manager, OwnerFacts, ProcState, SaidBy, ServiceFacts, Target,
};
use crate::observe::Want;
use crate::probe;
use crate::sys::pidfd::PidFd;
use crate::systemd::StateChanges;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Available,
    /// It runs, whether it answers or not.
    Running,
    /// Nothing of it runs.
    Gone,
}

/// How a wait ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Waited {
    /// The state was reached.
    pub reached: bool,
    /// It can never be reached: a process that has ended does not run again, nor does a service that has failed.
    pub hopeless: bool,
    /// The last look, in words.
    pub detail: String,
    /// The last probe, where one was made.
    pub availability: Option<Availability>,
}

/// Between two looks at what has no events: a process that does not exist yet, the network.
const POLL: Duration = Duration::from_millis(100);
/// The longest time for one answer.
const PROBE: Duration = Duration::from_secs(2);
const SLOW_POLL: Duration = Duration::from_secs(1);

/// Waits until the target is in the state, at most `timeout`.
pub async fn wait_for(
    client: &Client,
    target: &Target,
    state: State,
    timeout: Option<Duration>,
) -> Result<Waited, Error> {
    let identity = identity(client, target);
    let probing = timeout.unwrap_or(PROBE).clamp(Duration::from_millis(100), PROBE);
    // The first look has no limit: what is not looked at cannot be told.
    let first = facts_of(client, target, identity).await?;
    let mut last = look(client, target, first.as_ref(), state, probing).await?;
    let mut seen = Some(first);
    let work = async {
        let mut pause = POLL;
        loop {
            let facts = match seen.take() {
                Some(first) => first,
                None => {
                    let facts = facts_of(client, target, identity).await?;
                    last = look(client, target, facts.as_ref(), state, probing).await?;
                    facts
                }
            };
            if last.reached {
                return Ok::<(), Error>(());
            }
            if state != State::Gone
                && let Target::Pid(pid) = target
                && !facts.iter().flat_map(|f| &f.owners).any(runs)
            {
                last.hopeless = true;
                last.detail = match identity {
                    Some(_) => format!("process {pid} has ended, and will never run again"),
                    None => format!("there is no process {pid}, and a number says nothing of who will get it"),
                };
                return Ok(());
            }
            // Nothing starts it again but somebody who looks after it.
            let service = facts.as_ref().and_then(only_service).filter(|_| state != State::Gone);
            if let Some(failed) = service.filter(|service| service.state == ServiceState::Failed) {
                (last.hopeless, last.detail) = (true, crate::act::why_not(failed));
                return Ok(());
            }
            // An event or the pause, whichever comes first; the pause alone is what finds things
            // that send no events.
            let owners = || facts.iter().flat_map(|f| &f.owners);
            let silent = owners().any(|o| o.service.as_ref().is_some_and(|s| s.said_by != SaidBy::Daemon));
            let polled = facts.is_none() || silent || state == State::Available;
            let news = news(client, target, facts.as_ref(), state);
            if polled {
                let _ = tokio::time::timeout(pause, news).await;
                pause = (pause * 2).min(SLOW_POLL);
            } else {
                news.await;
            }
        }
    };
    match timeout {
        None => work.await?,
        Some(limit) => {
            if let Ok(result) = tokio::time::timeout(limit, work).await {
                result?;
            }
        }
    }
    Ok(last)
}

/// Which process a pid is now: the number can be another's later.
fn identity(client: &Client, target: &Target) -> Option<Identity> {
    let Target::Pid(pid) = target else { return None };
    // That of a zombie cannot be held, and is its own until it is waited for.
    let observer = client.observer();
    let held = observer.proc().identify(*pid).map(|(identity, _)| identity);
    held.or_else(|_| observer.proc().process(*pid).map(|process| process.identity)).ok()
}

/// What the target is now; `None` where nothing of it runs or, for a pid, another process has it.
async fn facts_of(client: &Client, target: &Target, identity: Option<Identity>) -> Result<Option<Facts>, Error> {
    if let Target::Pid(pid) = target {
        // The unit around it may go on: the process itself is what was named.
        match client.observer().proc().process(*pid) {
            Ok(process) if process.state == ProcState::Zombie => return Ok(None),
            Ok(process) if identity.is_some_and(|identity| !process.identity.is(&identity)) => return Ok(None),
            _ => {}
        }
    }
    match client.facts(target, &Want::default()).await {
        Ok(facts) => Ok(Some(facts)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn look(
    client: &Client,
    target: &Target,
    facts: Option<&Facts>,
    state: State,
    probing: Duration,
) -> Result<Waited, Error> {
    let running = facts.is_some_and(|f| f.owners.iter().any(runs));
    let plain =
        |reached, detail: &str| Ok(Waited { reached, hopeless: false, detail: detail.to_owned(), availability: None });
    match state {
        State::Gone if running => plain(false, "it still runs"),
        State::Gone if facts.is_some_and(|f| f.owners.iter().any(comes_again)) => plain(false, "it is starting again"),
        State::Gone => plain(true, "nothing of it runs"),
        State::Running if running => plain(true, "it runs"),
        State::Running => plain(false, &idle(facts)),
        State::Available => {
            // Behind a port there may be something that starts when it is asked.
            let is_port = matches!(target, Target::Port(_));
            let Some(facts) = facts.filter(|_| running || is_port) else {
                return plain(false, &idle(facts));
            };
            let options = probe::Options { timeout: probing, ..probe::Options::default() };
            let mut last = Availability::unknown("nothing to ask");
            let mut ready = false;
            for owner in facts.owners.iter().filter(|o| is_port || runs(o)) {
                if let Some(service) = owner.service.as_ref().filter(|service| !service.report.ready) {
                    last = Availability::unknown(format!("{} is not ready yet", service.report.id));
                    continue;
                }
                last = client.observer().probe_owner(owner, target, &options).await?;
                // Who has no address is as available as its supervisor takes it for ready.
                ready |= owner.service.is_some() && last.state == AvailabilityState::Unknown;
                if ready || last.state == AvailabilityState::Available {
                    break;
                }
            }
            let reached = ready || last.state == AvailabilityState::Available;
            Ok(Waited { reached, hopeless: false, detail: last.detail.clone(), availability: Some(last) })
        }
    }
}

/// The service that is all that the target is.
fn only_service(facts: &Facts) -> Option<&ServiceReport> {
    match facts.owners.as_slice() {
        [one] => one.service.as_ref().map(|service| &service.report),
        _ => None,
    }
}

/// That it does not run, and why, if that is known.
fn idle(facts: Option<&Facts>) -> String {
    let report = facts.and_then(only_service);
    match report.and_then(|report| Some((report.state, report.reason.as_ref()?))) {
        Some((state, reason)) => format!("it is {state}: {reason}"),
        None => "it does not run".to_owned(),
    }
}

/// Whether anything of it runs: a process that is no zombie, or an active unit without processes.
pub(crate) fn runs(owner: &OwnerFacts) -> bool {
    let alive = owner.processes.iter().any(|p| p.state != ProcState::Zombie);
    let service = owner.service.as_ref().is_some_and(|s| s.report.state == ServiceState::Running);
    alive || service || owner.unit.as_ref().is_some_and(|u| u.active_state == "active" || u.active_state == "reloading")
}

/// A service that does not run just now, and is not stopped either.
fn comes_again(owner: &OwnerFacts) -> bool {
    let state = owner.service.as_ref().map(|service| service.report.state);
    state.is_some_and(|state| !matches!(state, ServiceState::Stopped | ServiceState::Failed | ServiceState::Done))
}

/// Completes when something happened that could change the answer: a process ended, a unit
/// changed its state. Never, if there is nothing that sends events.
async fn news(client: &Client, target: &Target, facts: Option<&Facts>, state: State) {
    let mut changes = Vec::new();
    let mut ends = Vec::new();
    let mut services = Vec::new();
    if let (Target::Pid(pid), Some(_)) = (target, facts) {
        ends.extend(PidFd::open(*pid).ok());
    }
    for owner in facts.iter().flat_map(|f| &f.owners) {
        if let Some(service) = &owner.service {
            match follow(client, service).await {
                Some(events) => services.push((events, service.report.id.clone())),
                // It changed meanwhile, or its daemon ended.
                None if service.said_by == SaidBy::Daemon => return,
                None => {}
            }
            continue;
        }
        match owner.owner.unit() {
            Some((manager, unit)) if owner.unit.is_some() => {
                if let Ok(changed) = unit_changes(client, manager, unit).await {
                    // It may have changed between the look and the subscription.
                    if owner.unit.as_ref().is_some_and(|u| u.active_state != changed.state) {
                        return;
                    }
                    changes.push(changed);
                }
            }
            _ if state != State::Running => {
                ends.extend(owner.processes.iter().filter_map(|p| PidFd::open(p.pid()).ok()))
            }
            _ => {}
        }
    }
    let mut waits: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for change in &mut changes {
        waits.push(Box::pin(change.next()));
    }
    for (events, id) in &mut services {
        waits.push(Box::pin(async move {
            while matches!(events.next().await, Some(Next::Event(event)) if event.id != *id) {}
        }));
    }
    for end in &ends {
        waits.push(Box::pin(async {
            let _ = end.ended().await;
        }));
    }
    std::future::poll_fn(|cx| {
        let any = waits.iter_mut().any(|w| w.as_mut().poll(cx).is_ready());
        if any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// The events of a service's daemon, if the service is still as it was seen.
async fn follow(client: &Client, service: &ServiceFacts) -> Option<Events> {
    if service.said_by != SaidBy::Daemon {
        return None;
    }
    let observer = client.observer();
    let instance = match service.system {
        true => crate::model::Instance::System,
        false => crate::services::instance_of(observer.units(), observer.caller().uid),
    };
    let control = Control::connect(instance).await.ok().flatten()?;
    let events = control.events().await.ok()?;
    let now = control.list(std::slice::from_ref(&service.report.id), None, false).await.ok()?;
    let seen = &service.report;
    now.iter().any(|now| (now.state, now.ready) == (seen.state, seen.ready)).then_some(events)
}

async fn unit_changes(
    client: &Client,
    manager: Manager,
    unit: &crate::model::UnitName,
) -> Result<StateChanges, String> {
    let manager = client.observer().bus().manager(manager).await?;
    StateChanges::listen(&manager, unit).await.map_err(|e| e.to_string())
}
