//! What an administrator can install: exactly this caller, this unit, these verbs.

use crate::model::{Caller, UnitFacts};
use crate::text::{escape, shell_quote};

/// A polkit rule (JavaScript, polkit 0.106 and later) that allows `caller` to stop and restart
/// the unit, after comment lines with the command that installs it.
///
/// `start` and `restart` are in it only for a unit with a unit file: without one, the caller could
/// start a transient unit of that name, with any command, as root. So it must go when the unit goes.
pub fn polkit_rule(caller: &Caller, unit: &UnitFacts) -> String {
    let id = unit.id.as_str();
    let verbs = verbs(unit);
    let start = verbs.contains(&"start");
    let file = file_name(&caller.user, id);
    let list: Vec<String> = verbs.iter().map(|v| quote(v)).collect();
    let mut out = String::new();
    out.push_str(&format!(
        "// install: provost inspect {} --polkit-rule | sudo tee /etc/polkit-1/rules.d/{file}\n",
        shell_quote(&format!("unit:{id}"))
    ));
    out.push_str(&format!(
        "// {} may {} {id}, and nothing else. Remove this file together with the unit.\n",
        escape(&caller.user),
        verbs.join(", ")
    ));
    if !start {
        out.push_str("// start and restart are left out: the unit has no unit file, so that anything could be started by that name.\n");
    }
    out.push_str(&format!(
        "polkit.addRule(function(action, subject) {{\n    if (action.id == \"org.freedesktop.systemd1.manage-units\" &&\n        action.lookup(\"unit\") == {} &&\n        [{}].indexOf(action.lookup(\"verb\")) >= 0 &&\n        subject.user == {}) {{\n        return polkit.Result.YES;\n    }}\n}});\n",
        quote(id),
        list.join(", "),
        quote(&caller.user)
    ));
    out
}

/// The verbs of the rule for a unit. `restart` starts as well, so it goes where `start` goes.
pub(super) fn verbs(unit: &UnitFacts) -> Vec<&'static str> {
    let has_file = !unit.fragment_path.is_empty() && !unit.transient && unit.load_state == "loaded";
    let mut verbs = if has_file { vec!["start", "stop", "restart"] } else { vec!["stop"] };
    if unit.can_reload {
        verbs.push("reload");
    }
    verbs
}

/// The same right as a sudoers line, where polkit knows no rules or is absent.
pub fn sudoers_line(caller: &Caller, unit: &UnitFacts, systemctl: &str) -> String {
    let id = unit.id.as_str();
    if id.starts_with('-') {
        return format!("# systemctl would take {id} for an option, so that no line can allow it\n");
    }
    let verbs = verbs(unit);
    let commands: Vec<String> = verbs.iter().map(|v| format!("{systemctl} {v} {}", sudoers_word(id))).collect();
    format!(
        "# install: sudo visudo -f /etc/sudoers.d/provost, and add this line; then use provost with --sudo\n# {} may {} {id}, and nothing else. Remove the line together with the unit.\n{} ALL=(root) NOPASSWD: {}\n",
        escape(&caller.user),
        verbs.join(", "),
        sudoers_user(caller),
        commands.join(", ")
    )
}

/// The user by name where the name cannot be taken for anything else (a group, an alias, a
/// keyword, two words), and by number where it could.
fn sudoers_user(caller: &Caller) -> String {
    let name = caller.user.as_str();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b);
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    if first && name.bytes().all(plain) { name.to_owned() } else { format!("#{}", caller.uid) }
}

/// A unit's name as an argument in sudoers. What sudoers separates by is escaped once; a
/// backslash twice, for sudoers and for the pattern that sudo takes the argument for.
fn sudoers_word(id: &str) -> String {
    id.chars().fold(String::new(), |mut out, c| {
        match c {
            '\\' => out.push_str("\\\\\\\\"),
            ':' => out.push_str("\\:"),
            c => out.push(c),
        }
        out
    })
}

/// A string literal of JavaScript.
pub(super) fn quote(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_ascii_graphic() || c == ' ' => out.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|u| out.push_str(&format!("\\u{u:04x}"))),
        }
    }
    out.push('"');
    out
}

/// A file name that the shell takes as it is.
pub(super) fn file_name(user: &str, unit: &str) -> String {
    let plain = |s: &str| {
        s.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_@".contains(c) { c } else { '_' }).collect::<String>()
    };
    format!("50-provost-{}-{}.rules", plain(user), plain(unit))
}
