//! What another description of services comes to. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::written;
use crate::model::ServiceId;
use crate::model::service::{LogSpec, ServiceSpec, Span};

/// What becomes of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub(crate) enum Change {
    /// It is new.
    Added {
        /// Whether it is started at once.
        starts: bool,
    },
    /// It is no longer described: it is stopped and forgotten.
    Removed,
    /// It is started anew, because of these keys.
    Restarted {
        /// The keys that what runs cannot take over.
        keys: Vec<String>,
    },
    /// It runs on, or does not run.
    Changed {
        /// The keys that changed.
        keys: Vec<String>,
    },
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Added { starts: true } => f.write_str("added and started"),
            Self::Added { starts: false } => f.write_str("added"),
            Self::Removed => f.write_str("stopped and removed"),
            Self::Restarted { keys } => write!(f, "restarted because of {}", keys.join(", ")),
            Self::Changed { keys } => write!(f, "changed without a restart: {}", keys.join(", ")),
        }
    }
}

/// One that is known.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// How it is described.
    pub(crate) spec: ServiceSpec,
    /// What its config said of `enabled`, where somebody said otherwise since.
    pub(crate) enabled_in_config: Option<bool>,
    /// Whether anything of it runs.
    pub(crate) alive: bool,
    /// Whether it is to run.
    pub(crate) wanted: bool,
}

/// What these new descriptions of a project come to; what stays as it is, is left out.
pub(crate) fn changes(known: &BTreeMap<ServiceId, Known>, new: &[ServiceSpec]) -> BTreeMap<ServiceId, Change> {
    let runs = known.values().any(|known| known.wanted);
    let mut all: BTreeMap<ServiceId, Change> = known.keys().map(|id| (id.clone(), Change::Removed)).collect();
    for spec in new {
        all.remove(&spec.id);
        let Some(old) = known.get(&spec.id) else {
            all.insert(spec.id.clone(), Change::Added { starts: runs && spec.enabled });
            continue;
        };
        let mut spec = spec.clone();
        if old.enabled_in_config == Some(spec.enabled) {
            spec.enabled = old.spec.enabled;
        }
        if spec == old.spec {
            continue;
        }
        let change = match old.alive && needs_restart(&old.spec, &spec) {
            true => Change::Restarted { keys: keys(&old.spec, &runs_on(&old.spec, &spec)) },
            false => Change::Changed { keys: keys(&old.spec, &spec) },
        };
        all.insert(spec.id, change);
    }
    all
}

/// The keys that differ, as the config has them.
fn keys(old: &ServiceSpec, new: &ServiceSpec) -> Vec<String> {
    let (old, new) = (written(old), written(new));
    let all: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = all.into_iter().filter(|key| old.get(*key) != new.get(*key));
    changed.cloned().collect()
}

/// Whether what runs by the old description is not what the new one describes.
pub(crate) fn needs_restart(old: &ServiceSpec, new: &ServiceSpec) -> bool {
    runs_on(old, new) != *old
}

/// The new description, but where what runs by the old one needs no restart for it: as the old one.
fn runs_on(old: &ServiceSpec, new: &ServiceSpec) -> ServiceSpec {
    ServiceSpec {
        project: old.project.clone(),
        name: old.name.clone(),
        kind: old.kind.clone(),
        restart: old.restart.clone(),
        stop: old.stop.clone(),
        reload: old.reload.clone(),
        config_check: old.config_check.clone(),
        reload_on: old.reload_on.clone(),
        watch: old.watch.clone(),
        on: old.on.clone(),
        ready: old.ready.clone(),
        health: match beats(old) == beats(new) {
            true => old.health.clone(),
            false => new.health.clone(),
        },
        after: old.after.clone(),
        enabled: old.enabled,
        meta: old.meta.clone(),
        backend: old.backend,
        // The files go on; how they are kept holds from now on.
        log: LogSpec { file: new.log.file, path: new.log.path.clone(), ..old.log.clone() },
        ..new.clone()
    }
}

/// How often it is to say that it lives, which it was told when it started.
fn beats(spec: &ServiceSpec) -> Option<Span> {
    spec.health.as_ref()?.heartbeat.as_ref().map(|beat| beat.timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, parse};
    use std::path::Path;

    fn specs(text: &str) -> Vec<ServiceSpec> {
        let path = Path::new("/p/provost.toml");
        parse(path, path, text, &LoadOptions::default()).unwrap().services
    }

    #[test]
    fn only_what_needs_it_is_restarted() {
        let old = "[service.a]\ncommand = 'a'\nenv = { A = '1' }\n[service.b]\ncommand = 'b'\n[service.c]\n\
                   command = 'c'\n[service.d]\ncommand = 'd'\n[service.e]\ncommand = 'e'\n";
        let known = |spec: ServiceSpec| {
            let alive = spec.id.as_str() != "d";
            (spec.id.clone(), Known { spec, enabled_in_config: None, alive, wanted: alive })
        };
        let known: BTreeMap<ServiceId, Known> = specs(old).into_iter().map(known).collect();
        let new = "[service.a]\ncommand = 'a -v'\nenv = { A = '2' }\nmeta = { x = 1 }\n[service.b]\ncommand = 'b'\n\
                   meta = { x = 1 }\nhealth = { tcp = 'x:1' }\non = { failed = 'x' }\n[service.d]\ncommand = 'dd'\n\
                   [service.e]\ncommand = 'e'\n[service.f]\ncommand = 'f'\n[service.g]\ncommand = 'g'\nenabled = false\n";
        let said: Vec<String> =
            changes(&known, &specs(new)).iter().map(|(id, change)| format!("{id}: {change}")).collect();
        assert_eq!(
            said,
            [
                "a: restarted because of command, env",
                "b: changed without a restart: health, meta, on",
                "c: stopped and removed",
                "d: changed without a restart: command",
                "f: added and started",
                "g: added",
            ]
        );
    }
}
