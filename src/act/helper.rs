//! The privileged helper: what the caller may not do alone, the system's daemon does once polkit
//! has said yes.

use super::job::agent;
use super::signal::open;
use super::{ActError, Done, Outcome};
use crate::control::helper::Helper;
use crate::model::{Action, Aim, Ladder, Signal, UnitName};
use crate::observe::{Observer, user_name};
use crate::sys::pidfd::PidFd;
use crate::systemd::CallError;

/// At most so many lines of what was done are shown.
const SHOWN: usize = 8;

/// One signal to each of the processes. All are opened and checked before the first is sent.
pub(super) async fn signal(
    observer: &Observer,
    aims: &[Aim],
    signal: Signal,
    interactive: bool,
) -> Result<Done, ActError> {
    let processes = aims.iter().map(|aim| Ok((aim.identity.pid, open(observer.proc(), aim)?)));
    let processes = processes.collect::<Result<Vec<(u32, PidFd)>, ActError>>()?;
    let work = async |helper: &Helper| {
        let mut sent = Vec::new();
        for (pid, process) in &processes {
            tracing::info!(pid, %signal, interactive, "asking the helper to signal");
            match helper.signal(process, signal, interactive).await.map_err(explain) {
                Ok(()) => sent.push(pid.to_string()),
                Err(ActError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    };
    let sent = ask(observer, interactive, work).await?;
    if sent.is_empty() {
        return Err(ActError::Gone("it has ended meanwhile".to_owned()));
    }
    let state = format!("{signal} sent to {} through provost's helper", sent.join(", "));
    Ok(Done { outcome: Outcome::Signalled, state })
}

/// Ends the trees of the processes, one after the other.
pub(super) async fn end(
    observer: &Observer,
    aims: &[Aim],
    ladder: &Ladder,
    interactive: bool,
) -> Result<Done, ActError> {
    let mut processes = Vec::new();
    for aim in aims {
        match open(observer.proc(), aim) {
            Ok(process) => processes.push((aim.identity.pid, process)),
            Err(ActError::Gone(_)) => {}
            Err(error) => return Err(error),
        }
    }
    if processes.is_empty() {
        return Ok(ended());
    }
    let work = async |helper: &Helper| {
        let mut did: Option<Vec<String>> = None;
        for (pid, process) in &processes {
            tracing::info!(pid, %ladder, interactive, "asking the helper to end a tree");
            match helper.stop_tree(process, ladder, interactive).await.map_err(explain) {
                Ok((true, lines)) => did.get_or_insert_default().extend(lines),
                Ok((false, lines)) => return Err(ActError::Failed(shown(&lines, "it could not be ended"))),
                Err(ActError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(did)
    };
    let Some(did) = ask(observer, interactive, work).await? else { return Ok(ended()) };
    Ok(Done { outcome: Outcome::Stopped, state: format!("{}, through provost's helper", shown(&did, "ended")) })
}

fn ended() -> Done {
    Done { outcome: Outcome::Unchanged, state: "it has ended meanwhile".to_owned() }
}

/// A job of a unit of another user's manager, to its end; or a signal.
pub(super) async fn unit(
    observer: &Observer,
    (uid, unit): (u32, &UnitName),
    action: Action,
    signal: Signal,
    interactive: bool,
) -> Result<Done, ActError> {
    let sent = (action == Action::Kill).then_some(signal);
    tracing::info!(uid, %unit, %action, interactive, "asking the helper to ask a user's manager");
    let work = async |helper: &Helper| helper.user_unit((uid, unit), action, sent, interactive).await.map_err(explain);
    let result = ask(observer, interactive, work).await?;
    let manager = format!("the user manager of {}, asked by provost's helper", user_name(uid));
    let outcome = match action {
        Action::Start => Outcome::Started,
        Action::Stop => Outcome::Stopped,
        Action::Restart => Outcome::Restarted,
        Action::Reload => Outcome::Reloaded,
        Action::Kill => {
            let state = format!("{signal} sent to the main process of {unit} by {manager}");
            return Ok(Done { outcome: Outcome::Signalled, state });
        }
    };
    match result.as_str() {
        "done" | "skipped" => Ok(Done { outcome, state: format!("{unit}, by {manager}") }),
        word => {
            let word = crate::text::clip(word);
            Err(ActError::Failed(format!("{action} of {unit} failed: the job ended as {word}")))
        }
    }
}

/// Asks the helper, while a password can be asked for on the terminal.
async fn ask<T>(
    observer: &Observer,
    interactive: bool,
    work: impl AsyncFnOnce(&Helper) -> Result<T, ActError>,
) -> Result<T, ActError> {
    let helper = observer.bus().helper().await.map_err(ActError::Unreachable)?;
    let agent = agent(observer, interactive).await?;
    let done = work(&helper).await;
    if let Some(agent) = agent {
        agent.end().await;
    }
    done
}

/// What was done, as one line; `nothing` where nothing is said.
fn shown(lines: &[String], nothing: &str) -> String {
    let mut shown: Vec<String> = lines.iter().take(SHOWN).map(|line| crate::text::clip_to(line, 300)).collect();
    if lines.len() > SHOWN {
        shown.push(format!("{} more", lines.len() - SHOWN));
    }
    if shown.is_empty() { nothing.to_owned() } else { shown.join("; ") }
}

/// What an error of the helper means for a person.
fn explain(error: CallError) -> ActError {
    let said = error.to_string();
    match error.short_name() {
        "NotAuthorized" | "AccessDenied" | "AuthCancelled" => {
            ActError::NotPermitted(format!("authentication failed, or polkit said no ({said})"))
        }
        "InteractiveAuthorizationRequired" => {
            ActError::NotPermitted("a password is needed, and nobody could be asked for it here".to_owned())
        }
        "NotPermitted" => ActError::NotPermitted(said),
        "NoSuchProcess" => ActError::Gone(said),
        "NoReply" => ActError::NotPermitted("nobody typed the password in time".to_owned()),
        "Changed" | "LimitsExceeded" | "InvalidArgs" | "Failed" | "NoSuchUnit" => ActError::Failed(said),
        _ if error.is_unreachable() => ActError::Unreachable(format!("provost's helper cannot be reached: {said}")),
        // The bus could not start it.
        _ => ActError::Unreachable(format!("provost's helper: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(name: &str) -> ActError {
        explain(CallError::Remote { name: name.to_owned(), message: "why".to_owned() })
    }

    #[test]
    fn errors_have_their_exit_codes() {
        let code = |error: ActError| crate::Error::Act(error).exit_code();
        for (name, expected) in [
            ("org.provost.Provost1.Error.NotAuthorized", 4),
            ("org.provost.Provost1.Error.AuthCancelled", 4),
            ("org.provost.Provost1.Error.NotPermitted", 4),
            ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", 4),
            ("org.freedesktop.DBus.Error.AccessDenied", 4),
            ("org.freedesktop.DBus.Error.NoReply", 4),
            ("org.provost.Provost1.Error.NoSuchProcess", 5),
            ("org.provost.Provost1.Error.Changed", 1),
            ("org.provost.Provost1.Error.LimitsExceeded", 1),
            ("org.freedesktop.DBus.Error.ServiceUnknown", 8),
            ("org.freedesktop.systemd1.UnitMasked", 8),
            ("org.freedesktop.DBus.Error.Spawn.ChildExited", 8),
        ] {
            assert_eq!(code(remote(name)), expected, "{name}");
        }
        assert_eq!(code(explain(CallError::Lost("gone".to_owned()))), 8);
    }

    #[test]
    fn what_was_done_is_a_line() {
        let lines: Vec<String> = (0..10).map(|i| format!("{i} ended")).collect();
        assert_eq!(shown(&lines[..2], "ended"), "0 ended; 1 ended");
        assert!(shown(&lines, "ended").ends_with("; 7 ended; 2 more"));
        assert_eq!(shown(&[], "ended"), "ended");
    }
}
