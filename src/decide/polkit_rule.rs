//! The rule that an administrator can install: exactly this caller, this unit, these verbs.

use crate::model::{Caller, UnitFacts};

/// A polkit rule (JavaScript, polkit 0.106 and later) that allows `caller` to stop and restart
/// the unit, after comment lines with the command that installs it.
///
/// `start` is in it only for a unit with a unit file: without one, the caller could start a
/// transient unit of that name, with any command, as root. So it must go when the unit goes.
pub fn polkit_rule(caller: &Caller, unit: &UnitFacts) -> String {
    let id = unit.id.as_str();
    let verbs = verbs(unit);
    let start = verbs.contains(&"start");
    let file = file_name(&caller.user, id);
    let list: Vec<String> = verbs.iter().map(|v| quote(v)).collect();
    let mut out = String::new();
    out.push_str(&format!(
        "// install: provost inspect unit:{} --polkit-rule | sudo tee /etc/polkit-1/rules.d/{file}\n",
        crate::text::shell_quote(id)
    ));
    out.push_str(&format!(
        "// {} may {} {id}, and nothing else. Remove this file together with the unit.\n",
        crate::text::escape(&caller.user),
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
    // sudoers takes , : = \ and spaces only escaped.
    let escape = |s: &str| {
        s.chars().fold(String::new(), |mut out, c| {
            if ",:=\\ *?[]!".contains(c) {
                out.push('\\');
            }
            out.push(c);
            out
        })
    };
    let id = escape(unit.id.as_str());
    let commands: Vec<String> = verbs(unit).iter().map(|v| format!("{systemctl} {v} {id}")).collect();
    format!(
        "# install: sudo visudo -f /etc/sudoers.d/provost, and add this line; then use provost with --sudo\n{} ALL=(root) NOPASSWD: {}\n",
        escape(&caller.user),
        commands.join(", ")
    )
}

/// A string literal of JavaScript.
fn quote(s: &str) -> String {
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
fn file_name(user: &str, unit: &str) -> String {
    let plain = |s: &str| {
        s.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_@".contains(c) { c } else { '_' }).collect::<String>()
    };
    format!("50-provost-{}-{}.rules", plain(user), plain(unit))
}
