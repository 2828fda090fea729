//! What holds whatever happens, in simulated time: a host that starts, ends, hangs and refuses as
//! chance will have it, and people who ask for anything at any moment.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::backend::StartError;
use crate::model::service::{Check, Ready, Span};
use crate::model::{Rung, Signal};

/// What comes in its time: the machine is told, or a process dies and the machine is told later.
enum Happens {
    Told(Event),
    Dies { run: u64, exit: Exit },
}

impl From<Event> for Happens {
    fn from(event: Event) -> Self {
        Self::Told(event)
    }
}

/// What may be answered to what is wanted, and when.
struct Host {
    machine: Machine,
    now: Duration,
    /// Events that will come, by their time.
    coming: BTreeMap<(Duration, u64), Happens>,
    count: u64,
    /// The run whose main process lives.
    alive: Option<u64>,
    /// Whether anything is left of the last run.
    tree: bool,
    starts: BTreeMap<u64, u32>,
    ends: BTreeMap<u64, u32>,
    chance: u64,
    once: bool,
}

impl Host {
    fn new(settings: Settings, chance: u64) -> Self {
        Self {
            once: settings.oneshot,
            machine: Machine::new(settings, Counts::default(), false, chance),
            now: Duration::ZERO,
            coming: BTreeMap::new(),
            count: 0,
            alive: None,
            tree: false,
            starts: BTreeMap::new(),
            ends: BTreeMap::new(),
            chance: chance | 1,
        }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % n
    }

    fn later(&mut self, most: Duration, happens: impl Into<Happens>) {
        let wait = Duration::from_micros(self.below(most.as_micros() as u64 + 1));
        self.count += 1;
        self.coming.insert((self.now + wait, self.count), happens.into());
    }

    fn tell(&mut self, event: Event) {
        let before = self.machine.counts().desired;
        let down = matches!(event, Event::Tick) && before == Desired::Down;
        let (run, state) = (self.machine.run(), self.machine.state());
        let effects = self.machine.on_event(self.now, event.clone());
        if down {
            assert!(!effects.iter().any(|e| matches!(e, Effect::Launch { .. })), "down never starts");
        }
        let mut told = state;
        for effect in effects {
            if let Effect::State { from, to } = effect {
                assert_eq!(told, from, "states are told without a gap");
                told = to;
            }
            self.carry_out(effect);
        }
        assert_eq!(told, self.machine.state(), "after {event:?} in run {run}");
        if self.machine.state() == ServiceState::Done {
            let well = self.machine.counts().last_exit.is_some_and(|exit| exit.is_success());
            assert!(self.once && well && self.machine.is_ready(), "done is what ran once, and well");
        } else if self.once {
            assert!(!self.machine.is_ready(), "not before it has ended");
        }
    }

    fn end(&mut self, run: u64, exit: Exit, most: Duration) {
        if self.alive == Some(run) {
            self.alive = None;
            *self.ends.entry(run).or_default() += 1;
            self.later(most, Event::Exited { run, exit });
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let soon = Duration::from_millis(20);
        match effect {
            Effect::AwaitDependencies => self.later(soon, Event::DependenciesReady),
            Effect::Prepare { run } => match self.below(12) {
                0 => self.later(soon, Event::NotPrepared { run, error: StartError::Permanent("missing".to_owned()) }),
                1 => {
                    self.later(soon, Event::PortTaken { run, holder: "held".to_owned() });
                    self.later(40 * Duration::from_secs(1), Event::Prepared { run });
                }
                _ => self.later(soon, Event::Prepared { run }),
            },
            Effect::Launch { run } => {
                assert_eq!((self.alive, self.tree), (None, false), "never two runs at once");
                *self.starts.entry(run).or_default() += 1;
                let error = match self.below(20) {
                    0 | 1 => Some(StartError::Transient("busy".to_owned())),
                    2 => Some(StartError::Unwritable("full".to_owned())),
                    _ => None,
                };
                if let Some(error) = error {
                    *self.ends.entry(run).or_default() += 1;
                    return self.later(soon, Event::NotStarted { run, error });
                }
                (self.alive, self.tree) = (Some(run), true);
                self.later(soon, Event::Started { run });
                let exit = [Exit::Code(0), Exit::Code(1), Exit::Signal(11), Exit::Unknown][self.below(4) as usize];
                let most = [Duration::ZERO, soon, Duration::from_secs(30), Duration::from_secs(100_000)];
                let wait = most[self.below(4) as usize];
                self.later(wait, Happens::Dies { run, exit });
            }
            Effect::AwaitReady { run } => match self.below(4) {
                0 => {}
                1 => self.later(Duration::from_secs(20), Event::NotReady { run, why: "refused".to_owned() }),
                _ => self.later(Duration::from_secs(20), Event::Ready { run }),
            },
            Effect::BecameReady => {
                let (run, soon) = (self.machine.run(), Duration::from_secs(20));
                self.later(soon, Event::Well { run });
                match self.below(4) {
                    0 => self.later(soon, Event::Ailing { run }),
                    1 => self.later(10 * soon, Event::Unhealthy { run, why: "503".to_owned() }),
                    _ => {}
                }
            }
            Effect::AwaitEmpty { run } if self.below(2) == 0 => {
                self.tree = false;
                self.later(soon, Event::Empty { run });
            }
            Effect::Stop { run, .. } | Effect::Signal { run, .. } if self.below(3) > 0 => {
                self.end(run, Exit::Code(0), Duration::from_secs(2));
            }
            Effect::Clear { run } => {
                if self.below(30) == 0 {
                    return self.later(soon, Event::Cleared { run, result: Err("cannot be killed".to_owned()) });
                }
                self.tree = false;
                self.end(run, Exit::Signal(9), soon);
                self.later(soon, Event::Cleared { run, result: Ok(()) });
            }
            _ => {}
        }
    }

    /// The next thing that comes: an event, or a deadline.
    fn step(&mut self, until: Duration) -> bool {
        let event = self.coming.keys().next().map(|(at, _)| *at);
        let deadline = self.machine.next_deadline();
        let Some(at) = event.into_iter().chain(deadline).min().filter(|at| *at <= until) else {
            self.now = until;
            return false;
        };
        self.now = self.now.max(at);
        if deadline.is_some_and(|deadline| deadline <= at) {
            self.tell(Event::Tick);
            assert!(self.machine.next_deadline().is_none_or(|next| next > at), "a deadline that never passes");
            return true;
        }
        let Some((_, event)) = self.coming.pop_first() else { return false };
        match event {
            Happens::Dies { run, exit } => self.end(run, exit, Duration::ZERO),
            Happens::Told(event) => self.tell(event),
        }
        true
    }

    /// Lets everything end, and looks at what became of it.
    fn settle(mut self) -> Result<(), TestCaseError> {
        self.tell(Event::Stop { force: false });
        for _ in 0..100_000 {
            if !self.step(self.now + Duration::from_secs(1_000_000)) {
                break;
            }
            if matches!(self.machine.state(), ServiceState::Failed) {
                self.tell(Event::Stop { force: true });
            }
        }
        prop_assert_eq!(self.machine.state(), ServiceState::Stopped);
        prop_assert_eq!((self.alive, self.tree), (None, false), "nothing is left behind");
        prop_assert_eq!(self.machine.next_deadline(), None, "nothing is waited for");
        prop_assert_eq!(&self.starts, &self.ends, "every start has one end");
        prop_assert!(self.starts.values().all(|count| *count == 1), "every run starts once");
        Ok(())
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    let policies = prop_oneof![Just(RestartPolicy::Always), Just(RestartPolicy::OnFailure), Just(RestartPolicy::Never)];
    let values = (policies, 0..3000_u64, -1..12_i32, any::<bool>(), 1..4_usize, any::<bool>(), any::<bool>());
    values.prop_map(|(policy, base, tries, ready, rungs, looked_at, oneshot)| {
        let mut spec = ServiceSpec::new("x".parse().unwrap(), vec!["x".to_owned()], "/".into());
        spec.restart = Restart { policy, base: Span::millis(base), tries, jitter: 0.5, ..Restart::default() };
        spec.ready = ready.then(|| Ready { timeout: Span::secs(15), ..Ready::new(Check::Tcp("h:1".to_owned())) });
        spec.stop.0 = vec![Rung { signal: Signal::TERM, wait: Duration::from_secs(1) }; rungs];
        Settings { looked_at, oneshot, ..(&spec).into() }
    })
}

fn asked() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Start),
        2 => Just(Event::Restart),
        2 => Just(Event::Stop { force: false }),
        1 => Just(Event::Stop { force: true }),
        1 => Just(Event::StopLater),
    ]
}

proptest! {
    #[test]
    fn whatever_happens(
        settings in settings(),
        chance in any::<u64>(),
        asked in prop::collection::vec((0..20_000_u64, asked()), 0..40),
    ) {
        let mut host = Host::new(settings, chance);
        for (wait, event) in asked {
            let until = host.now + Duration::from_millis(wait);
            while host.step(until) {}
            let so = host.machine.is_already_so(&event);
            let before = (host.machine.state(), host.starts.len(), host.machine.counts().desired);
            host.tell(event);
            if so {
                prop_assert_eq!(before, (host.machine.state(), host.starts.len(), host.machine.counts().desired));
            }
        }
        host.settle()?;
    }
}

/// A year in which every run ends after some seconds.
#[test]
fn a_year_of_crashes() {
    let mut spec = ServiceSpec::new("x".parse().unwrap(), vec!["x".to_owned()], "/".into());
    spec.restart.tries = -1;
    let mut host = Host::new((&spec).into(), 7);
    host.tell(Event::Start);
    let year = Duration::from_secs(365 * 24 * 3600);
    while host.now < year {
        if !host.step(year) {
            break;
        }
        if host.machine.state() == ServiceState::Failed {
            host.tell(Event::Start);
        }
    }
    assert!(host.machine.counts().restarts > 1000, "{}", host.machine.counts().restarts);
    host.settle().unwrap();
}
