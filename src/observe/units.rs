//! A unit as its manager tells it.

use std::collections::BTreeMap;

use crate::model::{UnitFacts, UnitName};
use crate::systemd::{CallError, Manager, Properties};

/// Reads a unit. `Err` if the manager cannot be asked; a unit that does not exist is one with
/// `load_state` not-found.
pub(crate) async fn read(manager: &Manager, unit: &UnitName) -> Result<UnitFacts, CallError> {
    let all = manager.unit_properties(unit, &OF_KINDS).await?;
    Ok(facts(&all, unit))
}

/// The properties of the interface of the unit's kind that are needed. All of them together cost
/// the manager more than everything else, because it reads the accounting of the cgroup for them.
const OF_KINDS: [&str; 5] = ["MainPID", "ControlPID", "User", "Restart", "ControlGroup"];

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

/// More than this many triggers no real unit has; a list of a hostile manager could be any length.
const MOST_TRIGGERS: usize = 32;

/// Which of the triggers are active and so would start the unit again.
pub(crate) async fn active_triggers(manager: &Manager, unit: &UnitFacts) -> Vec<UnitName> {
    let mut active = Vec::new();
    for trigger in unit.triggered_by.iter().take(MOST_TRIGGERS) {
        if manager.active_state(trigger).await.is_ok_and(|state| state == "active") {
            active.push(trigger.clone());
        }
    }
    active
}
