//! What sudo allows without a password. Asked only with `--sudo`: asking can raise an incident.

use std::process::Stdio;

use tokio::process::Command;

use super::observer::{Observer, Want};
use crate::model::{Action, Manager, UnitName};

/// The verbs of systemctl that sudo allows for the unit; `None` if it was not asked.
pub(super) async fn allowed(
    observer: &Observer,
    manager: Manager,
    unit: &UnitName,
    want: &Want,
) -> Option<Vec<String>> {
    if !want.sudo || manager != Manager::System || observer.caller().is_root() {
        return None;
    }
    let sudo = crate::sys::find_program("sudo")?;
    let mut verbs = Vec::new();
    for action in want.actions.iter().filter(|a| **a != Action::Kill) {
        #[expect(clippy::disallowed_methods, reason = "sudo has no other interface")]
        let mut command = Command::new(&sudo);
        // The long list names the options of the rule that matches: without `!authenticate` the
        // rule wants a password, even where listing it does not.
        command.args(["-n", "-ll", "systemctl", action.verb(), unit.as_str()]).env("LC_ALL", "C");
        let output = command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).output().await.ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if output.status.success()
            && text.lines().any(|l| l.trim_start().starts_with("Options:") && l.contains("!authenticate"))
        {
            verbs.push(action.verb().to_owned());
        }
    }
    Some(verbs)
}
