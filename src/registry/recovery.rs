//! What becomes of each record when a daemon starts; pure. One line says why.

use std::time::{Duration, SystemTime};

use super::Record;
use crate::backend::{Adoption, Marked};
use crate::model::service::{BackendKind, Desired, Exit, RestartPolicy, ServiceSpec, ServiceState};

/// How long the record of a command that failed is kept for whoever asks what became of it.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It runs, and is watched from now on.
    Adopt,
    /// It runs and is not meant to: it is watched, and its stop goes on.
    AdoptAndStop,
    /// It is started again, like after any end: at once or after its delay. The exit counts as one
    /// of a run; `None` if it had not run.
    Restart(Option<Exit>),
    /// A new boot: it is started because it is enabled, whatever it was before.
    StartBecauseEnabled,
    /// It stays as it is, failed or stopped. The exit is that of a run that ended meanwhile.
    LeaveStopped(Option<Exit>),
    /// It is neither watched nor started: it is not supervised, or nothing is known of it.
    LeaveAlone,
    /// Its record is removed.
    Drop,
}

/// Whether the backend is to be asked about it: something of it may exist in this boot.
pub(crate) fn may_run(record: &Record, boot_id: &str) -> bool {
    // A unit stays in the record after its end was told, and its end must not be told again.
    let placed = record.identity.is_some();
    // Without a backend it was never executed: it waited for its turn.
    let executed = record.backend.is_some() && (record.state.is_alive() || placed);
    record.instance.is_some() && record.boot_id == boot_id && executed
}

/// The record of a service whose own is damaged, from what carries its mark and its description.
/// It runs, so it was meant to.
pub(crate) fn rebuilt(spec: ServiceSpec, marked: &Marked, instance: &str, boot_id: &str, uid: u32) -> Record {
    Record {
        instance: Some(instance.to_owned()),
        rebuilt: true,
        desired: Desired::Up,
        state: ServiceState::Running,
        backend: Some(if marked.unit.is_some() { BackendKind::Systemd } else { BackendKind::Direct }),
        boot_id: boot_id.to_owned(),
        // What it started itself is younger.
        identity: marked.processes.iter().min_by_key(|identity| (identity.start_ticks, identity.pid)).copied(),
        unit: marked.unit.clone(),
        last_error: Some("its record was damaged, and made anew from what runs".to_owned()),
        ..Record::new(spec, uid)
    }
}

/// Decides, and says why in one line. `found` is what the backend answered; `None` if it was not
/// asked (see [`may_run`]), or could not be.
pub(crate) fn decide(record: &Record, found: Option<&Adoption>, boot_id: &str, now: SystemTime) -> (Decision, String) {
    let (decision, reason) = match found {
        Some(Adoption::Running(placed)) => running(record, placed.identity.map(|identity| identity.pid)),
        Some(Adoption::Ended(exit)) => ended(record, *exit),
        Some(Adoption::NeverStarted) => never_started(record),
        Some(Adoption::StoppedByOthers) => gone(record, None, "somebody else stopped it meanwhile"),
        None => unasked(record, boot_id, now),
    };
    (decision, format!("{}: {reason}", record.id))
}

fn running(record: &Record, pid: Option<u32>) -> (Decision, String) {
    let pid = pid.map(|pid| format!(" as pid {pid}")).unwrap_or_default();
    match record.desired {
        Desired::Up => (Decision::Adopt, format!("it runs{pid}, and is taken over")),
        Desired::Down => (Decision::AdoptAndStop, format!("it runs{pid} and was asked to stop: its stop goes on")),
    }
}

/// It ended while nobody watched.
fn ended(record: &Record, exit: Exit) -> (Decision, String) {
    let how = format!("it ended meanwhile ({exit})");
    if record.desired == Desired::Down {
        return gone(record, Some(exit), &format!("{how}, as it was asked to"));
    }
    match is_wanted_after(record, exit) {
        true => (Decision::Restart(Some(exit)), format!("{how}, and is started again")),
        false => {
            let policy = match record.spec.restart.policy {
                RestartPolicy::Never => "never",
                RestartPolicy::OnFailure => "on-failure",
                RestartPolicy::Always => "always",
            };
            let how = format!("{how}, and its restart policy is {policy}");
            // Who asks for the end of a command that failed is still to be told.
            if exit.is_success() { gone(record, Some(exit), &how) } else { (Decision::LeaveStopped(Some(exit)), how) }
        }
    }
}

fn is_wanted_after(record: &Record, exit: Exit) -> bool {
    match record.spec.restart.policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => !exit.is_success(),
        RestartPolicy::Never => false,
    }
}

fn never_started(record: &Record) -> (Decision, String) {
    match record.desired {
        Desired::Up => (Decision::Restart(None), "its start was begun and not carried out: it is started".to_owned()),
        Desired::Down => gone(record, None, "its start was begun, not carried out, and is not wanted any more"),
    }
}

/// It does not run and is not to: the record of an ad hoc command goes.
fn gone(record: &Record, exit: Option<Exit>, why: &str) -> (Decision, String) {
    if is_ad_hoc(record) {
        (Decision::Drop, format!("{why}; it was started by a command, and is forgotten"))
    } else {
        (Decision::LeaveStopped(exit), format!("{why}; it stays stopped"))
    }
}

/// It is in no config: `run` started it.
fn is_ad_hoc(record: &Record) -> bool {
    record.spec.project.is_none()
}

fn unasked(record: &Record, boot_id: &str, now: SystemTime) -> (Decision, String) {
    let other_boot = !record.boot_id.is_empty() && record.boot_id != boot_id;
    if record.instance.is_none() {
        return match other_boot {
            true => (Decision::Drop, "it was not supervised, and its boot has ended".to_owned()),
            false => (Decision::LeaveAlone, "it was started without supervision, and is left alone".to_owned()),
        };
    }
    if other_boot {
        return new_boot(record);
    }
    if may_run(record, boot_id) && record.state.is_alive() {
        return (Decision::LeaveAlone, "whether it runs cannot be told now; nothing is started twice".to_owned());
    }
    match (record.desired, record.state) {
        (Desired::Up, ServiceState::Restarting) => {
            (Decision::Restart(None), "it waited for its next start: it is started".to_owned())
        }
        (Desired::Up, ServiceState::Failed) if is_ad_hoc(record) && is_old(record, now) => {
            (Decision::Drop, "it failed more than a day ago; it was started by a command, and is forgotten".to_owned())
        }
        (Desired::Up, ServiceState::Done) => (Decision::LeaveStopped(None), "it has run once, and is done".to_owned()),
        (Desired::Up, ServiceState::Failed) => (Decision::LeaveStopped(None), "it stays failed".to_owned()),
        (Desired::Up, _) => match record.last_exit.filter(|exit| !is_wanted_after(record, *exit)) {
            Some(exit) => gone(record, None, &format!("it had ended ({exit}) and is done")),
            None => (Decision::Restart(None), "it was to be started, and is".to_owned()),
        },
        // It has never been in a boot, so that nobody can have stopped it in this one.
        (Desired::Down, _) if record.boot_id.is_empty() && record.spec.enabled && !is_ad_hoc(record) => {
            (Decision::StartBecauseEnabled, "it is enabled, and has never run: it is started".to_owned())
        }
        (Desired::Down, _) => gone(record, None, "it was stopped"),
    }
}

fn new_boot(record: &Record) -> (Decision, String) {
    if is_ad_hoc(record) {
        return (Decision::Drop, "its boot has ended; it was started by a command, and is forgotten".to_owned());
    }
    if record.spec.enabled {
        (Decision::StartBecauseEnabled, "a new boot, and it is enabled: it is started".to_owned())
    } else {
        (Decision::LeaveStopped(None), "a new boot, and it is not enabled: it stays stopped".to_owned())
    }
}

fn is_old(record: &Record, now: SystemTime) -> bool {
    let at = record.stopped_at.as_deref().or(record.updated_at.as_deref());
    let at = at.and_then(|at| humantime::parse_rfc3339_weak(at).ok());
    // A clock that was set back makes nothing old.
    at.is_some_and(|at| now.duration_since(at).is_ok_and(|age| age > KEPT))
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
