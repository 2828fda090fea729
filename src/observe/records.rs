//! What `ensure` started without supervision, from its records: which of it still runs.

use super::observer::Observer;
use crate::model::ServiceId;
pub(super) use crate::registry::Record;
use crate::registry::Store;

/// The records whose id matches and whose process still runs.
pub(super) fn matching(observer: &Observer, id: &ServiceId) -> Vec<Record> {
    let mut all = running(observer);
    all.retain(|record| if id.is_glob() { glob(id.as_str(), record.id.as_str()) } else { record.id == *id });
    all
}

/// All that still run.
pub(super) fn running(observer: &Observer) -> Vec<Record> {
    let Some(store) = Store::of(observer.caller().uid) else { return Vec::new() };
    let mut all = store.all();
    all.retain(|record| record.instance.is_none() && is_running(observer, record));
    all
}

/// The record of a process, if provost started it.
pub(super) fn of_process(records: &[Record], identity: &crate::model::Identity) -> Option<Record> {
    records.iter().find(|r| r.identity.is_some_and(|own| own.is(identity))).cloned()
}

/// Whether the process of a record still runs.
pub(crate) fn is_running(observer: &Observer, record: &Record) -> bool {
    let Some(identity) = record.identity.filter(|_| record.boot_id == observer.host().boot_id) else { return false };
    observer
        .proc()
        .process(identity.pid)
        .is_ok_and(|p| p.identity.start_ticks == identity.start_ticks && p.state != crate::model::ProcState::Zombie)
}

/// Shell patterns over ids: `*`, `?`. (Sets in brackets are taken for `?`: ids are short.)
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    fn matches(p: &[u8], t: &[u8]) -> bool {
        match (p.split_first(), t.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=t.len()).any(|i| matches(rest, &t[i..])),
            (Some((b'?', p)), Some((_, t))) => matches(p, t),
            (Some((a, p)), Some((b, t))) => a == b && matches(p, t),
            _ => false,
        }
    }
    matches(pattern.as_bytes(), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs() {
        assert!(glob("llm-*", "llm-1") && glob("?", "a") && glob("*", "") && !glob("a?", "a") && !glob("b*", "a"));
    }
}
