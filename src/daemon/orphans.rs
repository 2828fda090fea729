//! What runs and is nobody's, looked for once: when a daemon starts, something may have been lost.

use std::time::Duration;

use crate::supervise::{Command, Handle, Orphan, OrphanQuery};
use crate::text::{clip_to, escape, shell_quote};

/// What is to run is started first: the search reads all of /proc.
const FIRST: Duration = Duration::from_secs(1);
/// So many have a line of their own.
const LINES: usize = 8;

/// Looks for orphans, and says in the log which there are.
pub(super) async fn say(handle: Handle) {
    tokio::time::sleep(FIRST).await;
    let query = OrphanQuery::default();
    match handle.ask(|answer| Command::Orphans { query, answer }).await {
        Ok(found) => lines(&found).iter().for_each(|line| tracing::warn!("{line}")),
        Err(error) => tracing::info!("{error}"),
    }
}

fn lines(found: &[Orphan]) -> Vec<String> {
    let orphans: Vec<&Orphan> = found.iter().filter(|one| one.orphan).collect();
    let mut lines: Vec<String> = orphans.iter().take(LINES).map(|one| line(one)).collect();
    if orphans.len() > LINES {
        lines.push(format!("{} orphans more: provost orphans", orphans.len() - LINES));
    }
    lines
}

fn line(one: &Orphan) -> String {
    let command: Vec<String> = one.command_line.iter().map(|word| shell_quote(word)).collect();
    let (pid, command) = (one.identity.pid, clip_to(&command.join(" "), 80));
    format!("orphan {pid} ({command}): {}; provost orphans", escape(&one.reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_line_until_they_are_many() {
        let one = |pid: u32, orphan: bool| -> Orphan {
            let fields = serde_json::json!({
                "identity": {"pid": pid, "start_ticks": 1, "pidfd_inode": null}, "command_line": ["sleep", "a b"],
                "orphan": orphan, "marked": true, "reason": "it is lost",
            });
            serde_json::from_value(fields).unwrap()
        };
        assert_eq!(lines(&[one(7, true), one(8, false)]), ["orphan 7 (sleep 'a b'): it is lost; provost orphans"]);
        let many: Vec<Orphan> = (0..10).map(|pid| one(pid, true)).collect();
        let lines = lines(&many);
        assert_eq!((lines.len(), lines[8].as_str()), (9, "2 orphans more: provost orphans"));
    }
}
