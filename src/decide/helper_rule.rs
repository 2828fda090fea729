//! A rule that lets one caller do one thing through the helper: what an administrator can install.

use super::polkit_rule::{file_name, quote};
use crate::model::{Caller, Explained};
use crate::text::escape;

/// A polkit rule for what the helper said, on the details that it verified: the user and the
/// executable of a process, the user and the name of a unit. `None` where that would be wider than
/// one program or one unit.
///
/// For root's processes there is none: who may end one of them by its program may end it as another
/// process of root's that runs the same.
pub fn helper_rule(caller: &Caller, of: &Explained) -> Option<String> {
    let detail = |name: &str| of.details.get(name).filter(|value| !value.is_empty());
    let user = detail("user")?;
    let (name, conditions, what) = match of.polkit_action.as_str() {
        "org.provost.signal-process" => {
            let exe = detail("exe").filter(|exe| exe.starts_with('/'))?;
            let what = format!("signal and end every process of {} that runs {}", escape(user), escape(exe));
            let base = exe.rsplit('/').next().unwrap_or_default();
            (format!("{user}-{base}"), vec![("user", user), ("exe", exe)], what)
        }
        "org.provost.manage-user-units" => {
            let unit = detail("unit")?;
            let what = format!("control {} of {}", escape(unit), escape(user));
            (format!("{user}-{unit}"), vec![("user", user), ("unit", unit)], what)
        }
        _ => return None,
    };
    let mut out = format!(
        "// install as: /etc/polkit-1/rules.d/{}\n// {} may {what} through provost's helper, and nothing else.\n",
        file_name(&caller.user, &name),
        escape(&caller.user),
    );
    out.push_str(&format!(
        "polkit.addRule(function(action, subject) {{\n    if (action.id == {} &&\n",
        quote(&of.polkit_action)
    ));
    for (name, value) in conditions {
        out.push_str(&format!("        action.lookup({}) == {} &&\n", quote(name), quote(value)));
    }
    out.push_str(&format!(
        "        subject.user == {}) {{\n        return polkit.Result.YES;\n    }}\n}});\n",
        quote(&caller.user)
    ));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::samples::watson;
    use super::*;
    use crate::model::Verdict;

    fn explained(action: &str, details: &[(&str, &str)]) -> Explained {
        Explained {
            verdict: Verdict::NeedsPassword,
            polkit_action: action.to_owned(),
            details: details.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            reason: String::new(),
        }
    }

    #[test]
    fn a_rule_is_for_one_caller_one_user_and_one_program() {
        let of = explained("org.provost.signal-process", &[("user", "mary"), ("exe", "/opt/a \"b"), ("pid", "7")]);
        let rule = helper_rule(&watson(), &of).expect("a rule");
        for line in [
            "action.id == \"org.provost.signal-process\" &&",
            "action.lookup(\"user\") == \"mary\" &&",
            "action.lookup(\"exe\") == \"/opt/a \\\"b\" &&",
            "subject.user == \"watson\") {",
        ] {
            assert!(rule.contains(line), "{line}: {rule}");
        }
        assert!(!rule.contains("pid"), "{rule}");
    }

    #[test]
    fn nothing_wider_than_that_is_offered() {
        let none =
            |action: &str, details: &[(&str, &str)]| helper_rule(&watson(), &explained(action, details)).is_none();
        assert!(none("org.provost.signal-process", &[("user", "mary")]));
        assert!(none("org.provost.signal-process", &[("user", "mary"), ("exe", "")]));
        assert!(none("org.provost.signal-process", &[("exe", "/bin/x")]));
        assert!(none("org.provost.signal-root-process", &[("user", "root"), ("exe", "/bin/x")]));
        assert!(none("org.provost.manage-user-units", &[("user", "mary")]));
        assert!(none("", &[("user", "mary"), ("exe", "/bin/x")]));
    }
}
