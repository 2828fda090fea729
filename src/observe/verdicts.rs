//! What the caller may do with a unit, by the manager's own answers.
//!
//! polkit takes some milliseconds for each answer, one after the other. So the questions are asked
//! as early as it is known that they are worth it, and the rest of the host is read meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::model::{Action, Answer, Caller, Manager as Whose, UnitFacts, UnitKind, UnitName};
use crate::systemd::{CallError, Manager};

/// How long an answer is waited for. polkit 122 stalls for 15 s once in some ten thousand answers,
/// and then gives them all the same; longer than that it does not answer at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Questions under way, each in a task of its own.
#[derive(Debug, Default)]
pub(super) struct Asking(Vec<(Action, Asked)>);

#[derive(Debug)]
enum Asked {
    /// Known without asking.
    Known(Answer),
    /// Asked, and not yet answered.
    UnderWay(JoinHandle<Answer>),
}

/// Who asks whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Between<'a> {
    pub(super) manager: &'a Manager,
    pub(super) whose: Whose,
    pub(super) caller: &'a Caller,
    /// systemd's version, where it was asked.
    pub(super) systemd: Option<&'a str>,
}

impl Asking {
    /// The questions that are worth asking of nearly every unit, before it is read.
    pub(super) fn early(between: Between<'_>, unit: &UnitName, actions: &[Action]) -> Self {
        let mut asking = Self::default();
        let desktop = between.caller.session.as_ref().is_some_and(|s| s.graphical);
        if between.whose == Whose::System && !desktop && !is_sure(between.whose, between.caller) {
            for action in [Action::Stop, Action::Restart].into_iter().filter(|a| actions.contains(a)) {
                asking.ask(between.manager, unit, action);
            }
        }
        asking
    }

    /// The others that are worth asking, now that the unit is known. Comes back before the answers.
    pub(super) async fn complete(&mut self, between: Between<'_>, unit: &UnitFacts, actions: &[Action]) {
        for action in actions.iter().copied().filter(|action| worth_asking(unit, *action)) {
            if self.0.iter().any(|(asked, _)| *asked == action) {
                continue;
            }
            match without_asking(between, unit, action) {
                Some(answer) => self.0.push((action, Asked::Known(answer))),
                None => self.ask(between.manager, &unit.id, action),
            }
        }
        // One turn, so that the questions leave before somebody reads the host.
        tokio::task::yield_now().await;
    }

    fn ask(&mut self, manager: &Manager, unit: &UnitName, action: Action) {
        let (manager, unit) = (manager.clone(), unit.clone());
        let question = async move {
            let reply = tokio::time::timeout(PATIENCE, manager.ask(&unit, action)).await;
            classify(reply.unwrap_or(Err(CallError::Timeout)))
        };
        self.0.push((action, Asked::UnderWay(tokio::spawn(question))));
    }

    /// The answers, of those questions that turned out to be worth asking.
    pub(super) async fn answers(self, unit: &UnitFacts) -> BTreeMap<Action, Answer> {
        let mut answers = BTreeMap::new();
        for (action, asked) in self.0.into_iter().filter(|(action, _)| worth_asking(unit, *action)) {
            let answer = match asked {
                Asked::Known(answer) => answer,
                Asked::UnderWay(task) => task.await.unwrap_or_else(|e| Answer::Unknown(e.to_string())),
            };
            answers.insert(action, answer);
        }
        answers
    }
}

/// An answer that needs no question, or that no question may be asked for.
fn without_asking(between: Between<'_>, unit: &UnitFacts, action: Action) -> Option<Answer> {
    if is_sure(between.whose, between.caller) {
        return Some(Answer::Allowed);
    }
    if let Some(why) = prompts_unasked(between) {
        return Some(Answer::WouldPrompt(why.to_owned()));
    }
    // The question is a signal to the control process, which must not be there.
    let busy = "a start, stop or reload command of it runs just now";
    (action == Action::Kill && unit.control_pid.is_some()).then(|| Answer::Unknown(busy.to_owned()))
}

/// Whether there is something to do, so that the answer matters.
fn worth_asking(unit: &UnitFacts, action: Action) -> bool {
    if unit.id.is_template() || unit.id.kind() == UnitKind::Slice {
        return false;
    }
    let loaded = unit.load_state == "loaded";
    match action {
        Action::Start => loaded && unit.active_state != "active",
        Action::Stop => unit.is_active(),
        Action::Restart => loaded,
        Action::Reload => unit.is_active() && unit.can_reload,
        Action::Kill => unit.is_active() && !unit.control_group.is_empty(),
    }
}

/// A manager lets root and its own user do everything without asking polkit
/// (`sd_bus_query_sender_privilege`); only SELinux can still say no.
fn is_sure(whose: Whose, caller: &Caller) -> bool {
    let own = match whose {
        Whose::System => caller.is_root(),
        Whose::User(uid) => caller.uid == uid || caller.is_root(),
    };
    own && !std::path::Path::new("/sys/fs/selinux/enforce").exists()
}

/// systemd 252 lets polkit ask for the password even where the caller did not allow it; the
/// question would then pop up on the desktop. The versions between were not tried.
fn prompts_unasked(between: Between<'_>) -> Option<&'static str> {
    let Between { whose, caller, systemd, .. } = between;
    let old = || systemd.and_then(major).is_none_or(|version| version < 257);
    let desktop = caller.session.as_ref().is_some_and(|s| s.graphical);
    (whose == Whose::System && !caller.is_root() && desktop && old())
        .then_some("this version of systemd would open a password prompt on the desktop")
}

/// The first number of a version, as 252 of "252.39-1~deb12u1".
fn major(version: &str) -> Option<u32> {
    let digits: String = version.trim_start_matches('v').chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// What the manager's answer to [`Manager::ask`] means. Seen on 252 and 257, where they agree.
fn classify(reply: Result<(), CallError>) -> Answer {
    let error = match reply {
        Ok(()) => return Answer::Allowed,
        Err(error) => error,
    };
    let message = error.to_string();
    // Activating a masked polkit fails with an error that names polkit, not the unit.
    if error.short_name() == "UnitMasked" || message.contains("polkit.service") {
        return Answer::Denied(format!("polkit, which could allow it, is not there ({message})"));
    }
    match error.short_name() {
        // The refusals that come after authorisation.
        "InvalidArgs" | "NoSuchProcess" | "NotSupported" => Answer::Allowed,
        "AccessDenied" => Answer::Denied(message),
        "InteractiveAuthorizationRequired" => Answer::NeedsPassword,
        "OnlyByDependency" | "NoSuchUnit" | "JobTypeNotApplicable" => Answer::Refused(message),
        _ => Answer::Unknown(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(name: &str, message: &str) -> Result<(), CallError> {
        Err(CallError::Remote { name: name.to_owned(), message: message.to_owned() })
    }

    #[test]
    fn answers_as_seen_on_252_and_257() {
        let dbus = "org.freedesktop.DBus.Error";
        let sd1 = "org.freedesktop.systemd1";
        assert_eq!(
            classify(remote(&format!("{dbus}.InvalidArgs"), "Isolate is only valid for start.")),
            Answer::Allowed
        );
        assert_eq!(classify(remote(&format!("{sd1}.NoSuchProcess"), "No control process to kill")), Answer::Allowed);
        assert!(matches!(classify(remote(&format!("{dbus}.AccessDenied"), "Permission denied")), Answer::Denied(_)));
        assert_eq!(
            classify(remote(
                &format!("{dbus}.InteractiveAuthorizationRequired"),
                "Interactive authentication required."
            )),
            Answer::NeedsPassword
        );
        assert!(matches!(
            classify(remote(&format!("{sd1}.UnitMasked"), "Unit polkit.service is masked.")),
            Answer::Denied(_)
        ));
        assert!(matches!(classify(remote(&format!("{sd1}.OnlyByDependency"), "refused")), Answer::Refused(_)));
        assert!(matches!(classify(Err(CallError::Timeout)), Answer::Unknown(_)));
    }

    #[test]
    fn versions_read() {
        assert_eq!(major("252.39-1~deb12u1"), Some(252));
        assert_eq!(major("v257.13"), Some(257));
        assert_eq!(major("UNKNOWN"), None);
    }
}
