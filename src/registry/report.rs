//! What `provost registry` prints: the shape that registries of model servers have, where every
//! key of `meta` stands beside the core ones and never replaces one.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::model::ServiceId;
use crate::model::service::ServiceReport;

/// The document of `provost registry -o json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Registry {
    /// By service id: pid, port, started_at, command_line, status, and all of meta.
    pub(crate) processes: BTreeMap<ServiceId, Map<String, Value>>,
}

/// Of what the daemon says, or of what the records say where none does.
pub(crate) fn registry(reports: &[ServiceReport]) -> Registry {
    let one = |report: &ServiceReport| {
        let core = json!({
            "pid": report.pid,
            "port": report.port,
            "started_at": report.started_at,
            "command_line": report.command_line,
            "status": report.state,
        });
        (report.id.clone(), with_meta(core, &report.meta))
    };
    Registry { processes: reports.iter().map(one).collect() }
}

fn with_meta(core: Value, meta: &Map<String, Value>) -> Map<String, Value> {
    let Value::Object(mut all) = core else { return Map::new() };
    for (key, value) in meta {
        if !all.contains_key(key) {
            all.insert(key.clone(), value.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::{ServiceSpec, ServiceState};

    #[test]
    fn meta_stands_beside_the_core_and_never_replaces_it() {
        let mut spec = ServiceSpec::new("0".parse().unwrap(), vec!["llama-server".to_owned()], "/".into());
        spec.meta = serde_json::from_str(r#"{"model_id":"llama-7b","gpu_id":"0","pid":1,"status":"mine"}"#).unwrap();
        let report = ServiceReport {
            state: ServiceState::Running,
            pid: Some(12345),
            port: Some(8080),
            started_at: Some("2025-11-16T15:00:00Z".to_owned()),
            command_line: vec!["llama-server".to_owned(), "-m".to_owned()],
            ..crate::services::of_spec(&spec)
        };
        let document = serde_json::to_value(registry(std::slice::from_ref(&report))).unwrap();
        let expected = json!({"processes": {"0": {
            "pid": 12345, "port": 8080, "started_at": "2025-11-16T15:00:00Z",
            "command_line": ["llama-server", "-m"], "status": "running", "model_id": "llama-7b", "gpu_id": "0",
        }}});
        assert_eq!(document, expected);
        let gone = registry(&[crate::services::of_spec(&spec)]);
        let zero = &gone.processes[&"0".parse::<ServiceId>().unwrap()];
        assert_eq!((&zero["pid"], &zero["status"]), (&Value::Null, &json!("stopped")));
    }
}
