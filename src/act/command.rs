//! Commands of others: a container's runtime, systemctl through sudo. Run by no shell.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::{ActError, Done, Outcome};
use crate::model::Action;

/// The most that is kept of what a command says: its end, where the error stands.
const KEPT: usize = 64 * 1024;

/// How long what a command said last may take to arrive after it has ended. Something that it
/// started can keep its standard error open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Runs the command; what it says on standard error is the error.
pub(super) async fn run(argv: &[String], action: Action) -> Result<Done, ActError> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(ActError::Failed("an empty command".to_owned()));
    };
    #[expect(clippy::disallowed_methods, reason = "the plan names the program")]
    let mut command = Command::new(program);
    tracing::info!(?argv, "running");
    let cannot = |e: std::io::Error| ActError::Failed(format!("{program} cannot be run: {e}"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(cannot)?;
    let mut said = Vec::new();
    let status = match child.stderr.take() {
        Some(mut stderr) => {
            let status = tokio::select! {
                status = child.wait() => status,
                () = keep_end(&mut stderr, &mut said) => child.wait().await,
            };
            // It is at its end already, but for what arrived together with the command's end.
            let _ = tokio::time::timeout(LAST_WORDS, keep_end(&mut stderr, &mut said)).await;
            status
        }
        None => child.wait().await,
    }
    .map_err(cannot)?;
    if !status.success() {
        let text = String::from_utf8_lossy(&said);
        let line = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
        return Err(ActError::Failed(format!("{program}: {} ({})", crate::text::clip_to(line, 300), status)));
    }
    let outcome = match action {
        Action::Start => Outcome::Started,
        Action::Stop => Outcome::Stopped,
        Action::Restart => Outcome::Restarted,
        Action::Reload => Outcome::Reloaded,
        Action::Kill => Outcome::Signalled,
    };
    Ok(Done { outcome, state: format!("done by {}", argv.join(" ")) })
}

/// Reads to the end, or until there is an error, and keeps the last [`KEPT`] bytes. What was read
/// is kept where this is cancelled.
async fn keep_end(from: &mut (impl AsyncRead + Unpin), said: &mut Vec<u8>) {
    let mut buffer = [0; 8192];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        said.extend_from_slice(buffer.get(..n).unwrap_or_default());
        said.drain(..said.len().saturating_sub(KEPT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_sh(script: &str) -> Result<Done, ActError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let argv = ["sh", "-c", script].map(str::to_owned);
        let limit = Duration::from_secs(20);
        runtime.block_on(async { tokio::time::timeout(limit, run(&argv, Action::Stop)).await }).expect("it ends")
    }

    #[test]
    fn the_error_is_the_last_line() {
        assert!(run_sh("echo fine; echo hm >&2").is_ok());
        let error = run_sh("yes | head -c 400000 >&2; echo last words >&2; exit 3").unwrap_err().to_string();
        assert!(error.starts_with("sh: last words (") && error.contains('3'), "{error}");
        assert!(run_sh("exit 1").unwrap_err().to_string().contains("it said nothing"));
    }

    #[test]
    fn the_end_is_kept_and_no_more() {
        let text = [vec![b'x'; 3 * KEPT], b"end".to_vec()].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut said = Vec::new();
        runtime.block_on(keep_end(&mut text.as_slice(), &mut said));
        assert_eq!((said.len(), said.ends_with(b"xend")), (KEPT, true));
    }

    #[test]
    fn what_the_command_leaves_behind_is_not_waited_for() {
        // The one that is left holds standard error for longer than this test waits.
        let error = run_sh("sleep 40 & echo no >&2; exit 1").unwrap_err().to_string();
        assert!(error.starts_with("sh: no ("), "{error}");
    }
}
