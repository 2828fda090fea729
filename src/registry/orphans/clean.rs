//! Ends orphans: each with all that it started, by its pidfd, and only while it is itself.

use std::time::Duration;

use crate::act::{ActError, Outcome, end_trees};
use crate::join::join_all;
use crate::model::{Aim, Ladder, Rung, Signal};
use crate::observe::ProcFs;
use crate::supervise::{Orphan, OrphansCleaned};

/// How long a SIGTERM may take.
const GRACE: Duration = Duration::from_secs(5);

/// Those that are to be ended: what carries the mark, and what else was found only if it was named.
pub(crate) fn to_clean(found: Vec<Orphan>, named: bool) -> Vec<Orphan> {
    found.into_iter().filter(|one| one.orphan && (one.marked || named)).collect()
}

/// Ends them at the same time: SIGTERM, 5 s, SIGKILL; with `force` SIGKILL at once.
pub(crate) async fn clean(proc: &ProcFs, orphans: &[Orphan], force: bool) -> OrphansCleaned {
    let mut ladder = Ladder(vec![Rung { signal: Signal::KILL, wait: Ladder::WAIT }]);
    if !force {
        ladder.0.insert(0, Rung { signal: Signal::TERM, wait: GRACE });
    }
    let ends = join_all(orphans.iter().map(|orphan| end(proc, orphan, &ladder))).await;
    let killed = ends.iter().filter(|end| matches!(end, Ok(true))).count();
    let errors: Vec<String> = ends.iter().filter_map(|end| end.as_ref().err()).map(ToString::to_string).collect();
    let n = orphans.len();
    let message = match (n, errors.is_empty()) {
        (0, _) => "No orphaned processes".to_owned(),
        (_, true) => format!("Cleaned up {killed} {}", processes(killed)),
        (_, false) => format!("Cleaned up {killed} of {n} {}: {}", processes(n), errors.join("; ")),
    };
    OrphansCleaned { success: errors.is_empty(), orphaned_pids: pids(orphans), killed_count: count(killed), message }
}

/// What [`clean`] would do.
pub(crate) fn would_clean(orphans: &[Orphan]) -> OrphansCleaned {
    let n = orphans.len();
    let message = match n {
        0 => "No orphaned processes".to_owned(),
        _ => format!("Would clean up {n} {}", processes(n)),
    };
    OrphansCleaned { success: true, orphaned_pids: pids(orphans), killed_count: 0, message }
}

/// Whether it was ended by this; `false` if it had ended before.
async fn end(proc: &ProcFs, orphan: &Orphan, ladder: &Ladder) -> Result<bool, ActError> {
    let aim = match proc.process(orphan.identity.pid) {
        Ok(now) if now.identity.is(&orphan.identity) => Aim { identity: orphan.identity, ..Aim::from(&now) },
        _ => return Ok(false),
    };
    tracing::info!(pid = orphan.identity.pid, "ending an orphan: {}", orphan.reason);
    Ok(end_trees(proc, &[aim], ladder).await?.outcome == Outcome::Stopped)
}

fn pids(orphans: &[Orphan]) -> Vec<u32> {
    orphans.iter().map(|orphan| orphan.identity.pid).collect()
}

fn processes(n: usize) -> &'static str {
    if n == 1 { "orphaned process" } else { "orphaned processes" }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
