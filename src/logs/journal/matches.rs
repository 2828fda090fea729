//! Which entries are asked for: the matches of journalctl(1). Those of one field are alternatives, those
//! of several must all be so, and `+` stands between alternatives.

use super::{Query, Source};
use crate::model::Manager;

pub(super) fn of(source: &Source, query: &Query) -> Vec<String> {
    let unit = &source.unit;
    let (of_unit, of_manager, of_journald, uid) = match source.manager {
        Manager::System => ("_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT", None),
        Manager::User(uid) => {
            ("_SYSTEMD_USER_UNIT", "USER_UNIT", "OBJECT_SYSTEMD_USER_UNIT", Some(format!("_UID={uid}")))
        }
    };
    let invocation = |field: &str| query.invocation.as_ref().map(|id| format!("{field}={id}"));
    let mut groups: Vec<Vec<String>> = Vec::new();

    // What its processes write; a service may switch its user, and stays in its unit.
    let owner = match source.manager {
        Manager::System => None,
        Manager::User(uid) => Some(format!("_SYSTEMD_OWNER_UID={uid}")),
    };
    let mut own = vec![format!("{of_unit}={unit}")];
    own.extend(owner);
    own.extend(invocation("_SYSTEMD_INVOCATION_ID"));
    own.extend(priorities(query));
    groups.push(own);

    // What they wrote just before they ended: the journal did not find out of which unit they were.
    if let Some(id) = source.service.as_ref().filter(|_| query.invocation.is_none()) {
        let mut lost = vec![format!("SYSLOG_IDENTIFIER={id}"), "_TRANSPORT=stdout".to_owned()];
        lost.extend(uid.clone());
        lost.extend(priorities(query));
        groups.push(lost);
    }
    // What the manager says of it.
    if query.notes && !query.stderr {
        let manager = match source.manager {
            Manager::System => Some("_PID=1".to_owned()),
            Manager::User(_) => uid,
        };
        let mut said = vec![format!("{of_manager}={unit}")];
        said.extend(manager);
        said.extend(invocation(if source.manager == Manager::System { "INVOCATION_ID" } else { "USER_INVOCATION_ID" }));
        groups.push(said);
    }
    // What journald says of it: that it dropped lines.
    groups.push(vec![format!("{of_journald}={unit}"), "_UID=0".to_owned(), format!("MESSAGE_ID={DROPPED}")]);
    groups.join(&"+".to_owned())
}

/// SD_MESSAGE_JOURNAL_DROPPED of sd-messages.h: "Suppressed 12 messages from x.service".
const DROPPED: &str = "a596d6fe7bfa4994828e72309e95d61e";

fn priorities(query: &Query) -> impl Iterator<Item = String> {
    (0..=3).filter(|_| query.stderr).map(|priority| format!("PRIORITY={priority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_matches() {
        let source = Source { manager: Manager::System, unit: "a.service".parse().unwrap(), service: None };
        let matches = of(&source, &Query { invocation: Some("ab".to_owned()), notes: true, ..Query::default() });
        let expected = "_SYSTEMD_UNIT=a.service _SYSTEMD_INVOCATION_ID=ab + UNIT=a.service _PID=1 INVOCATION_ID=ab + \
                        OBJECT_SYSTEMD_UNIT=a.service _UID=0 MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e";
        assert_eq!(matches.join(" "), expected);
        let source = Source {
            manager: Manager::User(7),
            unit: "provost-a.service".parse().unwrap(),
            service: Some("a".parse().unwrap()),
        };
        let matches = of(&source, &Query { stderr: true, notes: true, ..Query::default() }).join(" ");
        let errors = "PRIORITY=0 PRIORITY=1 PRIORITY=2 PRIORITY=3";
        let own = format!("_SYSTEMD_USER_UNIT=provost-a.service _SYSTEMD_OWNER_UID=7 {errors} + ");
        let lost = format!("SYSLOG_IDENTIFIER=a _TRANSPORT=stdout _UID=7 {errors} + OBJECT_");
        assert!(matches.starts_with(&format!("{own}{lost}")), "{matches}");
    }
}
