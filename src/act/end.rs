//! Ends processes and all that descends from them: signals with waits between, by events.
//!
//! One that may not be signalled (a setuid child) does not keep the others from their end, and
//! what was stopped before a SIGKILL that then is refused is continued.

use std::collections::BTreeMap;
use std::time::Duration;

use super::signal::{open, send_to};
use super::{ActError, Done, Outcome};
use crate::model::{Aim, Ladder, ProcState, Rung, Signal};
use crate::observe::{ProcFs, tree};
use crate::sys::pidfd::PidFd;

/// By what right the processes of a tree are reached, and how.
pub(crate) trait Hand: Sync {
    /// Hears of the members, each time before they are sent something: some may have joined.
    fn admit(&self, members: Vec<(u32, &PidFd)>) -> impl Future<Output = ()> + Send {
        drop(members);
        std::future::ready(())
    }

    /// Sends one signal; `false` to a process that has ended.
    fn send(&self, pidfd: &PidFd, pid: u32, signal: Signal) -> Result<bool, ActError>;

    /// How many living processes are held at the same time, and how long it is at least between two
    /// looks at all processes of the host. Those that have no room come when others have ended.
    fn bounds(&self) -> (usize, Duration) {
        (usize::MAX, Duration::ZERO)
    }
}

/// With the caller's own rights, which the kernel knows.
impl<F: Fn(&PidFd, u32, Signal) -> Result<bool, ActError> + Sync> Hand for F {
    fn send(&self, pidfd: &PidFd, pid: u32, signal: Signal) -> Result<bool, ActError> {
        self(pidfd, pid, signal)
    }
}

/// A process at the top of a tree that is to be ended.
pub(crate) struct Root {
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
    pub(crate) pidfd: PidFd,
}

/// The processes of a tree, each held by its pidfd. Grows while it is looked at: what a member
/// started meanwhile belongs to it.
struct Tree<'a, H: Hand> {
    proc: &'a ProcFs,
    by: &'a H,
    own: u32,
    members: BTreeMap<u32, Member>,
    /// Members that have ended, with their start, as long as anybody is in their session or group.
    ended: BTreeMap<u32, u64>,
    /// How many have ended.
    done: usize,
    /// When all processes were looked at last.
    looked: tokio::time::Instant,
}

struct Member {
    pidfd: PidFd,
    /// With the pid, what makes it itself.
    start_ticks: u64,
    /// What it got last.
    last: Option<Signal>,
    /// Why it could not get that.
    refused: Option<ActError>,
    /// It was stopped for a SIGKILL.
    stopped: bool,
}

impl Member {
    fn new(pidfd: PidFd, start_ticks: u64) -> Self {
        Self { pidfd, start_ticks, last: None, refused: None, stopped: false }
    }
}

impl<H: Hand> Tree<'_, H> {
    /// Takes in everything that descends from a member by now; whether that is anybody new.
    async fn grow(&mut self) -> bool {
        self.looked = tokio::time::Instant::now();
        let table = tree::table(self.proc);
        let (most, _) = self.by.bounds();
        let (ended, done) = (&mut self.ended, &mut self.done);
        // What has ended is held no longer: there is no end of what a tree may start and end.
        self.members.retain(|pid, member| {
            let alive = member.pidfd.is_alive();
            if !alive {
                ended.insert(*pid, member.start_ticks);
                *done += 1;
            }
            alive
        });
        // A member that has ended still names its session and group, which the kernel keeps from
        // other processes as long as anybody is in them; but its pid alone may be another's now.
        self.ended.retain(|pid, start_ticks| {
            let other = |row: &tree::Row| row.pid == *pid && row.start_ticks != *start_ticks;
            table.iter().any(|row| row.sid == *pid || row.pgid == *pid || row.ppid == *pid) && !table.iter().any(other)
        });
        let roots: Vec<u32> = self.members.keys().chain(self.ended.keys()).copied().collect();
        let before = self.members.len();
        for pid in tree::tree(&roots, &table) {
            if pid == self.own || pid == 1 || self.members.contains_key(&pid) {
                continue;
            }
            if self.members.len() >= most {
                break;
            }
            // What was opened must be what the table speaks of, not a later user of the pid.
            let Ok(pidfd) = PidFd::open(pid) else { continue };
            let Some(row) = table.iter().find(|row| row.pid == pid) else { continue };
            let same = self.proc.stat(pid).is_ok_and(|now| row.start_ticks == now.start_ticks);
            if same && pidfd.is_alive() {
                self.members.insert(pid, Member::new(pidfd, row.start_ticks));
            }
        }
        self.by.admit(self.alive().map(|(pid, member)| (pid, &member.pidfd)).collect()).await;
        self.members.len() > before
    }

    /// How many there were so far.
    fn count(&self) -> usize {
        self.done + self.members.len()
    }

    fn alive(&self) -> impl Iterator<Item = (u32, &Member)> {
        self.members.iter().filter(|(_, m)| m.pidfd.is_alive()).map(|(pid, m)| (*pid, m))
    }

    /// The living members that take signals from us.
    fn left(&self) -> impl Iterator<Item = (u32, &Member)> {
        self.alive().filter(|(_, member)| member.refused.is_none())
    }

    /// Sends to every living member that has not got this signal yet. Who cannot be signalled is
    /// remembered, and the others get it all the same.
    fn send(&mut self, signal: Signal) {
        for (pid, member) in &mut self.members {
            if member.last == Some(signal) || !member.pidfd.is_alive() {
                continue;
            }
            member.refused = self.by.send(&member.pidfd, *pid, signal).err();
            member.last = Some(signal);
            // A stopped process takes nothing but SIGKILL before it is continued; and who was
            // stopped for a SIGKILL that it did not get must not stay so. The kernel permits
            // SIGCONT within a session where it permits nothing else.
            let goes_on = match &member.refused {
                None => signal != Signal::KILL,
                Some(_) => std::mem::take(&mut member.stopped),
            };
            if goes_on && let Err(error) = self.by.send(&member.pidfd, *pid, Signal::CONT) {
                tracing::debug!(pid, %error, "not continued");
            }
        }
    }

    /// Before SIGKILL everything is stopped, so that nothing forks away while it is counted. Who
    /// cannot be stopped is left to [`Self::send`], which follows at once.
    async fn freeze(&mut self) {
        for _ in 0..16 {
            // Who was sent a SIGKILL by an earlier rung gets no other, and so nobody to continue it.
            for (pid, member) in self.members.iter_mut().filter(|(_, m)| m.last != Some(Signal::KILL)) {
                match self.by.send(&member.pidfd, *pid, Signal::STOP) {
                    Ok(sent) => member.stopped |= sent,
                    Err(error) => tracing::debug!(pid, %error, "not stopped"),
                }
            }
            if !self.grow().await {
                break;
            }
        }
    }

    /// Waits until one living member that takes signals has ended.
    async fn one_ended(&self) {
        let mut waits: Vec<_> = self.left().map(|(_, m)| Box::pin(m.pidfd.ended())).collect();
        std::future::poll_fn(|cx| {
            if waits.is_empty() || waits.iter_mut().any(|w| w.as_mut().poll(cx).is_ready()) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }

    /// One rung: the signal to all, then the wait; whoever joins meanwhile gets it too.
    async fn rung(&mut self, rung: Rung) {
        if rung.signal == Signal::KILL {
            self.freeze().await;
        }
        self.send(rung.signal);
        let wait = tokio::time::sleep(rung.wait);
        tokio::pin!(wait);
        while self.left().next().is_some() {
            tokio::select! {
                () = self.one_ended() => {}
                () = &mut wait => return,
            }
            let (_, pause) = self.by.bounds();
            tokio::time::sleep_until(self.looked + pause).await;
            self.grow().await;
            self.send(rung.signal);
        }
    }
}

impl<H: Hand> Drop for Tree<'_, H> {
    /// Whoever gives up in the middle leaves nobody stopped.
    fn drop(&mut self) {
        for (pid, member) in &self.members {
            if member.stopped && member.last != Some(Signal::KILL) && member.pidfd.is_alive() {
                let _ = self.by.send(&member.pidfd, *pid, Signal::CONT);
            }
        }
    }
}

/// Ends the trees of the given processes by the rungs of the ladder.
pub(crate) async fn end(proc: &ProcFs, roots: &[Aim], ladder: &Ladder) -> Result<Done, ActError> {
    end_held(proc, opened(proc, roots)?, ladder, &send_to).await
}

/// Those of the processes that are still there.
fn opened(proc: &ProcFs, roots: &[Aim]) -> Result<Vec<Root>, ActError> {
    let mut held = Vec::new();
    for aim in roots {
        match open(proc, aim) {
            Ok(pidfd) => {
                held.push(Root { pid: aim.identity.pid, start_ticks: aim.identity.start_ticks, pidfd });
            }
            Err(ActError::Gone(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(held)
}

/// The same for processes that are held already, by somebody's hand.
pub(crate) async fn end_held<H: Hand>(
    proc: &ProcFs,
    roots: Vec<Root>,
    ladder: &Ladder,
    by: &H,
) -> Result<Done, ActError> {
    let members = roots.into_iter().map(|root| (root.pid, Member::new(root.pidfd, root.start_ticks)));
    let mut tree = Tree {
        proc,
        by,
        own: std::process::id(),
        members: members.collect(),
        ended: BTreeMap::new(),
        done: 0,
        looked: tokio::time::Instant::now(),
    };
    if tree.members.is_empty() {
        return Ok(Done { outcome: Outcome::Unchanged, state: "it has ended meanwhile".to_owned() });
    }
    tree.grow().await;
    let mut last = Signal::TERM;
    for rung in &ladder.0 {
        last = rung.signal;
        tree.rung(*rung).await;
        if tree.left().next().is_none() {
            if let Some(error) = refused(&tree) {
                return Err(error);
            }
            let n = tree.count();
            let state = if n == 1 { format!("ended by {last}") } else { format!("{n} processes ended by {last}") };
            return Ok(Done { outcome: Outcome::Stopped, state });
        }
    }
    Err(survived(&tree, last))
}

/// Who lives on because it could not be signalled, where that is anybody.
fn refused<H: Hand>(tree: &Tree<'_, H>) -> Option<ActError> {
    let errors: Vec<&ActError> = tree.alive().filter_map(|(_, member)| member.refused.as_ref()).collect();
    let mut text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    match tree.count() - errors.len() {
        0 => {}
        1 => text += "; 1 other process has ended",
        n => text += &format!("; {n} other processes have ended"),
    }
    let denied = errors.iter().all(|error| matches!(error, ActError::NotPermitted(_)));
    (!errors.is_empty()).then_some(if denied { ActError::NotPermitted(text) } else { ActError::Failed(text) })
}

/// What is left after the last rung. A process in uninterruptible sleep cannot be helped.
fn survived<H: Hand>(tree: &Tree<'_, H>, last: Signal) -> ActError {
    let state = |pid| tree.proc.process(pid).map(|p| p.state);
    let left: Vec<String> = tree
        .alive()
        .map(|(pid, member)| match (&member.refused, state(pid)) {
            (Some(error), _) => error.to_string(),
            (None, Ok(ProcState::Uninterruptible)) => {
                format!(
                    "{pid} cannot be killed now: it is in uninterruptible sleep (D) and ends when the kernel lets go"
                )
            }
            _ => format!("{pid} is still alive"),
        })
        .collect();
    ActError::Failed(format!("after {last}: {}", left.join("; ")))
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A shell with two children, and the pids of those.
    fn family() -> (Child, Vec<u32>) {
        let script = "sleep 600 & echo $!; sleep 600 & echo $!; wait";
        let mut shell = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = std::io::BufReader::new(shell.stdout.take().unwrap()).lines();
        let pids = lines.take(2).map(|line| line.unwrap().parse().unwrap()).collect();
        (shell, pids)
    }

    /// Ends a family of whom the first child refuses these signals; afterwards it must run.
    fn one_refuses(refuses: &'static [Signal], ladder: &str) -> ActError {
        let proc = ProcFs::host().unwrap();
        let (mut shell, children) = family();
        let held = PidFd::open(children[0]).unwrap();
        let child = children[0];
        let by = move |pidfd: &PidFd, pid: u32, signal: Signal| {
            if pid == child && refuses.contains(&signal) {
                return Err(ActError::NotPermitted(format!("{signal} to {pid}: the kernel does not permit it")));
            }
            send_to(pidfd, pid, signal)
        };
        let root = Aim::from(&proc.process(shell.id()).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ladder = ladder.parse().unwrap();
        let result = runtime.block_on(async { end_held(&proc, opened(&proc, &[root]).unwrap(), &ladder, &by).await });
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(proc.stat(children[1]).is_err() || !PidFd::open(children[1]).is_ok_and(|fd| fd.is_alive()));
        assert!(held.is_alive(), "it was not to be ended");
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
        assert!(!stat.contains(") T "), "it must not stay stopped: {stat}");
        held.signal(9).unwrap();
        let error = result.unwrap_err();
        assert!(error.to_string().contains(&child.to_string()), "{error}");
        error
    }

    #[test]
    fn one_that_may_not_be_signalled_does_not_keep_the_others_from_their_end() {
        let all: &[Signal] = &[Signal::TERM, Signal::STOP, Signal::KILL, Signal::CONT];
        for ladder in ["KILL", "TERM:5s,KILL"] {
            let error = one_refuses(all, ladder);
            assert!(matches!(error, ActError::NotPermitted(_)), "{error:?}");
            assert!(error.to_string().ends_with("; 2 other processes have ended"), "{error}");
        }
    }

    #[test]
    fn who_was_stopped_and_may_not_be_killed_is_continued() {
        let error = one_refuses(&[Signal::KILL], "KILL");
        assert!(matches!(error, ActError::NotPermitted(_)), "{error:?}");
    }

    /// Has room for one at a time, and remembers how many it was asked about at most.
    struct Narrow(std::sync::atomic::AtomicUsize);

    impl Hand for Narrow {
        async fn admit(&self, members: Vec<(u32, &PidFd)>) {
            self.0.fetch_max(members.len(), std::sync::atomic::Ordering::Relaxed);
        }

        fn send(&self, pidfd: &PidFd, pid: u32, signal: Signal) -> Result<bool, ActError> {
            send_to(pidfd, pid, signal)
        }

        fn bounds(&self) -> (usize, Duration) {
            (2, Duration::from_millis(1))
        }
    }

    #[test]
    fn who_has_no_room_comes_when_others_have_ended() {
        let proc = ProcFs::host().unwrap();
        let (mut shell, children) = family();
        let held: Vec<PidFd> = children.iter().map(|pid| PidFd::open(*pid).unwrap()).collect();
        let root = Aim::from(&proc.process(shell.id()).unwrap());
        let narrow = Narrow(0.into());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Each ends by the signal, but the shell, which ends when its children have.
        let ladder = "TERM:1s,KILL:5s".parse().unwrap();
        let done = runtime.block_on(async { end_held(&proc, opened(&proc, &[root]).unwrap(), &ladder, &narrow).await });
        shell.wait().unwrap();
        assert_eq!(narrow.0.into_inner(), 2);
        for child in held.iter().filter(|child| child.is_alive()) {
            // With the parent gone nothing binds the last one to the tree where the shell leads no group.
            child.signal(9).unwrap();
        }
        done.unwrap();
    }

    /// Waits for ever once somebody was stopped, as for an answer.
    struct Waits(std::sync::atomic::AtomicBool);

    impl Hand for Waits {
        async fn admit(&self, _: Vec<(u32, &PidFd)>) {
            if self.0.load(std::sync::atomic::Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        }

        fn send(&self, pidfd: &PidFd, pid: u32, signal: Signal) -> Result<bool, ActError> {
            self.0.fetch_or(signal == Signal::STOP, std::sync::atomic::Ordering::Relaxed);
            send_to(pidfd, pid, signal)
        }
    }

    #[test]
    fn who_gives_up_in_the_middle_leaves_nobody_stopped() {
        let proc = ProcFs::host().unwrap();
        let (mut shell, children) = family();
        let root = Aim::from(&proc.process(shell.id()).unwrap());
        let waits = Waits(false.into());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let given_up = runtime.block_on(async {
            let ladder = Ladder::force();
            let ending = end_held(&proc, opened(&proc, &[root]).unwrap(), &ladder, &waits);
            tokio::time::timeout(std::time::Duration::from_millis(50), ending).await
        });
        assert!(given_up.is_err() && waits.0.into_inner(), "it did not wait");
        for pid in children.iter().chain([&shell.id()]) {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            assert!(!stat.contains(") T "), "{stat}");
        }
        for pid in children {
            PidFd::open(pid).unwrap().signal(9).unwrap();
        }
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
}
