//! The life of a service, told step by step.

use super::*;
use crate::backend::StartError;
use crate::model::Signal;
use crate::model::service::{Check, Ready, RestartPolicy, Span};

const SECOND: Duration = Duration::from_secs(1);

struct Life {
    machine: Machine,
    now: Duration,
    effects: Vec<Effect>,
}

fn spec() -> ServiceSpec {
    ServiceSpec::new("x".parse().unwrap(), vec!["x".to_owned()], "/".into())
}

impl Life {
    fn new(spec: &ServiceSpec) -> Self {
        let machine = Machine::new(spec.into(), Counts::default(), false, 1);
        Self { machine, now: SECOND, effects: Vec::new() }
    }

    fn tell(&mut self, event: Event) -> &mut Self {
        self.effects = self.machine.on_event(self.now, event);
        self
    }

    /// Lets time pass up to the next deadline, which must be this far away.
    fn due_in(&mut self, wait: Duration) -> &mut Self {
        assert_eq!(self.machine.next_deadline(), Some(self.now + wait));
        self.now += wait - Duration::from_nanos(1);
        let before = format!("{:?}", self.machine);
        assert_eq!(self.tell(Event::Tick).effects, []);
        assert_eq!(format!("{:?}", self.machine), before, "a tick before its time does nothing");
        self.now += Duration::from_nanos(1);
        self.tell(Event::Tick)
    }

    fn after(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    fn is(&mut self, state: ServiceState) -> &mut Self {
        assert_eq!(self.machine.state(), state);
        self
    }

    fn wants(&mut self, effect: &Effect) -> &mut Self {
        assert!(self.effects.contains(effect), "{effect:?} is not in {:?}", self.effects);
        self
    }

    fn run(&self) -> u64 {
        self.machine.run()
    }

    /// From its start up to where it runs.
    fn launched(&mut self) -> &mut Self {
        self.wants(&Effect::AwaitDependencies).tell(Event::DependenciesReady);
        let run = self.run();
        self.wants(&Effect::Prepare { run }).tell(Event::Prepared { run });
        self.wants(&Effect::Launch { run }).tell(Event::Started { run })
    }

    fn exits(&mut self, code: i32) -> &mut Self {
        let run = self.run();
        self.tell(Event::Exited { run, exit: Exit::Code(code) });
        self
    }

    fn cleared(&mut self) -> &mut Self {
        let run = self.run();
        self.wants(&Effect::Clear { run }).tell(Event::Cleared { run, result: Ok(()) })
    }

    fn failures(&self) -> u32 {
        self.machine.counts().failures
    }
}

#[test]
fn crashes_are_answered_with_longer_and_longer_waits_and_then_given_up() {
    let mut life = Life::new(&spec());
    life.tell(Event::Start).is(ServiceState::Starting).launched().is(ServiceState::Running);
    for seconds in [1, 2, 4, 8, 16, 30, 30, 30, 30] {
        life.after(SECOND / 2).exits(1).is(ServiceState::Restarting).cleared().is(ServiceState::Restarting);
        life.due_in(Duration::from_secs(seconds)).is(ServiceState::Starting).launched();
    }
    assert_eq!((life.machine.counts().restarts, life.failures()), (9, 9));
    life.after(SECOND / 2).exits(1).cleared().is(ServiceState::Failed);
    assert_eq!(life.machine.next_deadline(), None);
    assert_eq!(life.machine.reason().unwrap(), "ended with exit code 1 after 500ms");
    // By hand it starts again, with all of its tries.
    life.tell(Event::Start).launched().is(ServiceState::Running);
    assert_eq!((life.failures(), life.machine.counts().restarts), (0, 9));
}

#[test]
fn what_cannot_be_written_is_no_failure_of_a_service() {
    let mut spec = spec();
    (spec.restart.tries, spec.restart.base) = (1, Span::secs(0));
    for policy in [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never] {
        spec.restart.policy = policy;
        let mut life = Life::new(&spec);
        let full = |life: &mut Life| {
            life.tell(Event::DependenciesReady);
            let run = life.run();
            life.tell(Event::Prepared { run }).wants(&Effect::Launch { run });
            life.tell(Event::NotStarted { run, error: StartError::Unwritable("the disk is full".to_owned()) });
            life.is(ServiceState::Restarting);
            assert!(life.machine.is_held_up() && life.failures() == 0);
            assert_eq!(life.machine.reason().unwrap(), "the disk is full");
        };
        life.tell(Event::Start);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            full(&mut life);
            life.due_in(Duration::from_secs(seconds));
        }
        full(&mut life);
        // There is room before it is due; and its first start is no restart.
        life.tell(Event::Writable).launched().is(ServiceState::Running);
        assert_eq!((life.failures(), life.machine.counts().restarts, life.machine.is_held_up()), (0, 0, false));
        assert_eq!(life.tell(Event::Writable).effects, []);
        // By hand at once; down is down.
        life.tell(Event::Restart).effects.clear();
        let run = life.run();
        life.tell(Event::Exited { run, exit: Exit::Code(0) }).tell(Event::Empty { run }).cleared();
        full(&mut life);
        life.tell(Event::Start).wants(&Effect::AwaitDependencies);
        full(&mut life);
        life.tell(Event::Stop { force: false }).is(ServiceState::Stopped);
        assert_eq!((life.tell(Event::Writable).effects.len(), life.machine.next_deadline()), (0, None));
    }
}

#[test]
fn a_healthy_run_forgives() {
    let mut life = Life::new(&spec());
    life.tell(Event::Start).launched().exits(1).cleared().due_in(SECOND).launched();
    assert_eq!(life.failures(), 1);
    life.due_in(10 * SECOND);
    assert_eq!((life.failures(), life.machine.next_deadline()), (0, None));
    life.exits(1).cleared().due_in(SECOND).launched();
    assert_eq!(life.failures(), 1);
    // A run that was long enough forgives although no tick came, and a clean end of it is no failure.
    life.now += 10 * SECOND;
    life.exits(0).cleared();
    assert_eq!(life.failures(), 0);
    life.due_in(SECOND).launched();
    // A short one that ended cleanly counts: otherwise it would be started for ever.
    life.exits(0).cleared();
    assert_eq!(life.failures(), 1);
}

#[test]
fn policies_decide_what_is_an_end() {
    let mut spec = spec();
    spec.restart.policy = RestartPolicy::OnFailure;
    let mut life = Life::new(&spec);
    life.tell(Event::Start).launched().exits(0).cleared().is(ServiceState::Stopped);
    assert_eq!(life.machine.counts().desired, Desired::Down, "it did what it was there for");
    life.tell(Event::Start).launched();
    let run = life.run();
    life.tell(Event::Exited { run, exit: Exit::Unknown }).cleared().due_in(SECOND);

    spec.restart.policy = RestartPolicy::Never;
    let mut life = Life::new(&spec);
    life.tell(Event::Start).launched().exits(0).cleared().is(ServiceState::Stopped);
    life.tell(Event::Start).launched().exits(3).cleared().is(ServiceState::Failed);
    assert_eq!(life.machine.counts().last_exit, Some(Exit::Code(3)));
}

#[test]
fn what_ends_well_and_was_never_ready_has_failed() {
    for (policy, state) in [
        (RestartPolicy::Never, ServiceState::Failed),
        (RestartPolicy::OnFailure, ServiceState::Restarting),
        (RestartPolicy::Always, ServiceState::Restarting),
    ] {
        let mut spec = spec();
        spec.restart.policy = policy;
        spec.ready = Some(Ready { timeout: Span::secs(60), ..Ready::new(Check::Tcp("h:1".to_owned())) });
        let mut life = Life::new(&spec);
        life.tell(Event::Start).launched().after(SECOND).exits(0).cleared().is(state);
        assert_eq!((life.failures(), life.machine.counts().desired), (1, Desired::Up), "{policy:?}");
        assert_eq!(life.machine.reason().unwrap(), "ended with exit code 0 after 1s, before it was ready");
        // One that was has done its work.
        let mut life = Life::new(&spec);
        life.tell(Event::Start).launched();
        let run = life.run();
        life.tell(Event::Ready { run }).exits(0).cleared();
        assert_eq!(life.machine.state() == ServiceState::Stopped, policy != RestartPolicy::Always, "{policy:?}");
    }
}

#[test]
fn what_never_gets_ready_is_stopped_and_counts_as_a_failure() {
    let mut spec = spec();
    spec.ready = Some(Ready { timeout: Span::secs(60), ..Ready::new(Check::Tcp("h:1".to_owned())) });
    let mut life = Life::new(&spec);
    life.tell(Event::Start).launched().is(ServiceState::Running);
    let run = life.run();
    life.wants(&Effect::AwaitReady { run });
    assert!(!life.machine.is_ready());
    assert_eq!(life.machine.reason().unwrap(), "not ready yet");
    life.due_in(61 * SECOND).is(ServiceState::Stopping).wants(&Effect::Stop { run, signal: Signal::TERM });
    assert_eq!(life.machine.reason().unwrap(), "not ready within 1m");
    life.exits(0).wants(&Effect::AwaitEmpty { run }).tell(Event::Empty { run }).cleared();
    life.is(ServiceState::Restarting).due_in(SECOND).launched();
    assert_eq!(life.failures(), 1);
    // The long way to readiness is no healthy run.
    let run = life.run();
    life.after(59 * SECOND).tell(Event::Ready { run }).wants(&Effect::BecameReady);
    life.after(SECOND).exits(1).cleared();
    assert_eq!(life.failures(), 2);
    // The check itself says why.
    life.due_in(2 * SECOND).launched();
    let run = life.run();
    life.tell(Event::NotReady { run, why: "refused".to_owned() }).wants(&Effect::Stop { run, signal: Signal::TERM });
    assert_eq!(life.machine.reason().unwrap(), "refused");
}

#[test]
fn what_cannot_work_fails_at_once() {
    for error in ["no such program", "no such folder"] {
        let mut life = Life::new(&spec());
        life.tell(Event::Start).tell(Event::DependenciesReady);
        let run = life.run();
        life.tell(Event::NotPrepared { run, error: StartError::Permanent(error.to_owned()) });
        life.is(ServiceState::Failed);
        assert_eq!((life.machine.reason().as_deref(), life.machine.next_deadline()), (Some(error), None));
    }
    let mut life = Life::new(&spec());
    life.tell(Event::Start).tell(Event::DependenciesReady);
    let run = life.run();
    life.tell(Event::Prepared { run });
    life.tell(Event::NotStarted { run, error: StartError::Transient("busy".to_owned()) });
    life.is(ServiceState::Restarting).due_in(SECOND).launched().is(ServiceState::Running);
}

#[test]
fn a_port_of_another_is_waited_for_and_not_for_ever() {
    let mut life = Life::new(&spec());
    let taken = |run, who: &str| Event::PortTaken { run, holder: format!("8080 is held by {who}") };
    life.tell(Event::Start).tell(Event::DependenciesReady);
    let run = life.run();
    life.tell(taken(run, "eve"));
    assert_eq!(life.machine.reason().unwrap(), "waits for its port: 8080 is held by eve");
    life.after(20 * SECOND).tell(taken(run, "bob")).due_in(10 * SECOND).wants(&Effect::Cancel);
    life.is(ServiceState::Failed);
    assert_eq!(life.machine.reason().unwrap(), "8080 is held by bob");
    // Free in time, and everything goes on.
    life.tell(Event::Start).tell(Event::DependenciesReady);
    let run = life.run();
    life.tell(taken(run, "eve")).after(SECOND).tell(Event::Prepared { run }).tell(Event::Started { run });
    life.is(ServiceState::Running);
}

#[test]
fn a_stop_climbs_the_ladder_and_leaves_nothing() {
    let mut spec = spec();
    spec.stop = "TERM:3s,INT:2s,KILL".parse().unwrap();
    let mut life = Life::new(&spec);
    life.tell(Event::Start).launched();
    let run = life.run();
    life.tell(Event::Stop { force: false }).is(ServiceState::Stopping);
    life.wants(&Effect::Stop { run, signal: Signal::TERM });
    let int = Signal::from_number(2).unwrap();
    life.due_in(3 * SECOND).wants(&Effect::Signal { run, signal: int });
    life.due_in(2 * SECOND).wants(&Effect::Clear { run });
    // The last word of the main process is waited for, but not long.
    life.tell(Event::Cleared { run, result: Ok(()) }).is(ServiceState::Stopping);
    life.due_in(LAST_WORD).is(ServiceState::Stopped);
    assert_eq!(life.failures(), 0, "a stop is no failure");
    assert!(life.machine.is_already_so(&Event::Stop { force: false }));

    // The children of a main process that ended have the rest of its time.
    life.tell(Event::Start).launched().tell(Event::Stop { force: false }).exits(0);
    let run = life.run();
    life.wants(&Effect::AwaitEmpty { run }).due_in(3 * SECOND).wants(&Effect::Signal { run, signal: int });
    life.tell(Event::Empty { run }).cleared().is(ServiceState::Stopped);

    life.tell(Event::Start).launched().tell(Event::Stop { force: true });
    let run = life.run();
    life.wants(&Effect::Clear { run }).exits(9).tell(Event::Cleared { run, result: Ok(()) }).is(ServiceState::Stopped);
}

#[test]
fn asked_again_before_it_is_through() {
    let mut life = Life::new(&spec());
    // Stopped while it backs off.
    life.tell(Event::Start).launched().exits(1).cleared().tell(Event::Stop { force: false });
    life.is(ServiceState::Stopped);
    assert_eq!(life.machine.next_deadline(), None);
    // Started while it stops: it starts afterwards.
    life.tell(Event::Start).launched().tell(Event::Stop { force: false }).tell(Event::Start);
    let run = life.run();
    life.is(ServiceState::Stopping).exits(0).tell(Event::Empty { run }).cleared().launched().is(ServiceState::Running);
    // Stopped while it is executed.
    life.tell(Event::Restart).exits(0);
    let run = life.run();
    life.tell(Event::Empty { run }).cleared().tell(Event::DependenciesReady);
    let run = life.run();
    life.tell(Event::Prepared { run }).tell(Event::Stop { force: true }).is(ServiceState::Starting);
    life.tell(Event::Started { run })
        .wants(&Effect::Clear { run })
        .exits(9)
        .tell(Event::Cleared { run, result: Ok(()) });
    life.is(ServiceState::Stopped);
    // An exit that is told before the start.
    life.tell(Event::Start).tell(Event::DependenciesReady);
    let run = life.run();
    life.tell(Event::Prepared { run }).exits(1).is(ServiceState::Starting).tell(Event::Started { run });
    life.is(ServiceState::Restarting).cleared().due_in(SECOND).launched();
    // Ends of earlier runs mean nothing.
    life.tell(Event::Exited { run, exit: Exit::Code(1) }).is(ServiceState::Running);
}

#[test]
fn a_restart_by_hand_is_counted_and_forgives() {
    let mut life = Life::new(&spec());
    life.tell(Event::Start).launched().exits(1).cleared().due_in(SECOND).launched();
    life.tell(Event::Restart).is(ServiceState::Stopping).exits(0);
    let run = life.run();
    life.tell(Event::Empty { run }).cleared().launched();
    assert_eq!((life.machine.counts().restarts, life.failures()), (2, 0));
    assert!(life.machine.is_already_so(&Event::Start));
    // Of what does not run it is a start.
    let mut life = Life::new(&spec());
    life.tell(Event::Restart).launched();
    assert_eq!(life.machine.counts().restarts, 0);
}

#[test]
fn what_cannot_be_killed_is_said_and_not_started_beside() {
    let mut life = Life::new(&spec());
    life.tell(Event::Start).launched().tell(Event::Restart);
    let run = life.run();
    life.due_in(30 * SECOND).tell(Event::Cleared { run, result: Err("pid 5 cannot be killed".to_owned()) });
    life.is(ServiceState::Failed);
    assert_eq!(life.machine.reason().unwrap(), "pid 5 cannot be killed");
    life.tell(Event::Start).wants(&Effect::Clear { run }).tell(Event::Cleared { run, result: Ok(()) }).launched();
}

#[test]
fn others_have_their_way() {
    let mut life = Life::new(&spec());
    life.tell(Event::Start).launched();
    let run = life.run();
    life.tell(Event::StoppedByOthers { run }).cleared().is(ServiceState::Stopped);
    assert_eq!(life.machine.counts().desired, Desired::Down);
    life.tell(Event::StartedByOthers { run }).is(ServiceState::Running);
    assert_eq!(life.machine.counts().desired, Desired::Up);
    // Its exit, and then the word that somebody wanted it.
    life.exits(0).tell(Event::StoppedByOthers { run }).tell(Event::Cleared { run, result: Ok(()) });
    life.is(ServiceState::Stopped);
}

#[test]
fn a_daemon_that_starts_takes_over() {
    let counts = |desired, failures| Counts { desired, failures, ..Counts::default() };
    let mut life = Life::new(&spec());
    life.machine = Machine::new((&spec()).into(), counts(Desired::Up, 0), false, 1);
    life.machine.next_run();
    life.tell(Event::Adopted { ready: true, age: 3 * SECOND }).is(ServiceState::Running);
    life.exits(1);
    assert_eq!(life.machine.counts().last_error.as_deref(), Some("ended with exit code 1 after 3s"));
    life.cleared().due_in(SECOND).launched();

    life.machine = Machine::new((&spec()).into(), counts(Desired::Up, 2), false, 1);
    life.machine.next_run();
    life.tell(Event::Ended { exit: Exit::Unknown }).is(ServiceState::Restarting).cleared().due_in(4 * SECOND);

    // It was being stopped: that goes on when it is its turn.
    life.machine = Machine::new((&spec()).into(), counts(Desired::Down, 0), false, 1);
    life.machine.next_run();
    life.tell(Event::Adopted { ready: true, age: SECOND }).is(ServiceState::Running);
    assert_eq!(life.machine.counts().desired, Desired::Down);
    life.tell(Event::Stop { force: false }).is(ServiceState::Stopping);

    life.machine = Machine::new((&spec()).into(), counts(Desired::Up, 1), false, 1);
    life.tell(Event::Resume).is(ServiceState::Restarting).due_in(SECOND).launched();
}

#[test]
fn what_runs_once_is_ready_when_it_has_ended_well() {
    let mut spec = spec();
    (spec.oneshot, spec.restart.policy) = (true, RestartPolicy::Never);
    let mut life = Life::new(&spec);
    life.tell(Event::Start).launched().is(ServiceState::Running);
    assert!(!life.machine.is_ready() && life.machine.next_deadline().is_none());
    let run = life.run();
    life.tell(Event::Ready { run });
    assert!(!life.machine.is_ready(), "it says so itself, and has not ended");
    life.exits(0).cleared().is(ServiceState::Done).wants(&Effect::BecameReady);
    assert!(life.machine.is_ready() && !life.machine.is_alive() && life.machine.is_at_rest());
    assert_eq!((life.failures(), &life.machine.counts().last_error), (0, &None));
    // It is not done once more for others, only for who asks for that.
    assert!(life.machine.is_already_so(&Event::Start));
    life.tell(Event::Start).is(ServiceState::Done);
    assert_eq!(life.effects, []);
    life.tell(Event::Restart).launched().exits(3).cleared().is(ServiceState::Failed);
    assert!(!life.machine.is_ready());
    life.tell(Event::Start).launched().exits(0).cleared().is(ServiceState::Done);
    life.tell(Event::Stop { force: false }).is(ServiceState::Stopped);
    assert!(!life.machine.is_ready());
    // Until it has: its tries are as of any other.
    spec.restart.policy = RestartPolicy::OnFailure;
    let mut life = Life::new(&spec);
    life.tell(Event::Start).launched().exits(1).cleared().is(ServiceState::Restarting);
    life.due_in(SECOND).launched().exits(0).cleared().is(ServiceState::Done);
    assert_eq!((life.failures(), life.machine.next_deadline()), (0, None));
    // What had run before is not run again.
    let mut machine = Machine::new((&spec).into(), Counts { desired: Desired::Up, ..Counts::default() }, false, 1);
    machine.was_done();
    assert!(machine.is_ready() && machine.is_already_so(&Event::Start));
}
