//! The policy and the example rules, checked against what the daemon asks of polkit.

use super::files::POLICY;

const RULES: [&str; 2] =
    [include_str!("../../polkit/provost-group.rules"), include_str!("../../polkit/ollama-operator.rules")];

/// Where the daemon asks polkit.
const ASKS: [&str; 2] = [include_str!("../api/dbus/system/gate.rs"), include_str!("../helper/rights.rs")];

/// Of each action: its details, and the verbs that one of them can be.
fn actions() -> Vec<(String, Vec<String>, Vec<String>)> {
    let mut all = vec![(
        "org.freedesktop.systemd1.manage-units".to_owned(),
        vec!["unit".to_owned(), "verb".to_owned()],
        ["start", "stop", "restart", "reload", "kill"].map(str::to_owned).to_vec(),
    )];
    for part in POLICY.split("<!-- details: ").skip(1) {
        let (comment, rest) = part.split_once("-->").unwrap();
        let id = rest.split("<action id=\"").nth(1).unwrap().split('"').next().unwrap();
        let (mut details, mut verbs) = (Vec::new(), Vec::new());
        let list = comment.split(';').next().unwrap();
        let (names, of_verb) = match list.split_once(" (") {
            Some((names, rest)) => {
                let (inner, after) = rest.split_once(')').unwrap();
                (format!("{names}{after}"), inner.to_owned())
            }
            None => (list.to_owned(), String::new()),
        };
        details.extend(names.split(',').map(|name| name.trim().to_owned()));
        verbs.extend(of_verb.split(',').map(|verb| verb.trim().to_owned()));
        all.push((id.to_owned(), details, verbs));
    }
    all
}

/// What stands between these, each time.
fn between<'t>(text: &'t str, before: &str, after: char) -> Vec<&'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}

#[test]
fn the_daemon_asks_for_what_the_policy_has() {
    let known: Vec<String> = actions().into_iter().map(|action| action.0).skip(1).collect();
    assert_eq!(known.len(), POLICY.matches("<action id=").count());
    let mut asked: Vec<String> = Vec::new();
    for source in ASKS {
        asked.extend(between(source, "\"org.provost.", '"').iter().map(|id| format!("org.provost.{id}")));
    }
    asked.retain(|id| !id.contains("Provost1"));
    asked.sort();
    asked.dedup();
    let mut sorted = known;
    sorted.sort();
    assert_eq!(asked, sorted);
}

#[test]
fn messages_speak_of_details_that_there_are() {
    for (id, details, _) in actions().iter().skip(1) {
        let action = POLICY.split(&format!("<action id=\"{id}\">")).nth(1).unwrap().split("</action>").next().unwrap();
        for name in between(action, "$(", ')') {
            assert!(details.iter().any(|detail| detail == name), "{id}: {name}");
        }
    }
}

#[test]
fn examples_allow_one_verb_of_what_they_name_and_nothing_that_equals_root() {
    let actions = actions();
    for rule in RULES {
        let code: String = rule.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let ids = between(&code, "action.id == \"", '"');
        assert_eq!((ids.len(), code.matches("polkit.Result.").count()), (1, 1), "one answer for one action: {rule}");
        assert!(code.contains("polkit.Result.YES"), "{rule}");
        assert!(!["org.provost.configure", "org.provost.signal-root-process"].contains(&ids[0]), "{rule}");
        let (_, details, verbs) = actions.iter().find(|action| action.0 == ids[0]).unwrap();
        let looked = between(&code, "action.lookup(\"", '"');
        assert!(looked.contains(&"verb") && looked.len() == 2, "what, and what is done with it: {rule}");
        assert!(looked.iter().all(|name| details.iter().any(|detail| detail == name)), "{rule}");
        let verb = between(&code, "action.lookup(\"verb\") == \"", '"');
        assert!(verb.len() == 1 && verbs.iter().any(|known| known == verb[0]), "{rule}");
        assert!(code.contains("subject.user ==") || code.contains("subject.isInGroup("), "{rule}");
        assert!(!code.contains("||"), "all of it must hold: {rule}");
    }
}
