//! Ends processes and all that descends from them: signals with waits between, by events.

use std::collections::BTreeMap;

use super::signal::{open, send_to};
use super::{ActError, Done, Outcome};
use crate::model::{Aim, Ladder, ProcState, Rung, Signal};
use crate::observe::{ProcFs, tree};
use crate::sys::pidfd::PidFd;

/// The processes of a tree, each held by its pidfd. Grows while it is looked at: what a member
/// started meanwhile belongs to it.
struct Tree<'a> {
    proc: &'a ProcFs,
    own: u32,
    members: BTreeMap<u32, Member>,
}

struct Member {
    pidfd: PidFd,
    /// With the pid, what makes it itself.
    start_ticks: u64,
    /// What it got last.
    last: Option<Signal>,
}

impl Tree<'_> {
    /// Takes in everything that descends from a member by now.
    fn grow(&mut self) {
        let table = tree::table(self.proc);
        // A member that has ended still names its session and group, which the kernel keeps from
        // other processes as long as anybody is in them; but its pid alone may be another's now.
        let theirs = |pid: u32, member: &Member| {
            table.iter().find(|row| row.pid == pid).is_none_or(|row| row.start_ticks == member.start_ticks)
        };
        let roots: Vec<u32> = self.members.iter().filter(|(pid, m)| theirs(**pid, m)).map(|(pid, _)| *pid).collect();
        for pid in tree::tree(&roots, &table) {
            if pid == self.own || pid == 1 || self.members.contains_key(&pid) {
                continue;
            }
            // What was opened must be what the table speaks of, not a later user of the pid.
            let Ok(pidfd) = PidFd::open(pid) else { continue };
            let Some(row) = table.iter().find(|row| row.pid == pid) else { continue };
            let same = self.proc.stat(pid).is_ok_and(|now| row.start_ticks == now.start_ticks);
            if same && pidfd.is_alive() {
                self.members.insert(pid, Member { pidfd, start_ticks: row.start_ticks, last: None });
            }
        }
    }

    fn alive(&self) -> impl Iterator<Item = (u32, &Member)> {
        self.members.iter().filter(|(_, m)| m.pidfd.is_alive()).map(|(pid, m)| (*pid, m))
    }

    /// Sends to every living member that has not got this signal yet.
    fn send(&mut self, signal: Signal) -> Result<(), ActError> {
        for (pid, member) in &mut self.members {
            if member.last == Some(signal) || !member.pidfd.is_alive() {
                continue;
            }
            send_to(&member.pidfd, *pid, signal)?;
            member.last = Some(signal);
            if signal != Signal::KILL {
                // A stopped process takes nothing but SIGKILL before it is continued.
                send_to(&member.pidfd, *pid, Signal::CONT)?;
            }
        }
        Ok(())
    }

    /// Before SIGKILL everything is stopped, so that nothing forks away while it is counted.
    fn freeze(&mut self) -> Result<(), ActError> {
        for _ in 0..16 {
            let before = self.members.len();
            for (pid, member) in &self.members {
                send_to(&member.pidfd, *pid, Signal::STOP)?;
            }
            self.grow();
            if self.members.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// Waits until one living member has ended.
    async fn one_ended(&self) {
        let mut waits: Vec<_> = self.alive().map(|(_, m)| Box::pin(m.pidfd.ended())).collect();
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
    async fn rung(&mut self, rung: Rung) -> Result<(), ActError> {
        if rung.signal == Signal::KILL {
            self.freeze()?;
        }
        self.send(rung.signal)?;
        let wait = tokio::time::sleep(rung.wait);
        tokio::pin!(wait);
        while self.alive().next().is_some() {
            tokio::select! {
                () = self.one_ended() => {}
                () = &mut wait => return Ok(()),
            }
            self.grow();
            self.send(rung.signal)?;
        }
        Ok(())
    }
}

/// Ends the trees of the given processes by the rungs of the ladder.
pub(super) async fn end(proc: &ProcFs, roots: &[Aim], ladder: &Ladder) -> Result<Done, ActError> {
    let mut tree = Tree { proc, own: std::process::id(), members: BTreeMap::new() };
    for aim in roots {
        match open(proc, aim) {
            Ok(pidfd) => {
                let start_ticks = aim.identity.start_ticks;
                tree.members.insert(aim.identity.pid, Member { pidfd, start_ticks, last: None });
            }
            Err(ActError::Gone(_)) => {}
            Err(error) => return Err(error),
        }
    }
    if tree.members.is_empty() {
        return Ok(Done { outcome: Outcome::Unchanged, state: "it has ended meanwhile".to_owned() });
    }
    tree.grow();
    let mut last = Signal::TERM;
    for rung in &ladder.0 {
        last = rung.signal;
        tree.rung(*rung).await?;
        if tree.alive().next().is_none() {
            let n = tree.members.len();
            let state = if n == 1 { format!("ended by {last}") } else { format!("{n} processes ended by {last}") };
            return Ok(Done { outcome: Outcome::Stopped, state });
        }
    }
    Err(survived(&tree, last))
}

/// What is left after the last rung. A process in uninterruptible sleep cannot be helped.
fn survived(tree: &Tree<'_>, last: Signal) -> ActError {
    let state = |pid| tree.proc.process(pid).map(|p| p.state);
    let left: Vec<String> = tree
        .alive()
        .map(|(pid, _)| match state(pid) {
            Ok(ProcState::Uninterruptible) => {
                format!(
                    "{pid} cannot be killed now: it is in uninterruptible sleep (D) and ends when the kernel lets go"
                )
            }
            _ => format!("{pid} is still alive"),
        })
        .collect();
    ActError::Failed(format!("after {last}: {}", left.join("; ")))
}
