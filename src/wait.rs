//! Waits for a state: by pidfds and D-Bus signals where they exist, polling only what has none.

use std::time::Duration;

use crate::client::Client;
use crate::error::Error;
use crate::model::{Availability, AvailabilityState, Facts, Manager, OwnerFacts, ProcState, Target};
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
    /// The last look, in words.
    pub detail: String,
    /// The last probe, where one was made.
    pub availability: Option<Availability>,
}

/// Between two looks at what has no events: a process that does not exist yet, the network.
const POLL: Duration = Duration::from_millis(100);
const SLOW_POLL: Duration = Duration::from_secs(1);

/// Waits until the target is in the state, at most `timeout`.
pub async fn wait_for(
    client: &Client,
    target: &Target,
    state: State,
    timeout: Option<Duration>,
) -> Result<Waited, Error> {
    let mut last = Waited { reached: false, detail: "not looked at yet".to_owned(), availability: None };
    let work = async {
        let mut pause = POLL;
        loop {
            let facts = match client.facts(target, &Want::default()).await {
                Ok(facts) => Some(facts),
                Err(Error::NotFound { .. }) => None,
                Err(error) => return Err(error),
            };
            last = look(client, target, facts.as_ref(), state).await?;
            if last.reached {
                return Ok(());
            }
            // An event or the pause, whichever comes first; the pause alone is what finds things
            // that send no events.
            let polled = facts.is_none() || state == State::Available;
            let news = news(client, facts.as_ref(), state);
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

async fn look(client: &Client, target: &Target, facts: Option<&Facts>, state: State) -> Result<Waited, Error> {
    let running = facts.is_some_and(|f| f.owners.iter().any(runs));
    let plain = |reached, detail: &str| Ok(Waited { reached, detail: detail.to_owned(), availability: None });
    match state {
        State::Gone if running => plain(false, "it still runs"),
        State::Gone => plain(true, "nothing of it runs"),
        State::Running if running => plain(true, "it runs"),
        State::Running => plain(false, "it does not run"),
        State::Available => {
            let Some(facts) = facts.filter(|_| running) else { return plain(false, "it does not run") };
            let options = probe::Options { timeout: Duration::from_secs(2), ..probe::Options::default() };
            let mut last = Availability::unknown("nothing to ask");
            for owner in facts.owners.iter().filter(|o| runs(o)) {
                last = client.observer().probe_owner(owner, target, &options).await?;
                if last.state == AvailabilityState::Available {
                    break;
                }
            }
            let reached = last.state == AvailabilityState::Available;
            Ok(Waited { reached, detail: last.detail.clone(), availability: Some(last) })
        }
    }
}

/// Whether anything of it runs: a process that is no zombie, or an active unit without processes.
pub(crate) fn runs(owner: &OwnerFacts) -> bool {
    let alive = owner.processes.iter().any(|p| p.state != ProcState::Zombie);
    alive || owner.unit.as_ref().is_some_and(|u| u.active_state == "active" || u.active_state == "reloading")
}

/// Completes when something happened that could change the answer: a process ended, a unit
/// changed its state. Never, if there is nothing that sends events.
async fn news(client: &Client, facts: Option<&Facts>, state: State) {
    let mut changes = Vec::new();
    let mut ends = Vec::new();
    for owner in facts.iter().flat_map(|f| &f.owners) {
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

async fn unit_changes(
    client: &Client,
    manager: Manager,
    unit: &crate::model::UnitName,
) -> Result<StateChanges, String> {
    let manager = client.observer().bus().manager(manager).await?;
    StateChanges::listen(&manager, unit).await.map_err(|e| e.to_string())
}
