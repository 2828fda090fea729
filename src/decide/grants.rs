//! What an administrator would install grants exactly what it says: tests of the printed rules.

use proptest::prelude::*;

use super::samples::{root, unit, watson};
use super::{polkit_rule, sudoers_line};
use crate::model::{Answer, Caller, UnitFacts};

fn caller(user: &str) -> Caller {
    Caller { user: user.to_owned(), ..watson() }
}

/// A unit by this name, with or without a unit file.
fn facts(name: &str, file: bool, can_reload: bool) -> UnitFacts {
    let fragment_path = if file { format!("/etc/systemd/system/{name}") } else { String::new() };
    UnitFacts { fragment_path, can_reload, ..unit(name, "", None, &Answer::Allowed) }
}

fn names() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9:_.\\\\@-]{1,40}\\.(service|socket|scope|mount)"
        .prop_filter("a unit's name", |name| name.parse::<crate::model::UnitName>().is_ok())
}

/// Names that mean something to sudoers, to JavaScript, to a shell or to a terminal.
fn users() -> impl Strategy<Value = String> {
    let hostile = [
        "%wheel",
        "#0",
        "#1000",
        "+netgroup",
        "ALL",
        "ADMINS",
        "!root",
        "root",
        "Defaults",
        "@include /tmp/x",
        "a b",
        "a,b",
        "a=b",
        "a:b",
        "a\\",
        "a\nroot ALL=(ALL) ALL",
        "a\"b",
        "a\" || true || \"",
        "\u{2028}x",
        "\u{2029}",
        "x\u{85}y",
        "*/",
        "`id`",
        "$(id)",
        "'",
        "é",
        "😀",
        "",
        "EXAMPLE\\watson",
        "watson@example.org",
        "1000",
    ];
    prop_oneof![
        2 => proptest::sample::select(hostile.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[a-z_][a-z0-9_.-]{0,20}",
    ]
}

/// The lines that are no comment, as one text.
fn code(text: &str, comment: &str) -> String {
    let lines: Vec<&str> = text.split('\n').filter(|line| !line.starts_with(comment)).collect();
    lines.join("\n")
}

/// The string literals of a piece of JavaScript that has no other use of quotes, decoded: what
/// is written there is also JSON.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find('"') {
        let mut stream = serde_json::Deserializer::from_str(&rest[start..]).into_iter::<String>();
        found.push(stream.next().expect("a literal").expect("a closed literal"));
        rest = &rest[start + stream.byte_offset()..];
    }
    found
}

/// A command of a sudoers line as sudo matches it: sudoers' escapes undone, then those of the
/// pattern; a character of a pattern that is left is a wildcard.
fn as_sudo_reads(command: &str) -> String {
    let undo = |text: &str| {
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            out.push(if c == '\\' { chars.next().expect("no backslash at the end") } else { c });
        }
        out
    };
    assert!(!command.contains(['*', '?', '[', ']', '!']), "{command}");
    undo(&undo(command))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a_polkit_rule_names_exactly_user_unit_and_verbs(
        user in users(), name in names(), file in any::<bool>(), reload in any::<bool>(),
    ) {
        let text = polkit_rule(&caller(&user), &facts(&name, file, reload));
        let breaks = text.contains(['\r', '\u{2028}', '\u{2029}', '\u{85}']);
        prop_assert!(!breaks, "{}", text);
        let code = code(&text, "//");
        let mut verbs = if file { vec!["start", "stop", "restart"] } else { vec!["stop"] };
        verbs.extend(reload.then_some("reload"));
        let mut expected = vec!["org.freedesktop.systemd1.manage-units", "unit", &name];
        expected.extend(verbs);
        expected.extend(["verb", &user]);
        prop_assert_eq!(literals(&code), expected);
        prop_assert_eq!(code.matches("polkit.addRule").count(), 1);
        let ends = code.ends_with("});\n");
        prop_assert!(ends && code.is_ascii(), "{}", code);
    }

    #[test]
    fn a_sudoers_line_grants_to_one_user_one_unit(
        user in users(), name in names(), file in any::<bool>(), reload in any::<bool>(),
    ) {
        let text = sudoers_line(&caller(&user), &facts(&name, file, reload), "/usr/bin/systemctl");
        let breaks = text.contains(['\r', '\u{2028}']) || text.contains("\\\n");
        prop_assert!(!breaks, "{}", text);
        let line = code(&text, "# ");
        if name.starts_with('-') {
            prop_assert_eq!(line, "");
            return Ok(());
        }
        let line = line.strip_suffix('\n').expect("one line");
        prop_assert!(!line.contains('\n'));
        let (who, what) = line.split_once(" ALL=(root) NOPASSWD: ").expect("the form");
        let plain = who.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && who.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c));
        prop_assert!(who == "#1000" || (plain && who == user), "{}", who);
        let mut verbs = if file { vec!["start", "stop", "restart"] } else { vec!["stop"] };
        verbs.extend(reload.then_some("reload"));
        let commands: Vec<String> = what.split(", ").map(as_sudo_reads).collect();
        let expected: Vec<String> = verbs.iter().map(|v| format!("/usr/bin/systemctl {v} {name}")).collect();
        prop_assert_eq!(commands, expected);
    }
}

#[test]
fn a_transient_unit_has_no_start() {
    let transient = UnitFacts { transient: true, ..facts("run-1.service", true, false) };
    let text = polkit_rule(&watson(), &transient);
    assert!(!code(&text, "//").contains("start"), "{text}");
    assert!(text.contains("// start and restart are left out"), "{text}");
}

#[test]
fn the_printed_texts() {
    let unit = facts("ollama.service", true, false);
    assert_eq!(
        polkit_rule(&watson(), &unit),
        "// install: provost inspect unit:ollama.service --polkit-rule | sudo tee /etc/polkit-1/rules.d/50-provost-watson-ollama.service.rules\n\
         // watson may start, stop, restart ollama.service, and nothing else. Remove this file together with the unit.\n\
         polkit.addRule(function(action, subject) {\n\
         \x20   if (action.id == \"org.freedesktop.systemd1.manage-units\" &&\n\
         \x20       action.lookup(\"unit\") == \"ollama.service\" &&\n\
         \x20       [\"start\", \"stop\", \"restart\"].indexOf(action.lookup(\"verb\")) >= 0 &&\n\
         \x20       subject.user == \"watson\") {\n\
         \x20       return polkit.Result.YES;\n\
         \x20   }\n\
         });\n"
    );
    let line = sudoers_line(&root(), &facts("dev-disk-by\\x2duuid.swap", true, false), "/usr/bin/systemctl");
    assert!(line.contains("systemctl stop dev-disk-by\\\\\\\\x2duuid.swap"), "{line}");
}
