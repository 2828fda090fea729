//! The API of process registries of model servers: `process-registry` and `cleanup-orphaned`, with
//! the keys, types and words that their clients know.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::call::{Answered, Call, json};
use super::describe::of;
use super::endpoint::{Endpoint, Gives};
use super::problem::Problem;
use super::query::{Kind, param};
use crate::model::ServiceId;
use crate::model::service::{ServiceReport, ServiceState};
use crate::supervise::{Command, OrphanQuery, OrphansCleaned};
use crate::tokens::Scope;

pub(super) static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::GET,
        path: "/api/v1/process-registry",
        scope: Some(Scope::Read),
        system: false,
        about: "The processes of services that are not stopped: by GPU where one service alone has it, else by id.",
        params: &[],
        body: None,
        gives: Gives::Json(200, of::<Registry>()),
        fails: &[],
        handler: |call| Box::pin(registry(call)),
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/cleanup-orphaned",
        scope: Some(Scope::Manage),
        system: false,
        about: "Ends what services left behind and nobody tracks: SIGTERM, and SIGKILL five seconds later.",
        params: &[
            param("force", Kind::Flag, "SIGKILL at once"),
            param(
                "match",
                Kind::Text(255),
                "the name of programs that count too, where nobody owns them, as for provost orphans --match",
            ),
        ],
        body: None,
        gives: Gives::Json(200, of::<OrphansCleaned>()),
        fails: &[409],
        handler: |call| Box::pin(clean(call)),
    },
];

/// The processes.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Registry {
    processes: BTreeMap<String, Process>,
}

/// One of them. All keys are always there.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Process {
    /// Its main process; null while there is none.
    pid: Option<u32>,
    /// From `meta.model_id`, else the id of the service.
    model_id: String,
    /// From `meta.model_name`, else the id of the service.
    model_name: String,
    /// From `meta.model_path`, else what follows -m or --model.
    model_path: Option<String>,
    /// From `meta.gpu_id`, else from `gpus`.
    gpu_id: Option<String>,
    port: Option<u16>,
    /// RFC 3339.
    started_at: Option<String>,
    command_line: Vec<String>,
    status: ServiceState,
    /// The id of the service.
    id: ServiceId,
}

async fn registry(call: Call) -> Answered {
    json(&of_reports(&call.reports(Default::default(), false).await?))
}

async fn clean(call: Call) -> Answered {
    let names: Vec<String> = call.query.text("match").map(str::to_owned).into_iter().collect();
    if names.iter().any(|name| name.contains('/')) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "match: a name, without its folder"));
    }
    let (query, force) = (OrphanQuery { names }, call.query.flag("force"));
    json(&call.front.api.handle.ask(|answer| Command::CleanOrphans { query, force, answer }).await?)
}

fn of_reports(all: &[ServiceReport]) -> Registry {
    let lives = |report: &&ServiceReport| !matches!(report.state, ServiceState::Stopped | ServiceState::Failed);
    let processes: Vec<Process> = all.iter().filter(lives).map(Process::of).collect();
    let mut having: BTreeMap<String, usize> = BTreeMap::new();
    for gpu in processes.iter().filter_map(|process| process.gpu_id.clone()) {
        *having.entry(gpu).or_default() += 1;
    }
    // An id may look like a GPU of another.
    let ids: Vec<String> = processes.iter().map(|process| process.id.to_string()).collect();
    let key = |process: &Process| match &process.gpu_id {
        Some(gpu) if having.get(gpu) == Some(&1) && (!ids.contains(gpu) || *gpu == process.id.as_str()) => gpu.clone(),
        _ => process.id.to_string(),
    };
    Registry { processes: processes.into_iter().map(|process| (key(&process), process)).collect() }
}

impl Process {
    fn of(report: &ServiceReport) -> Self {
        let meta = |key: &str| match report.meta.get(key) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let gpus = (!report.gpus.is_empty()).then(|| report.gpus.join(","));
        Self {
            pid: report.pid,
            model_id: meta("model_id").unwrap_or_else(|| report.id.to_string()),
            model_name: meta("model_name").unwrap_or_else(|| report.id.to_string()),
            model_path: meta("model_path").or_else(|| model(&report.command_line)),
            gpu_id: meta("gpu_id").or(gpus),
            port: report.port,
            started_at: report.started_at.clone(),
            command_line: report.command_line.clone(),
            status: report.state,
            id: report.id.clone(),
        }
    }
}

/// What follows -m or --model.
fn model(command_line: &[String]) -> Option<String> {
    let mut words = command_line.iter();
    while let Some(word) = words.next() {
        if word == "-m" || word == "--model" {
            return words.next().cloned();
        }
        if let Some(path) = word.strip_prefix("--model=") {
            return Some(path.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::ServiceSpec;
    use serde_json::json;

    fn service(id: &str, gpus: &[&str], meta: Value) -> ServiceReport {
        let command = ["llama-server", "-m", "/path/to/model.gguf"].map(str::to_owned).to_vec();
        let mut spec = ServiceSpec::new(id.parse().unwrap(), command, "/".into());
        spec.gpus = gpus.iter().map(|gpu| (*gpu).to_owned()).collect();
        spec.meta = meta.as_object().cloned().unwrap();
        let started_at = Some("2025-11-16T15:00:00Z".to_owned());
        let state = ServiceState::Running;
        ServiceReport { state, pid: Some(12345), port: Some(8080), started_at, ..crate::services::of_spec(&spec) }
    }

    #[test]
    fn the_document_is_the_one_that_clients_know() {
        let meta = json!({"model_id": "llama-7b", "model_name": "Llama 2 7B"});
        let document = serde_json::to_value(of_reports(&[service("llama", &["0"], meta)])).unwrap();
        let expected = json!({"processes": {"0": {
            "pid": 12345, "model_id": "llama-7b", "model_name": "Llama 2 7B", "model_path": "/path/to/model.gguf",
            "gpu_id": "0", "port": 8080, "started_at": "2025-11-16T15:00:00Z",
            "command_line": ["llama-server", "-m", "/path/to/model.gguf"], "status": "running", "id": "llama",
        }}});
        assert_eq!(document, expected);
    }

    #[test]
    fn the_key_is_the_gpu_only_of_who_has_it_alone() {
        let none = || json!({});
        let mut stopped = service("old", &["0"], none());
        stopped.state = ServiceState::Stopped;
        let all = [service("a", &["0"], none()), service("b", &["1"], none()), service("c", &["1"], none()), stopped];
        let keys = |all: &[ServiceReport]| of_reports(all).processes.into_keys().collect::<Vec<_>>();
        assert_eq!(keys(&all), ["0", "b", "c"]);
        let all = [service("a", &["1"], none()), service("1", &[], none()), service("both", &["2", "3"], none())];
        assert_eq!(keys(&all), ["1", "2,3", "a"]);
        let bare = of_reports(&[service("x", &[], none())]);
        let bare = serde_json::to_value(&bare.processes["x"]).unwrap();
        assert_eq!((&bare["gpu_id"], &bare["model_id"], &bare["model_name"]), (&Value::Null, &json!("x"), &json!("x")));
        assert_eq!(bare.as_object().unwrap().len(), 10);
    }

    #[test]
    fn the_path_of_a_model_is_found() {
        let line = |text: &str| model(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(line("x --model /m"), Some("/m".to_owned()));
        assert_eq!(line("x --model=/m -p 1"), Some("/m".to_owned()));
        assert_eq!((line("x"), line("x -m")), (None, None));
    }
}
