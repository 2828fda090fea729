//! `/api/v1/services`: what is supervised, and what can be done with it.

use std::collections::BTreeMap;
use std::path::Path;

use axum::http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::call::{Answered, Call, Reply, json};
use super::describe::{Describe, of};
use super::endpoint::{Endpoint, Gives};
use super::problem::Problem;
use super::query::{Kind, Param, param};
use super::settle::Settling;
use crate::config::{LoadOptions, parse};
use crate::model::service::{ServiceReport, ServiceSpec};
use crate::model::{ServiceId, Signal, Whom};
use crate::services::Goal;
use crate::supervise::Command;
use crate::tokens::Scope;

const WAIT: [Param; 2] = [
    param(
        "wait",
        Kind::Flag,
        "answer when it is done: it is ready and has run for a moment, has ended, or fails again and again",
    ),
    param("timeout", Kind::Whole(1, 3600), "for how many seconds to wait; 60 without it"),
];

/// What changes a service.
const fn change(
    path: &'static str,
    about: &'static str,
    params: &'static [Param],
    handler: fn(Call) -> Reply,
) -> Endpoint {
    Endpoint {
        method: Method::POST,
        path,
        scope: Some(Scope::Manage),
        system: true,
        about,
        params,
        body: None,
        gives: Gives::Json(200, of::<Touched>()),
        fails: &[404, 409, 504],
        handler,
    }
}

pub(super) static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::GET,
        path: "/api/v1/services",
        scope: Some(Scope::Read),
        system: true,
        about: "All services.",
        params: &[param("resources", Kind::Flag, "measure what they use")],
        body: None,
        gives: Gives::Json(200, of::<Services>()),
        fails: &[],
        handler: |call| Box::pin(list(call)),
    },
    Endpoint {
        method: Method::POST,
        path: "/api/v1/services",
        scope: Some(Scope::Manage),
        system: false,
        about: "Makes a service that is in no config, and starts it: `id`, and the keys of a service in a config.",
        params: &[],
        body: Some(DESCRIBED),
        gives: Gives::Json(201, of::<ServiceReport>()),
        fails: &[409, 422],
        handler: |call| Box::pin(create(call)),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v1/services/{id}",
        scope: Some(Scope::Read),
        system: true,
        about: "One service, with what it uses.",
        params: &[],
        body: None,
        gives: Gives::Json(200, of::<ServiceReport>()),
        fails: &[404],
        handler: |call| Box::pin(async move { json(&call.report(true).await?) }),
    },
    Endpoint {
        method: Method::DELETE,
        path: "/api/v1/services/{id}",
        scope: Some(Scope::Manage),
        system: false,
        about: "Stops a service and forgets it.",
        params: &[],
        body: None,
        gives: Gives::Json(200, of::<Touched>()),
        fails: &[404, 409],
        handler: |call| Box::pin(remove(call)),
    },
    change("/api/v1/services/{id}/start", "Starts it, and before it what it comes after.", &WAIT, |call| {
        Box::pin(start(call))
    }),
    change(
        "/api/v1/services/{id}/stop",
        "Stops it, and before it what comes after it.",
        &[param("force", Kind::Flag, "kill it at once"), WAIT[0], WAIT[1]],
        |call| Box::pin(stop(call)),
    ),
    change("/api/v1/services/{id}/restart", "Stops what runs of it, and starts it.", &WAIT, |call| {
        Box::pin(restart(call))
    }),
    change("/api/v1/services/{id}/reload", "Has it read its configuration again.", &[], |call| Box::pin(reload(call))),
    change(
        "/api/v1/services/{id}/kill",
        "Sends it a signal.",
        &[
            param("signal", Kind::Signal, "its name or number; TERM without it"),
            param("whom", Kind::Choice(&["main", "all"]), "its main process, or all of them"),
        ],
        |call| Box::pin(kill(call)),
    ),
    change("/api/v1/services/{id}/heartbeat", "It says that it lives (`health.heartbeat`).", &[], |call| {
        Box::pin(heartbeat(call))
    }),
];

/// The services.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Services {
    /// In the order of their ids.
    services: Vec<ServiceReport>,
}

/// What was done.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Touched {
    /// The service.
    id: ServiceId,
    /// Whether there was anything to do.
    changed: bool,
    /// How it is now; null once it is forgotten.
    service: Option<ServiceReport>,
}

async fn list(call: Call) -> Answered {
    let services = call.reports(Default::default(), call.query.flag("resources")).await?;
    json(&Services { services })
}

async fn start(call: Call) -> Answered {
    let (_, which) = only(&call).await?;
    let settling = Settling::begin(&call);
    let environment = BTreeMap::new();
    let done = call.front.api.handle.ask(|answer| Command::Start { which, environment, answer }).await?;
    after(&call, &done, settling, Goal::Ready).await
}

async fn stop(call: Call) -> Answered {
    let (_, which) = only(&call).await?;
    let (settling, force) = (Settling::begin(&call), call.query.flag("force"));
    let done = call.front.api.handle.ask(|answer| Command::Stop { which, force, answer }).await?;
    after(&call, &done, settling, Goal::Down).await
}

async fn restart(call: Call) -> Answered {
    let (_, which) = only(&call).await?;
    let settling = Settling::begin(&call);
    let done = call.front.api.handle.ask(|answer| Command::Restart { which, answer }).await?;
    after(&call, &done, settling, Goal::Again).await
}

async fn reload(call: Call) -> Answered {
    let (_, which) = only(&call).await?;
    touched(&call, &call.front.api.handle.ask(|answer| Command::Reload { which, answer }).await?).await
}

async fn kill(call: Call) -> Answered {
    let (_, which) = only(&call).await?;
    let signal = match call.query.text("signal") {
        None => Signal::TERM,
        Some(text) => text.parse().map_err(|error: crate::model::Malformed| Problem::wrong(error.to_string()))?,
    };
    let whom = if call.query.text("whom") == Some("all") { Whom::All } else { Whom::Main };
    touched(&call, &call.front.api.handle.ask(|answer| Command::Kill { which, signal, whom, answer }).await?).await
}

async fn heartbeat(call: Call) -> Answered {
    let (id, _) = only(&call).await?;
    let of = id.clone();
    call.front.api.handle.ask(|answer| Command::Heartbeat { id: of, answer }).await?;
    touched(&call, &[(id, true)]).await
}

async fn remove(call: Call) -> Answered {
    let (id, which) = only(&call).await?;
    call.front.api.handle.ask(|answer| Command::Remove { which, answer }).await?;
    json(&Touched { id, changed: true, service: call.report(false).await.ok() })
}

/// The service of the path, which is one: an id that stands for instances is not theirs.
async fn only(call: &Call) -> Result<(ServiceId, crate::supervise::Selection), Problem> {
    call.report(false).await?;
    call.one()
}

async fn after(call: &Call, done: &[(ServiceId, bool)], settling: Settling, goal: Goal) -> Answered {
    if !call.query.flag("wait") {
        return touched(call, done).await;
    }
    // One that had nothing to do is what it was.
    let id = call.id()?;
    let idle = done.iter().any(|(of, did)| *of == id && !did);
    let goal = if goal == Goal::Again && idle { Goal::Ready } else { goal };
    let service = settling.settle(call, goal, call.limit(60)).await?;
    let changed = done.iter().any(|(touched, did)| *touched == service.id && *did);
    json(&Touched { id: service.id.clone(), changed, service: Some(service) })
}

async fn touched(call: &Call, done: &[(ServiceId, bool)]) -> Answered {
    let service = call.report(false).await?;
    let changed = done.iter().any(|(touched, did)| *touched == service.id && *did);
    json(&Touched { id: service.id.clone(), changed, service: Some(service) })
}

/// The keys of a service in a config, with its id.
const DESCRIBED: Describe = Describe {
    #[cfg(test)]
    schema: described,
};

#[cfg(test)]
fn described(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut service = crate::config::schema()["$defs"]["service"].take();
    service["properties"]["id"] = json!({
        "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", "description": "its id",
    });
    service["properties"]["cwd"] = json!({
        "type": "string", "pattern": "^/", "description": "the folder it runs in, absolute",
    });
    if let Some(properties) = service["properties"].as_object_mut() {
        // There are several of it only in a config.
        properties.remove("instances");
    }
    service["required"] = json!(["id", "cwd"]);
    service["oneOf"] = json!([{"required": ["command"]}, {"required": ["script"]}]);
    schemars::Schema::try_from(service).unwrap_or_default()
}

async fn create(call: Call) -> Answered {
    let keys: Map<String, Value> = call.json()?;
    let spec = specified(keys)?;
    let id = spec.id.clone();
    let handle = &call.front.api.handle;
    let specs = vec![spec];
    handle.ask(|answer| Command::Define { specs, environment: BTreeMap::new(), answer }).await?;
    let which = crate::supervise::Selection { ids: vec![id.clone()], project: None };
    handle.ask(|answer| Command::Start { which: which.clone(), environment: BTreeMap::new(), answer }).await?;
    let report = call.reports(which, false).await?.into_iter().find(|report| report.id == id);
    let mut response = json(&report.ok_or_else(|| Problem::no_service(id.as_str()))?)?;
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(place) = HeaderValue::try_from(format!("/api/v1/services/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// The key, and what is wrong with it.
fn said(problem: &crate::config::Problem) -> String {
    match problem.key.splitn(3, '.').nth(2) {
        Some(key) => format!("{key}: {}", problem.message),
        None => problem.message.clone(),
    }
}

/// A service as a config would describe it, checked as a config is.
fn specified(mut keys: Map<String, Value>) -> Result<ServiceSpec, Problem> {
    let wrong = |why: &str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why);
    if let Some((key, _)) = keys.iter().find(|(_, value)| value.is_null()) {
        return Err(wrong(&format!("{}: null is no value: leave the key out", crate::text::clip(key))));
    }
    let id = match keys.remove("id") {
        Some(Value::String(id)) => id,
        _ => return Err(wrong("id: the id of the service is missing")),
    };
    if !keys.get("cwd").and_then(Value::as_str).is_some_and(|cwd| cwd.starts_with('/')) {
        return Err(wrong("cwd: the folder that it runs in is missing, or not absolute"));
    }
    if keys.contains_key("instances") {
        return Err(wrong("instances: there are several of a service only in a config"));
    }
    let config = json!({"service": {id: keys}}).to_string();
    let place = Path::new("/body.json");
    let project = parse(place, place, &config, &LoadOptions::default());
    let project = project.map_err(|errors| {
        let lines: Vec<String> = errors.0.iter().map(said).collect();
        // Its form may be right: no schema tells all that a description must be.
        Problem::new(StatusCode::CONFLICT, lines.join("\n"))
    })?;
    let spec = project.services.into_iter().next().ok_or_else(|| wrong("no service is described"))?;
    Ok(ServiceSpec { project: None, ..spec })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<ServiceSpec, Problem> {
        specified(body.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn a_service_is_described_as_in_a_config() {
        let spec = read(json!({"id": "web", "cwd": "/srv", "command": ["sleep", "1"], "port": "5000-6000"})).unwrap();
        assert_eq!((spec.id.as_str(), spec.project, spec.cwd.as_path()), ("web", None, Path::new("/srv")));
        for wrong in [
            json!({}),
            json!({"id": "web", "command": ["x"]}),
            json!({"id": "web", "cwd": "srv", "command": ["x"]}),
            json!({"id": "web", "cwd": "/srv"}),
            json!({"id": "w*", "cwd": "/srv", "command": ["x"]}),
            json!({"id": "web", "cwd": "/srv", "command": ["x"], "instances": 3}),
            json!({"id": "web", "cwd": "/srv", "command": ["x"], "comand": ["x"]}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        let said = read(json!({"id": "web", "cwd": "/srv", "command": ["x"], "prot": 1})).unwrap_err().detail;
        assert!(said.contains("prot"), "{said}");
    }
}
