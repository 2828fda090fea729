//! Waits until services are as they are wanted: woken by events, never by a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::control::{Control, Events};
use crate::error::Error;
use crate::model::ServiceId;
use crate::model::service::{Desired, Event, EventKind, Health, ServiceReport, ServiceState};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// It runs and is ready, or has done its work and ended well.
    Ready,
    /// The same, by a process that was started from now on.
    Again,
    /// It does not run, and is not about to.
    Down,
    /// It has ended for good, however.
    Ended,
    /// The same, or it fails again and again.
    Lost,
}

/// How a wait ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ended {
    /// All are as wanted.
    Reached(Vec<ServiceReport>),
    /// This one never will be.
    Failed(Box<ServiceReport>),
    /// The time did not suffice; this one is not as wanted yet.
    TimedOut(Box<ServiceReport>),
}

/// For so long a program must have run to count as up. That it was executed says little: one that lacks
/// a library, or a word on its command line, ends a moment later.
pub(crate) const SETTLES: Duration = Duration::from_millis(250);

/// How long the daemon may take to say what it is that takes so long.
const ASKED: Duration = Duration::from_secs(2);

/// As many failures in a row as end a wait: it is tried again, but somebody should look.
const FAILURES: u32 = 3;

/// The events of a daemon since a moment, and what they made of services.
#[derive(Debug)]
pub(crate) struct Follow {
    control: Control,
    events: Events,
    /// Services that went down, and those that went up, since.
    down: BTreeSet<ServiceId>,
    up: BTreeSet<ServiceId>,
    /// When this began, and since when those are known to run that were started later.
    begun: SystemTime,
    since: BTreeMap<ServiceId, Instant>,
    /// Events came too fast: not all of them were seen.
    missed: bool,
}

impl Follow {
    /// From now on: before a command is given, so that nothing is missed.
    pub(crate) async fn begin(control: &Control) -> Result<Self, Error> {
        let (begun, events) = (crate::clock::now(), control.events().await?);
        let (down, up, since) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Ok(Self { control: control.clone(), events, down, up, begun, since, missed: false })
    }

    /// Waits for all of these. Every event, of others too, is shown to `see`.
    pub(crate) async fn until(
        &mut self,
        ids: &[ServiceId],
        goal: Goal,
        timeout: Option<Duration>,
        mut see: impl FnMut(&Event),
    ) -> Result<Ended, Error> {
        if ids.is_empty() {
            return Ok(Ended::Reached(Vec::new()));
        }
        let mut known: BTreeMap<ServiceId, ServiceReport> = BTreeMap::new();
        let mut stale: BTreeSet<ServiceId> = ids.iter().cloned().collect();
        let mut asked_for = stale.clone();
        let mut settled = None;
        let work = async {
            loop {
                if !stale.is_empty() {
                    let asked: Vec<ServiceId> = stale.iter().cloned().collect();
                    let fresh = match self.control.list(&asked, None, false).await {
                        // One that is removed does not run.
                        Err(Error::NotFound { .. }) if matches!(goal, Goal::Down | Goal::Ended | Goal::Lost) => {
                            return Ok(Ended::Reached(known.values().cloned().collect()));
                        }
                        other => other?,
                    };
                    stale.clear();
                    settled = None;
                    known.extend(fresh.into_iter().map(|report| (report.id.clone(), report)));
                    // What they wait for decides, too.
                    if matches!(goal, Goal::Ready | Goal::Again) {
                        let earlier = known.values().flat_map(|report| &report.after);
                        stale = earlier.filter(|id| asked_for.insert((*id).clone())).cloned().collect();
                        if !stale.is_empty() {
                            continue;
                        }
                    }
                    let is_wanted = |report: &ServiceReport| ids.iter().any(|id| super::matches(id, &report.id));
                    let (wanted, earlier): (Vec<_>, Vec<_>) = known.values().partition(|report| is_wanted(report));
                    let lost = wanted.iter().find(|report| self.judge(report, goal) == Some(false));
                    let is_stuck = wanted.iter().any(|later| later.state != ServiceState::Running);
                    let blocks = |report: &&&ServiceReport| match report.state {
                        ServiceState::Failed => wanted.iter().any(|later| later.health == Health::Bad),
                        ServiceState::Restarting => is_stuck && (report.failures >= FAILURES || report.held_up),
                        _ => false,
                    };
                    if let Some(report) = earlier.iter().find(blocks).or(lost) {
                        return Ok(Ended::Failed(Box::new((*report).clone())));
                    }
                    // Their events may be on their way still.
                    for report in wanted.iter().filter(|report| is_younger(report, self.begun)) {
                        self.since.entry(report.id.clone()).or_insert_with(Instant::now);
                    }
                    if wanted.iter().all(|report| self.judge(report, goal) == Some(true)) {
                        settled = self.settled(&wanted, goal);
                        if settled.is_none() {
                            return Ok(Ended::Reached(wanted.into_iter().cloned().collect()));
                        }
                    }
                }
                // All that is there already is taken at once: one question answers them all.
                // What happens to others does not change when that is.
                let mut next = match settled {
                    None => self.events.next().await,
                    Some(at) => match tokio::time::timeout_at(at, self.events.next()).await {
                        Ok(next) => next,
                        Err(_) => {
                            settled = None;
                            stale.extend(ids.iter().cloned());
                            continue;
                        }
                    },
                };
                loop {
                    let Some(event) = next else {
                        let why = "the daemon ended while it was waited for";
                        return Err(Error::Unreachable(why.to_owned()));
                    };
                    self.note(&event);
                    if known.contains_key(&event.id) {
                        stale.insert(event.id.clone());
                    }
                    see(&event);
                    match self.events.ready() {
                        Some(event) => next = Some(event),
                        None => break,
                    }
                }
                if self.events.missed() > 0 || self.events.replaced() {
                    self.missed = true;
                    stale.extend(ids.iter().cloned());
                }
            }
        };
        let Some(limit) = timeout else { return work.await };
        if let Ok(ended) = tokio::time::timeout(limit, work).await {
            return ended;
        }
        let is_wanted = |report: &ServiceReport| ids.iter().any(|id| super::matches(id, &report.id));
        let wanted: Vec<ServiceReport> = known.into_values().filter(is_wanted).collect();
        let Some(late) = wanted.iter().find(|report| self.judge(report, goal) != Some(true)) else {
            // As far as could be seen in so short a time.
            return match wanted.is_empty() {
                true => Err(Error::Unreachable("the daemon did not answer in time".to_owned())),
                false => Ok(Ended::Reached(wanted)),
            };
        };
        // What it waits for may have become known without an event.
        let fresh = self.control.list(std::slice::from_ref(&late.id), None, false);
        let fresh = tokio::time::timeout(ASKED, fresh).await.ok().and_then(Result::ok).and_then(|mut all| all.pop());
        Ok(Ended::TimedOut(Box::new(fresh.unwrap_or_else(|| late.clone()))))
    }

    /// When the last of these has run for long enough, if that is still to come.
    fn settled(&self, wanted: &[&ServiceReport], goal: Goal) -> Option<Instant> {
        let running = wanted.iter().filter(|report| report.state == ServiceState::Running);
        let last = running.filter_map(|report| self.since.get(&report.id)).max()?;
        let at = *last + SETTLES;
        (matches!(goal, Goal::Ready | Goal::Again) && at > Instant::now()).then_some(at)
    }

    fn note(&mut self, event: &Event) {
        if let EventKind::State { to, .. } = event.kind {
            match to {
                ServiceState::Running => self.since.insert(event.id.clone(), Instant::now()),
                _ => self.since.remove(&event.id),
            };
            match to {
                ServiceState::Starting | ServiceState::Running => {
                    self.up.insert(event.id.clone());
                    self.down.remove(&event.id);
                }
                ServiceState::Stopped | ServiceState::Failed | ServiceState::Done => {
                    self.down.insert(event.id.clone());
                }
                ServiceState::Stopping | ServiceState::Restarting => {}
            }
        }
    }

    fn judge(&self, report: &ServiceReport, goal: Goal) -> Option<bool> {
        let (down, up) = (self.down.contains(&report.id), self.up.contains(&report.id));
        // Whoever watches sees its last event before it is over.
        let unseen = goal == Goal::Ended && up && !down && !self.missed;
        judge(report, goal, down, up).filter(|_| !unseen)
    }
}

/// Whether what runs was started after this time; times of reports are in whole milliseconds.
fn is_younger(report: &ServiceReport, than: SystemTime) -> bool {
    let started = report.started_at.as_deref().and_then(|at| humantime::parse_rfc3339(at).ok());
    report.state == ServiceState::Running && started.is_some_and(|at| at + Duration::from_millis(1) > than)
}

/// Whether a service is as wanted; `None`: it may still become so. `down`, `up`: it was seen to go
/// there.
fn judge(report: &ServiceReport, goal: Goal, down: bool, up: bool) -> Option<bool> {
    use ServiceState::{Done, Failed, Restarting, Running, Starting, Stopped, Stopping};
    match (goal, report.state) {
        (Goal::Down | Goal::Ended | Goal::Lost, Stopped | Failed | Done) => Some(true),
        (Goal::Lost, Restarting) if report.failures >= FAILURES => Some(true),
        (Goal::Down | Goal::Ended | Goal::Lost, _) => None,
        (Goal::Ready, Running) if report.ready => Some(true),
        (Goal::Again, Running) if report.ready && up => Some(true),
        // It ran, and did its work.
        (Goal::Ready, Done) => Some(true),
        (Goal::Again, Done) => up.then_some(true),
        // One that had failed before is not lost yet.
        (_, Failed) => (up || down).then_some(false),
        (_, Stopped) if down => match report.last_exit {
            // A program that did its work.
            Some(exit) if exit.is_success() => Some(true),
            _ if report.desired == Desired::Down => Some(false),
            _ => None,
        },
        // It will run some day, but nobody knows when.
        (_, Restarting) if report.failures >= FAILURES || report.held_up => Some(false),
        (_, Running | Starting | Stopping | Restarting | Stopped) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::{Exit, ServiceSpec};

    fn report(state: ServiceState, ready: bool) -> ServiceReport {
        let spec = ServiceSpec::new("a".parse().unwrap(), vec!["x".to_owned()], "/".into());
        ServiceReport { state, ready, desired: Desired::Up, ..super::super::of_spec(&spec) }
    }

    #[test]
    fn a_start_ends_ready_or_lost() {
        use ServiceState::{Failed, Restarting, Running, Stopped, Stopping};
        assert_eq!(judge(&report(Running, true), Goal::Ready, false, false), Some(true));
        assert_eq!(judge(&report(Running, false), Goal::Ready, false, true), None);
        // Not begun yet.
        assert_eq!(judge(&report(Stopped, false), Goal::Ready, false, false), None);
        assert_eq!(judge(&report(Failed, false), Goal::Ready, false, true), Some(false));
        // The old process is not the new one.
        assert_eq!(judge(&report(Running, true), Goal::Again, false, false), None);
        assert_eq!(judge(&report(Running, true), Goal::Again, true, true), Some(true));
        let flapping = ServiceReport { failures: 3, ..report(Restarting, false) };
        assert_eq!(judge(&flapping, Goal::Ready, false, true), Some(false));
        let done = ServiceReport { last_exit: Some(Exit::Code(0)), ..report(Stopped, false) };
        assert_eq!(judge(&done, Goal::Ready, true, true), Some(true));
        assert_eq!(judge(&flapping, Goal::Lost, false, true), Some(true));
        assert_eq!(judge(&flapping, Goal::Ended, false, true), None);
        let stopped = ServiceReport { desired: Desired::Down, ..report(Stopped, false) };
        assert_eq!(judge(&stopped, Goal::Ready, true, true), Some(false));
        assert_eq!(judge(&report(Stopping, false), Goal::Down, false, false), None);
        assert_eq!(judge(&stopped, Goal::Down, false, false), Some(true));
    }
}
