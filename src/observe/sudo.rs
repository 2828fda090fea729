//! What sudo allows without a password. Asked only with `--sudo`: asking can raise an incident.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::observer::{Observer, Want};
use crate::model::{Action, Manager, UnitName};

/// The verbs of systemctl that sudo allows for the unit without a password; `None` if it was not asked.
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
    // That a command may be run says nothing about the password: listing needs none as soon as one
    // rule of the user needs none. So the rules are read, unless no rule (or no longer) wants one.
    let free = ask(&sudo, &["-v"]).await.is_some();
    let rules = ask(&sudo, &["-ll"]).await.unwrap_or_default();
    let mut verbs = Vec::new();
    for action in want.actions.iter().filter(|a| **a != Action::Kill) {
        let Some(command) = ask(&sudo, &["-l", "systemctl", action.verb(), unit.as_str()]).await else { continue };
        if free || wants_no_password(&rules, command.trim()) {
            verbs.push(action.verb().to_owned());
        }
    }
    Some(verbs)
}

/// What sudo prints, if it agrees. It never waits for anybody.
async fn ask(sudo: &Path, arguments: &[&str]) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "sudo has no other interface")]
    let mut command = Command::new(sudo);
    command.arg("-n").args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the rule that decides about the command has `NOPASSWD`. In the long list each rule has
/// its options (`!authenticate`) and commands; the last rule that matches decides (sudoers(5)).
fn wants_no_password(rules: &str, command: &str) -> bool {
    let mut decides = false;
    for rule in rules.split("Sudoers entry").skip(1) {
        let (head, commands) = rule.split_once("Commands:").unwrap_or((rule, ""));
        let options = head.lines().find_map(|l| l.trim().strip_prefix("Options:")).unwrap_or_default();
        let free = options.split(',').any(|o| o.trim() == "!authenticate");
        for pattern in commands.lines().map(str::trim).filter(|l| !l.is_empty()) {
            if matches(pattern, command) {
                decides = free;
            }
        }
    }
    decides
}

/// `ALL`, the command itself, or its program with any arguments. A pattern that is more than that
/// is taken for no match: then a password is expected, and nothing is claimed.
fn matches(pattern: &str, command: &str) -> bool {
    let plain = pattern.replace('\\', "");
    plain == "ALL" || plain == command || command.split_once(' ').is_some_and(|(program, _)| plain == program)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP: &str = "/usr/bin/systemctl stop x.service";

    fn rule(options: &str, commands: &[&str]) -> String {
        let commands: Vec<String> = commands.iter().map(|c| format!("\t{c}\n")).collect();
        format!("\nSudoers entry:\n    RunAsUsers: root\n{options}    Commands:\n{}", commands.concat())
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let free = "    Options: !authenticate\n";
        let first = rule(free, &["/usr/bin/true", STOP]);
        assert!(wants_no_password(&first, STOP));
        assert!(!wants_no_password(&first, "/usr/bin/systemctl stop y.service"));
        assert!(!wants_no_password(&format!("{first}{}", rule("", &["ALL"])), STOP));
        assert!(wants_no_password(&format!("{}{first}", rule("", &["ALL"])), STOP));
        assert!(wants_no_password(&rule(free, &["/usr/bin/systemctl"]), STOP));
        assert!(!wants_no_password(&rule(free, &["/usr/bin/systemctl start *"]), STOP));
        assert!(!wants_no_password("", STOP));
    }
}
