//! What a machine is told, and what it wants done.

use std::time::Duration;

use crate::backend::StartError;
use crate::model::Signal;
use crate::model::service::{Exit, ServiceState};

/// Something that happened to a service, or was asked for. What carries the number of another run
/// than the present one comes too late and changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// Somebody wants it up. Failures are forgotten.
    Start,
    /// Somebody wants it stopped and started. Failures are forgotten.
    Restart,
    /// It is to be down, but others stop first: it is not started again from now on.
    StopLater,
    /// Somebody wants it down; with `force` at once, with SIGKILL.
    Stop { force: bool },
    /// A daemon that starts wants it as it was: up, with its failures, after its delay.
    Resume,
    /// A daemon that starts has taken it over while it ran, for this long already. A stop that goes on comes
    /// by itself: it may be others' turn.
    Adopted { ready: bool, age: Duration },
    /// A daemon that starts has found that it ended.
    Ended { exit: Exit },
    /// All that it comes after is ready.
    DependenciesReady,
    /// Its port is held by another; it is waited for. The holder in a sentence.
    PortTaken { run: u64, holder: String },
    /// Everything is ready for its start.
    Prepared { run: u64 },
    /// It cannot be started, now or at all.
    NotPrepared { run: u64, error: StartError },
    /// Its program was executed.
    Started { run: u64 },
    /// Its program was not executed.
    NotStarted { run: u64, error: StartError },
    /// Its check succeeded.
    Ready { run: u64 },
    /// Its check has failed for as long as it may; why.
    NotReady { run: u64, why: String },
    /// It does its work.
    Well { run: u64 },
    /// It does not, and not for long enough.
    Ailing { run: u64 },
    /// It does not for so long that it is to be started again; why.
    Unhealthy { run: u64, why: String },
    /// Its main process ended.
    Exited { run: u64, exit: Exit },
    /// Nothing of its tree is left.
    Empty { run: u64 },
    /// What was left of its tree was killed, or could not be.
    Cleared { run: u64, result: Result<(), String> },
    /// Somebody else stopped it.
    StoppedByOthers { run: u64 },
    /// Somebody else started it.
    StartedByOthers { run: u64 },
    /// What is kept of it could not be written, and now it was.
    Writable,
    /// A deadline has come.
    Tick,
}

/// What a machine wants done. What takes time is answered by an event with the same run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Say [`Event::DependenciesReady`] as soon as that is so.
    AwaitDependencies,
    /// Resolve what is to be started, wait for its port, remove its stale socket.
    Prepare { run: u64 },
    /// Execute it.
    Launch { run: u64 },
    /// Say [`Event::Ready`] as soon as that is so.
    AwaitReady { run: u64 },
    /// Say [`Event::Empty`] as soon as no process of it is left.
    AwaitEmpty { run: u64 },
    /// What is being waited for does not matter any more.
    Cancel,
    /// Begin to stop it, with this signal.
    Stop { run: u64, signal: Signal },
    /// Send this to all of it.
    Signal { run: u64, signal: Signal },
    /// Kill what is left of it.
    Clear { run: u64 },
    /// Tell: it went from one state to another.
    State { from: ServiceState, to: ServiceState },
    /// Tell: it is ready.
    BecameReady,
    /// Tell: its main process ended.
    Exited { exit: Exit },
}
