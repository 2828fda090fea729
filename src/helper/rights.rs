//! Which polkit action decides about what, with which details; and polkit asked about it.

use super::target::Target;
use super::{Helper, HelperError};
use crate::model::UnitName;
use crate::observe::cgroup::Place;
use crate::polkit::Answer;
use crate::systemd::CallError;

/// For a process of another user.
pub(super) const SIGNAL: &str = "org.provost.signal-process";
/// For one that has root's rights in any way, or those of two users.
pub(super) const SIGNAL_ROOT: &str = "org.provost.signal-root-process";
/// For a unit of another user's manager.
pub(super) const USER_UNITS: &str = "org.provost.manage-user-units";

/// What polkit is asked: an action, and what the rules of the administrator can look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) action: &'static str,
    pub(super) details: Vec<(&'static str, String)>,
    /// In words, after "you may not".
    pub(super) what: String,
    /// polkit needs not be asked: it is the caller's own, in a tree.
    pub(super) own: bool,
}

impl Helper {
    /// About a signal to a process, or several that follow each other (`SIGTERM, SIGKILL`).
    pub(super) fn question(&self, target: &Target, signals: &str) -> Question {
        let seen = &target.seen;
        let (unit, user_unit) = units(&self.place(seen.cgroup.as_deref()));
        let user = self.name_of(seen.shown_uid());
        let what = format!("send {signals} to process {} ({}) of {user}", seen.pid, crate::text::clip(&target.comm));
        let details = vec![
            ("pid", seen.pid.to_string()),
            ("user", user),
            ("exe", seen.exe.as_deref().map(plain).unwrap_or_default()),
            ("command", plain(&target.comm)),
            ("unit", unit),
            ("user_unit", user_unit),
            ("signal", signals.to_owned()),
        ];
        // A rule about one user's processes is not to reach what is another's too.
        let action = if seen.is_roots() || !seen.is_of_one() { SIGNAL_ROOT } else { SIGNAL };
        Question { action, details, what, own: false }
    }

    /// About a verb for a unit of a user's manager.
    pub(super) fn unit_question(&self, uid: u32, unit: &UnitName, verb: &str, signal: &str) -> Question {
        let user = self.name_of(uid);
        let what = format!("{verb} {unit} of {user}");
        let details = vec![
            ("user", user),
            ("uid", uid.to_string()),
            ("unit", unit.to_string()),
            ("verb", verb.to_owned()),
            ("signal", signal.to_owned()),
        ];
        Question { action: USER_UNITS, details, what, own: false }
    }

    /// What polkit says, with a password asked for if `interactive`.
    pub(super) async fn ask(&self, question: &Question, interactive: bool) -> Result<Answer, CallError> {
        if question.own || self.uid == 0 {
            return Ok(Answer::Allowed);
        }
        self.authority.check(&self.sender, question.action, &question.details, interactive).await
    }

    /// Whether the caller may, with a password if the call lets one be asked for.
    ///
    /// # Errors
    /// They may not, or nobody says so, which is the same.
    pub(super) async fn authorise(&self, question: &Question) -> Result<(), HelperError> {
        let answer = self.ask(question, self.interactive).await;
        self.judge(question, answer)
    }

    /// What an answer means.
    pub(super) fn judge(&self, question: &Question, answer: Result<Answer, CallError>) -> Result<(), HelperError> {
        let (what, action) = (&question.what, question.action);
        match answer {
            Ok(Answer::Allowed) => {
                tracing::info!("{} may {what} ({action})", self.who());
                return Ok(());
            }
            Ok(Answer::NeedsPassword) => {
                let asked = match self.interactive {
                    true => "nobody was there who could have been asked for it",
                    false => "the call allows no question",
                };
                return Err(HelperError::NeedsPassword(format!(
                    "a password is needed to {what} ({action}), and {asked}"
                )));
            }
            Ok(Answer::Denied) => {
                tracing::info!("{} may not {what} ({action})", self.who());
            }
            Err(error) => {
                tracing::warn!("{} wants to {what}, and polkit does not allow it: {error}", self.who());
                return Err(HelperError::unanswered(&error));
            }
        }
        Err(HelperError::NotAuthorized(format!("you may not {what}: polkit denies it ({action})")))
    }
}

/// The unit of the system and that of a user's manager that a process is in. A user may name its own
/// units as it likes, so rules must be able to tell the two apart.
pub(super) fn units(place: &Place) -> (String, String) {
    let name = |unit: &UnitName| unit.to_string();
    match place {
        Place::SystemUnit { unit, .. } | Place::Session { scope: unit, .. } => (name(unit), String::new()),
        Place::UserUnit { uid, unit, .. } => (format!("user@{uid}.service"), name(unit)),
        Place::Container { unit, manager, .. } => match manager {
            crate::model::Manager::System => (unit.as_ref().map(name).unwrap_or_default(), String::new()),
            crate::model::Manager::User(uid) => {
                (format!("user@{uid}.service"), unit.as_ref().map(name).unwrap_or_default())
            }
        },
        Place::Root | Place::Foreign => (String::new(), String::new()),
    }
}

/// A text that a process or a user has chosen, for rules and for a prompt: as it is, unless it holds
/// what a terminal would obey; a text that was changed is equal to no path.
pub(super) fn plain(text: &str) -> String {
    match text.chars().all(crate::text::is_visible) && text.chars().count() <= 400 {
        true => text.to_owned(),
        false => format!("?{}", crate::text::clip_to(text, 200)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_moves_no_cursor() {
        assert_eq!(plain("/usr/bin/ollama"), "/usr/bin/ollama");
        for wrong in ["/usr/bin/ollama\u{1b}[2J", "a\nb", "\u{202e}x", &"x".repeat(5000)] {
            let shown = plain(wrong);
            assert!(shown.starts_with('?') && shown.chars().all(crate::text::is_visible), "{shown}");
            assert!(shown.len() < 1000);
        }
    }

    #[test]
    fn a_users_unit_is_not_the_systems_of_that_name() {
        let unit: UnitName = "ollama.service".parse().unwrap();
        let system = units(&Place::SystemUnit { unit: unit.clone(), subgroup: None });
        let users = units(&Place::UserUnit { uid: 1001, unit, subgroup: None });
        assert_eq!(system, ("ollama.service".to_owned(), String::new()));
        assert_eq!(users, ("user@1001.service".to_owned(), "ollama.service".to_owned()));
    }
}
