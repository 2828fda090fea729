//! Commands of others: a container's runtime, systemctl through sudo. Run by no shell.

use std::process::Stdio;

use tokio::process::Command;

use super::{ActError, Done, Outcome};
use crate::model::Action;

/// Runs the command; what it says on standard error is the error.
pub(super) async fn run(argv: &[String], action: Action) -> Result<Done, ActError> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(ActError::Failed("an empty command".to_owned()));
    };
    #[expect(clippy::disallowed_methods, reason = "the plan names the program")]
    let mut command = Command::new(program);
    tracing::info!(?argv, "running");
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| ActError::Failed(format!("{program} cannot be run: {e}")))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
        return Err(ActError::Failed(format!("{program}: {} ({})", crate::text::clip_to(line, 300), output.status)));
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
