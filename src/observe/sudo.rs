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
    // rule of the user needs none. So the rules are read. Whether a password was given not long ago
    // is not asked: to ask is to prolong it.
    let rules = ask(&sudo, &["-ll"]).await.unwrap_or_default();
    let mut verbs = Vec::new();
    for action in want.actions.iter().filter(|a| **a != Action::Kill) {
        let Some(command) = ask(&sudo, &["-l", "systemctl", action.verb(), unit.as_str()]).await else { continue };
        if wants_no_password(&rules, command.trim()) {
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

/// Whether the rule that decides about the command, run as root, has `NOPASSWD`. In the long list
/// each rule has its users (`RunAsUsers`), options (`!authenticate`) and commands; the last rule
/// that matches decides (sudoers(5)). A rule that cannot be read and may match says no.
fn wants_no_password(rules: &str, command: &str) -> bool {
    let mut decides = false;
    for rule in entries(rules) {
        let (head, commands) = rule.split_once("Commands:").unwrap_or((&rule, ""));
        let line = |key: &str| head.lines().find_map(|l| l.trim().strip_prefix(key));
        let free = line("Options:").unwrap_or_default().split(',').any(|o| o.trim() == "!authenticate");
        let as_root = runs_as_root(line("RunAsUsers:").unwrap_or_default());
        for pattern in commands.lines().map(str::trim).filter(|l| !l.is_empty()) {
            match as_root {
                Some(false) => {}
                Some(true) if matches(pattern, command) => decides = free,
                // What it matches is not known; that it wants a password is.
                Some(true) if !free && !is_plain(pattern) => decides = false,
                Some(true) => {}
                None if matches(pattern, command) || !is_plain(pattern) => decides = false,
                None => {}
            }
        }
    }
    decides
}

/// The rules of the long list: each begins with a line that is not indented, as the text before
/// them does, which names no commands.
fn entries(rules: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in rules.lines() {
        match all.last_mut() {
            Some(entry) if line.is_empty() || line.starts_with([' ', '\t']) => {
                entry.push_str(line);
                entry.push('\n');
            }
            _ => all.push(format!("{line}\n")),
        }
    }
    all
}

/// Whether a rule for these users is one for root; `None` where it cannot be told: for groups,
/// numbers, exceptions, aliases.
fn runs_as_root(users: &str) -> Option<bool> {
    let mut root = false;
    for user in users.split(',').map(str::trim) {
        match user {
            "root" | "ALL" => root = true,
            _ if user.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') => {}
            _ => return None,
        }
    }
    Some(root)
}

/// Whether a pattern is a path with arguments and nothing more.
fn is_plain(pattern: &str) -> bool {
    let special = |c: &char| matches!(c, '*' | '?' | '[' | ']' | '^' | '!' | '$' | ':');
    let mut escaped = false;
    let bare = pattern.chars().filter(|c| {
        let counts = !escaped && *c != '\\';
        escaped = !escaped && *c == '\\';
        counts
    });
    !bare.collect::<Vec<char>>().iter().any(special) && !pattern.ends_with('/')
}

/// The pattern without its escapes: a backslash stands for the character behind it.
fn unescaped(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    out
}

/// `ALL`, the command itself, or its program with any arguments. A pattern that is more than that
/// is taken for no match, as [`wants_no_password`] considers.
fn matches(pattern: &str, command: &str) -> bool {
    let plain = unescaped(pattern);
    plain == "ALL" || plain == command || command.split_once(' ').is_some_and(|(program, _)| plain == program)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP: &str = "/usr/bin/systemctl stop x.service";

    fn rule(options: &str, commands: &[&str]) -> String {
        let commands: Vec<String> = commands.iter().map(|c| format!("\t{c}\n")).collect();
        format!("\nSudoers entry: /etc/sudoers\n    RunAsUsers: root\n{options}    Commands:\n{}", commands.concat())
    }

    #[test]
    fn escapes_are_those_of_the_list() {
        let rules = rule("    Options: !authenticate\n", &["/usr/bin/systemctl stop a\\\\x2db\\:c.service"]);
        assert!(wants_no_password(&rules, "/usr/bin/systemctl stop a\\x2db:c.service"), "{rules}");
        assert!(!wants_no_password(&rules, "/usr/bin/systemctl stop ax2db:c.service"));
        assert!(is_plain("/bin/x a\\:b") && !is_plain("/bin/x a:b") && !is_plain("/bin/x \\\\*"));
    }

    #[test]
    fn only_rules_for_root_count() {
        let free = rule("    Options: !authenticate\n", &["ALL"]);
        let of = |users: &str| free.replace("RunAsUsers: root", &format!("RunAsUsers: {users}"));
        assert!(wants_no_password(&of("ALL"), STOP) && wants_no_password(&of("eve, root"), STOP));
        for users in ["eve", "eve, adm", "ALL, !root", "%wheel", "#0", "OPS", "", "eve,"] {
            assert!(!wants_no_password(&of(users), STOP), "{users}");
        }
        let wants = rule("", &["ALL"]);
        assert!(!wants_no_password(&format!("{wants}{}", of("eve")), STOP), "the rule for root decides");
        assert!(wants_no_password(&format!("{free}{}", wants.replace(": root", ": eve")), STOP));
        assert!(!wants_no_password(&format!("{free}{}", wants.replace(": root", ": OPS")), STOP));
        let none = free.replace("    RunAsUsers: root\n", "");
        assert!(!wants_no_password(&none, STOP));
        let role = wants.replace("Sudoers entry: /etc/sudoers", "LDAP Role: x").replace(": root", ": eve");
        assert!(!wants_no_password(&format!("{}{role}", rule("    Options: !authenticate\n", &["/bin/true"])), STOP));
    }

    #[test]
    fn a_rule_that_may_match_and_wants_a_password_is_not_overlooked() {
        let free = rule("    Options: !authenticate\n", &["ALL"]);
        for pattern in ["/usr/bin/systemctl stop *", "/usr/bin/", "^/usr/bin/.*$"] {
            assert!(!wants_no_password(&format!("{free}{}", rule("", &[pattern])), STOP), "{pattern}");
        }
        assert!(wants_no_password(&format!("{free}{}", rule("", &["/usr/bin/true"])), STOP));
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
