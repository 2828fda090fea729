//! What was seen of services since a command was given, and whether they are as they are wanted: one
//! rule for all who wait. Does no waiting itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::model::ServiceId;
use crate::model::service::{Desired, Event, EventKind, Health, SETTLES, ServiceReport, ServiceState};

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

/// As many failures in a row as end a wait: it is tried again, but somebody should look.
const FAILURES: u32 = 3;

/// What events and reports tell since a moment.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Services that went down, and those that went up, since.
    down: BTreeSet<ServiceId>,
    up: BTreeSet<ServiceId>,
    /// When this began, and since when those are known to run that were started later.
    begun: SystemTime,
    since: BTreeMap<ServiceId, Instant>,
    /// Events came too fast: not all of them were seen.
    missed: bool,
    /// Another daemon runs than the one that was told; what it was told again.
    another: bool,
    told: BTreeSet<ServiceId>,
}

impl Seen {
    /// From now on: before a command is given, so that nothing is missed.
    pub(crate) fn begin() -> Self {
        let (down, up, since) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self { down, up, begun: crate::clock::now(), since, missed: false, another: false, told: BTreeSet::new() }
    }

    /// That not all events were seen. The command was given by then: a service that does not run came to
    /// that by it, and one that runs tells since when.
    pub(crate) fn missed(&mut self) {
        self.missed = true;
    }

    /// That another daemon runs: the one that was given the command has ended.
    pub(crate) fn another(&mut self) {
        (self.missed, self.another) = (true, true);
        self.told.clear();
    }

    /// Whether nobody knows any more that it was to be started again: the daemon that was told has ended before that.
    pub(crate) fn is_left(&self, report: &ServiceReport, goal: Goal) -> bool {
        let as_it_was = report.state == ServiceState::Running && !was_started(report, self.begun);
        self.another && goal == Goal::Again && as_it_was && !self.told.contains(&report.id)
    }

    /// That the daemon that runs now was told the same of this one.
    pub(crate) fn told(&mut self, id: &ServiceId) {
        self.told.insert(id.clone());
    }

    /// Takes a report into account: events may be on their way still.
    pub(crate) fn look_at(&mut self, report: &ServiceReport) {
        if is_younger(report, self.begun) {
            self.since.entry(report.id.clone()).or_insert_with(Instant::now);
        }
    }

    /// When the last of these has run for long enough, if that is still to come.
    pub(crate) fn settled(&self, wanted: &[&ServiceReport], goal: Goal) -> Option<Instant> {
        let running = wanted.iter().filter(|report| report.state == ServiceState::Running);
        let last = running.filter_map(|report| self.since.get(&report.id)).max()?;
        let at = *last + SETTLES;
        (matches!(goal, Goal::Ready | Goal::Again) && at > Instant::now()).then_some(at)
    }

    /// Whether it was started since this began.
    pub(crate) fn is_new(&self, report: &ServiceReport) -> bool {
        self.up.contains(&report.id) || is_younger(report, self.begun)
    }

    pub(crate) fn note(&mut self, event: &Event) {
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

    /// Whether it is as wanted; `None`: it may still become so.
    pub(crate) fn judge(&self, report: &ServiceReport, goal: Goal) -> Option<bool> {
        let (down, up) = (self.down.contains(&report.id), self.up.contains(&report.id));
        // Whoever watches sees its last event before it is over.
        let unseen = goal == Goal::Ended && up && !down && !self.missed;
        // What another daemon takes over came up in its eyes alone.
        let up = if self.missed { was_started(report, self.begun) } else { up };
        let down = down || self.missed;
        judge(report, goal, down, up).filter(|_| !unseen)
    }
}

/// Whether these wait in vain, or for nobody knows how long, for one that they come after.
pub(crate) fn blocks(earlier: &ServiceReport, wanted: &[&ServiceReport]) -> bool {
    match earlier.state {
        ServiceState::Failed => wanted.iter().any(|later| later.health == Health::Bad),
        ServiceState::Restarting => {
            let is_stuck = wanted.iter().any(|later| later.state != ServiceState::Running);
            is_stuck && (earlier.failures >= FAILURES || earlier.held_up)
        }
        _ => false,
    }
}

/// Whether what runs was started after this time.
fn is_younger(report: &ServiceReport, than: SystemTime) -> bool {
    report.state == ServiceState::Running && was_started(report, than)
}

/// Whether its last start was after this time; times of reports are in whole milliseconds.
fn was_started(report: &ServiceReport, after: SystemTime) -> bool {
    let started = report.started_at.as_deref().and_then(|at| humantime::parse_rfc3339(at).ok());
    started.is_some_and(|at| at + Duration::from_millis(1) > after)
}

/// Whether a service is as wanted; `None`: it may still become so. `down`, `up`: it was seen to go
/// there.
fn judge(report: &ServiceReport, goal: Goal, down: bool, up: bool) -> Option<bool> {
    use ServiceState::{Done, Failed, Restarting, Running, Starting, Stopped, Stopping};
    match (goal, report.state) {
        // What was to be stopped and has failed at that may run.
        (Goal::Down, Failed) if report.desired == Desired::Down => Some(false),
        // Whoever stopped it wanted it down: somebody has started it since then.
        (Goal::Down, Starting | Running | Stopping | Restarting) if report.desired == Desired::Up => Some(false),
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
            // A program that did its work; not the one that a restart has ended.
            Some(exit) if exit.is_success() && (goal != Goal::Again || up) => Some(true),
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
        ServiceReport { state, ready, desired: Desired::Up, ..crate::services::of_spec(&spec) }
    }

    #[test]
    fn a_start_ends_ready_or_lost() {
        use ServiceState::{Failed, Restarting, Running, Stopped, Stopping};
        assert_eq!(judge(&report(Running, true), Goal::Ready, false, false), Some(true));
        assert_eq!(judge(&report(Running, false), Goal::Ready, false, true), None);
        // Not begun yet.
        assert_eq!(judge(&report(Stopped, false), Goal::Ready, false, false), None);
        assert_eq!(judge(&report(Failed, false), Goal::Ready, false, true), Some(false));
        let ended = ServiceReport { last_exit: Some(Exit::Code(0)), desired: Desired::Down, ..report(Stopped, false) };
        assert_eq!(judge(&ended, Goal::Again, true, true), Some(true));
        assert_eq!(judge(&ended, Goal::Again, true, false), Some(false), "the old one was stopped, and no more");
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
        let stopping = ServiceReport { desired: Desired::Down, ..report(Stopping, false) };
        assert_eq!(judge(&stopping, Goal::Down, false, false), None);
        // Somebody wants it up again.
        for state in [Stopping, Running, Restarting] {
            assert_eq!(judge(&report(state, false), Goal::Down, true, false), Some(false), "{state}");
            assert_eq!(judge(&report(state, false), Goal::Ended, true, false), None, "{state}");
        }
        assert_eq!(judge(&stopped, Goal::Down, false, false), Some(true));
        assert_eq!(judge(&report(Failed, false), Goal::Down, true, false), Some(true));
        let stuck = ServiceReport { desired: Desired::Down, ..report(Failed, false) };
        assert_eq!(judge(&stuck, Goal::Down, true, false), Some(false));
    }

    #[test]
    fn where_events_were_missed_the_report_tells_what_came_of_a_restart() {
        use ServiceState::{Done, Failed, Restarting, Running, Starting, Stopped, Stopping};
        let mut seen = Seen::begin();
        let hour = Duration::from_secs(3600);
        let since = |at, state, ready| {
            let started_at = Some(humantime::format_rfc3339_millis(at).to_string());
            ServiceReport { started_at, ..report(state, ready) }
        };
        let (before, later) = (seen.begun - hour, seen.begun + hour);
        let old = |state| since(before, state, true);
        let (was_running, was_done, failed) = (old(Running), old(Done), old(Failed));
        let (new, done, unready) =
            (since(later, Running, true), since(later, Done, true), since(later, Running, false));
        // All of it is still to be told by events.
        for report in [&new, &was_running, &was_done, &failed] {
            assert_eq!(seen.judge(report, Goal::Again), None, "{report:?}");
        }
        let others = [old(Stopping), old(Starting), old(Restarting)];
        seen.missed();
        assert_eq!(seen.judge(&new, Goal::Again), Some(true));
        assert_eq!(seen.judge(&done, Goal::Again), Some(true));
        // It may never have been executed.
        assert_eq!(seen.judge(&failed, Goal::Again), Some(false));
        // Not yet, and the old process is not the new one.
        for report in [&was_running, &was_done, &unready].into_iter().chain(&others) {
            assert_eq!(seen.judge(report, Goal::Again), None, "{report:?}");
        }
        assert_eq!(seen.judge(&was_running, Goal::Ready), Some(true));
        // Another daemon tells of what it takes over as if it had come up.
        let (id, kind) = (was_running.id.clone(), EventKind::State { from: Stopped, to: Running, pid: Some(7) });
        seen.note(&Event { seq: 1, at: String::new(), id, kind, message: String::new() });
        assert_eq!(seen.judge(&was_running, Goal::Again), None);
        assert_eq!(seen.judge(&new, Goal::Again), Some(true));
        assert!(!seen.is_left(&was_running, Goal::Again));
        seen.another();
        assert!(seen.is_left(&was_running, Goal::Again) && !seen.is_left(&was_running, Goal::Ready));
        for report in [&new, &unready, &was_done] {
            assert!(!seen.is_left(report, Goal::Again), "{report:?}");
        }
        seen.told(&was_running.id);
        assert!(!seen.is_left(&was_running, Goal::Again), "this one knows");
        seen.another();
        assert!(seen.is_left(&was_running, Goal::Again), "and has ended");
    }
}
