//! A unit as its manager tells it, with the manager's answers to what the caller might ask.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Action, Answer, Caller, Manager as Whose, UnitFacts, UnitKind, UnitName};
use crate::systemd::{CallError, Manager, Properties};

/// Reads a unit. `Err` if the manager cannot be asked; a unit that does not exist is one with
/// `load_state` not-found.
pub(crate) async fn read(manager: &Manager, unit: &UnitName) -> Result<UnitFacts, CallError> {
    let all = manager.unit_properties(unit, &OF_KINDS).await?;
    Ok(facts(&all, unit))
}

/// What the manager answered for each action.
pub(super) type Answers = BTreeMap<Action, Answer>;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The properties of the interface of the unit's kind that are needed. All of them together cost
/// the manager more than everything else, because it reads the accounting of the cgroup for them.
const OF_KINDS: [&str; 5] = ["MainPID", "ControlPID", "User", "Restart", "ControlGroup"];

/// The same, and the questions that are nearly always worth asking are under way meanwhile.
pub(crate) async fn read_and_ask(
    manager: &Manager,
    whose: Whose,
    unit: &UnitName,
    actions: &[Action],
    caller: &Caller,
) -> (Result<UnitFacts, CallError>, Answers) {
    let desktop = caller.session.as_ref().is_some_and(|s| s.graphical);
    let early = whose == Whose::System && !desktop && !is_sure(whose, caller);
    let one = |action: Action| async move {
        if !early || !actions.contains(&action) { None } else { Some((action, answer(manager, unit, action).await)) }
    };
    let (facts, stop, restart) = tokio::join!(read(manager, unit), one(Action::Stop), one(Action::Restart));
    (facts, [stop, restart].into_iter().flatten().collect())
}

/// One question. polkit has been seen to stall for 15 s; a verdict is not worth that.
async fn answer(manager: &Manager, unit: &UnitName, action: Action) -> Answer {
    let reply = tokio::time::timeout(PATIENCE, manager.ask(unit, action)).await;
    classify(reply.unwrap_or(Err(CallError::Timeout)))
}

fn facts(all: &Properties, asked: &UnitName) -> UnitFacts {
    let id = all.string("Id").parse().unwrap_or_else(|_| asked.clone());
    UnitFacts {
        description: all.string("Description"),
        load_state: all.string("LoadState"),
        active_state: all.string("ActiveState"),
        sub_state: all.string("SubState"),
        unit_file_state: all.string("UnitFileState"),
        fragment_path: all.string("FragmentPath"),
        transient: all.bool("Transient"),
        main_pid: all.pid("MainPID"),
        control_pid: all.pid("ControlPID"),
        user: all.string("User"),
        restart: all.string("Restart"),
        refuse_manual_start: all.bool("RefuseManualStart"),
        refuse_manual_stop: all.bool("RefuseManualStop"),
        can_start: all.bool("CanStart"),
        can_stop: all.bool("CanStop"),
        can_reload: all.bool("CanReload"),
        triggered_by: all.units("TriggeredBy"),
        active_triggers: Vec::new(),
        triggers: all.units("Triggers"),
        control_group: all.string("ControlGroup"),
        invocation_id: all.hex("InvocationID"),
        active_since: all.time("ActiveEnterTimestamp"),
        job_pending: all.job().is_some(),
        answers: BTreeMap::new(),
        id,
    }
}

/// Which of the triggers are active and so would start the unit again.
pub(crate) async fn active_triggers(manager: &Manager, unit: &UnitFacts) -> Vec<UnitName> {
    let mut active = Vec::new();
    for trigger in &unit.triggered_by {
        if manager.active_state(trigger).await.is_ok_and(|state| state == "active") {
            active.push(trigger.clone());
        }
    }
    active
}

/// Asks, for each of the actions for which there is something to do, whether the caller may.
///
/// All questions are under way at once. Only root and the owner of a user manager get along
/// without polkit, which takes some milliseconds for each.
pub(crate) async fn ask(
    manager: &Manager,
    whose: Whose,
    unit: &UnitFacts,
    actions: &[Action],
    caller: &Caller,
    systemd: Option<&str>,
    known: &Answers,
) -> Answers {
    let prompts = prompts_unasked(whose, caller, systemd);
    let sure = is_sure(whose, caller);
    let one = |action: Action| async move {
        if !worth_asking(unit, action) {
            return None;
        }
        if sure {
            return Some((action, Answer::Allowed));
        }
        if let Some(why) = prompts {
            return Some((action, Answer::WouldPrompt(why.to_owned())));
        }
        if action == Action::Kill && unit.control_pid.is_some() {
            return Some((action, Answer::Unknown("a start, stop or reload command of it runs just now".to_owned())));
        }
        if let Some(answer) = known.get(&action) {
            return Some((action, answer.clone()));
        }
        Some((action, answer(manager, &unit.id, action).await))
    };
    let has = |action| actions.contains(&action);
    let (start, stop, restart, reload, kill) = tokio::join!(
        maybe(has(Action::Start), one(Action::Start)),
        maybe(has(Action::Stop), one(Action::Stop)),
        maybe(has(Action::Restart), one(Action::Restart)),
        maybe(has(Action::Reload), one(Action::Reload)),
        maybe(has(Action::Kill), one(Action::Kill)),
    );
    [start, stop, restart, reload, kill].into_iter().flatten().collect()
}

async fn maybe<T>(wanted: bool, question: impl Future<Output = Option<T>>) -> Option<T> {
    if wanted { question.await } else { None }
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
fn prompts_unasked(whose: Whose, caller: &Caller, systemd: Option<&str>) -> Option<&'static str> {
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
