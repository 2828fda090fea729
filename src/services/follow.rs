//! Waits until services are as they are wanted: woken by events, never by a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::seen::{Goal, Seen, blocks};
use crate::api::dbus::ENDED;
use crate::control::{Control, Events, Next};
use crate::error::Error;
use crate::gather::Gather as _;
use crate::model::ServiceId;
use crate::model::service::{Desired, Event, ServiceReport, ServiceState};

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

/// How long the daemon may take to say what it is that takes so long.
const ASKED: Duration = Duration::from_secs(2);

/// The events of a daemon since a moment, and what they made of services.
#[derive(Debug)]
pub(crate) struct Follow {
    control: Control,
    events: Events,
    seen: Seen,
}

impl Follow {
    /// From now on: before a command is given, so that nothing is missed.
    pub(crate) async fn begin(control: &Control) -> Result<Self, Error> {
        let (seen, events) = (Seen::begin(), control.events().await?);
        Ok(Self { control: control.clone(), events, seen })
    }

    /// Waits for all of these. Every event, of others too, is shown to `see`.
    pub(crate) async fn until(
        &mut self,
        ids: &[ServiceId],
        goal: Goal,
        timeout: Option<Duration>,
        mut see: impl FnMut(&Event),
    ) -> Result<Ended, Error> {
        self.wait(ids, goal, timeout, &mut see).await
    }

    /// The same, once in the program and not for each of those who see.
    async fn wait(
        &mut self,
        ids: &[ServiceId],
        goal: Goal,
        timeout: Option<Duration>,
        see: &mut dyn FnMut(&Event),
    ) -> Result<Ended, Error> {
        if ids.is_empty() {
            return Ok(Ended::Reached(Vec::new()));
        }
        let mut known: BTreeMap<ServiceId, ServiceReport> = BTreeMap::new();
        let mut stale: BTreeSet<ServiceId> = ids.iter().cloned().gather();
        let mut asked_for = stale.clone();
        let (mut settled, mut cut) = (None, false);
        let work = async {
            loop {
                if !stale.is_empty() && !cut {
                    let asked: Vec<ServiceId> = stale.iter().cloned().collect();
                    let fresh = match self.control.list(&asked, None, false).await {
                        // One that is removed does not run; others of these may. What is come after need not be there.
                        Err(error @ Error::NotFound { .. }) => {
                            let down = matches!(goal, Goal::Down | Goal::Ended | Goal::Lost);
                            let mut there = self.control.list(&[], None, false).await?;
                            there.retain(|report| asked.iter().any(|id| super::means(id, report)));
                            for id in asked.iter().filter(|id| !there.iter().any(|report| super::means(id, report))) {
                                match known.get_mut(id) {
                                    Some(gone) if down => {
                                        (gone.state, gone.desired) = (ServiceState::Stopped, Desired::Down)
                                    }
                                    _ if !down && ids.contains(id) => return Err(error),
                                    _ => drop(known.remove(id)),
                                }
                            }
                            there
                        }
                        // Whoever follows it is asked.
                        Err(Error::Unreachable(_)) if self.events.is_cut().await => {
                            (settled, cut) = (None, true);
                            continue;
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
                    // What was started with them has to hold as long as they.
                    let with_them = earlier.iter().copied().filter(|report| self.seen.is_new(report));
                    let started = wanted.iter().map(|report| (*report, goal));
                    let started: Vec<_> = started.chain(with_them.map(|report| (report, Goal::Ready))).collect();
                    let lost = started.iter().find(|(report, goal)| self.seen.judge(report, *goal) == Some(false));
                    let blocks = |report: &&&ServiceReport| blocks(report, &wanted);
                    if let Some(report) = earlier.iter().find(blocks).or(lost.map(|(report, _)| report)) {
                        return Ok(Ended::Failed(Box::new((*report).clone())));
                    }
                    let left = wanted.iter().filter(|report| self.seen.is_left(report, goal));
                    let left: Vec<ServiceId> = left.map(|report| report.id.clone()).collect();
                    if !left.is_empty() {
                        // Its end may have begun, or not: a second word ends it once in either case.
                        self.control.restart(&left, None).await?;
                        left.iter().for_each(|id| self.seen.told(id));
                    }
                    let reports: Vec<&ServiceReport> = started.iter().map(|(report, _)| *report).collect();
                    for report in &reports {
                        self.seen.look_at(report);
                    }
                    if started.iter().all(|(report, goal)| self.seen.judge(report, *goal) == Some(true)) {
                        settled = self.seen.settled(&reports, goal);
                        if settled.is_none() {
                            return Ok(Ended::Reached(wanted.into_iter().cloned().collect()));
                        }
                    }
                }
                // All that is there already is taken at once: one question answers them all.
                // What happens to others does not change when that is.
                let next = match settled {
                    None => self.events.next().await,
                    Some(at) => match tokio::time::timeout_at(at, self.events.next()).await {
                        Ok(next) => next,
                        Err(_) => {
                            settled = None;
                            stale.extend(asked_for.iter().cloned());
                            continue;
                        }
                    },
                };
                cut = false;
                let mut next = match next {
                    Some(Next::Event(event)) => Some(event),
                    Some(Next::Another) => {
                        self.seen.another();
                        stale.extend(asked_for.iter().cloned());
                        None
                    }
                    None => return Err(Error::Unreachable(ENDED.to_owned())),
                };
                while let Some(event) = next {
                    self.seen.note(&event);
                    if known.contains_key(&event.id) {
                        stale.insert(event.id.clone());
                    }
                    see(&event);
                    next = self.events.ready();
                }
                if self.events.missed() > 0 {
                    self.seen.missed();
                    stale.extend(asked_for.iter().cloned());
                }
            }
        };
        let Some(limit) = timeout else { return work.await };
        if let Ok(ended) = tokio::time::timeout(limit, work).await {
            return ended;
        }
        // What it waits for may have become known without an event, and of a time that is over at once nothing is
        // known yet.
        while let Some(event) = self.events.ready() {
            self.seen.note(&event);
            see(&event);
        }
        let asked: Vec<ServiceId> = ids.iter().chain(known.keys()).cloned().collect();
        let fresh = tokio::time::timeout(ASKED, self.control.list(&asked, None, false)).await;
        let fresh = fresh.ok().and_then(Result::ok).into_iter().flatten();
        known.extend(fresh.map(|report| (report.id.clone(), report)));
        let is_wanted = |report: &ServiceReport| ids.iter().any(|id| super::matches(id, &report.id));
        let (wanted, earlier): (Vec<_>, Vec<_>) = known.into_values().partition(is_wanted);
        let seen = &self.seen;
        let late = wanted.iter().find(|report| seen.judge(report, goal) != Some(true));
        let is_late = |report: &&ServiceReport| seen.is_new(report) && seen.judge(report, Goal::Ready) != Some(true);
        let Some(late) = late.or_else(|| earlier.iter().find(is_late)) else {
            // As far as could be seen in so short a time.
            return match wanted.is_empty() {
                true => Err(Error::Unreachable("the daemon did not answer in time".to_owned())),
                false => Ok(Ended::Reached(wanted)),
            };
        };
        Ok(Ended::TimedOut(Box::new(late.clone())))
    }
}
