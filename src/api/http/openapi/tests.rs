//! The document is made here, from the table of endpoints and from the types that are read and written.
//! `PROVOST_BLESS=1 cargo test --lib openapi` writes `document.json` anew.

use axum::http::Method;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::super::describe::of;
use super::super::endpoint::{Endpoint, Gives, all};
use super::super::problem::Problem;
use super::document;
use crate::tokens::Scope;

/// What any endpoint may answer.
const ALWAYS: [(u16, &str); 8] = [
    (400, "the request is not what it must be"),
    (401, "no token, or one that is not good"),
    (403, "the token is not for this, or a web page asks"),
    (405, "the path takes other methods"),
    (421, "the name of the host is not known"),
    (429, "too many requests"),
    (500, "the host could not be read"),
    (503, "the daemon is ending, or a manager cannot be reached"),
];
/// What those with a body may answer too.
const BODY: [(u16, &str); 4] = [
    (408, "the body did not come in time"),
    (413, "the body is too long"),
    (415, "the body is not said to be JSON"),
    (422, "the body is JSON, and not what it must be"),
];

/// The document, with all that a user's instance has.
fn made() -> Value {
    // Answers are described as they are written, and bodies as they are read.
    let mut written = SchemaSettings::openapi3().for_serialize().into_generator();
    let mut read = SchemaSettings::openapi3().for_deserialize().into_generator();
    let problem = (of::<Problem>().schema)(&mut written).to_value();
    let mut paths: Map<String, Value> = Map::new();
    let mut problems: Map<String, Value> = Map::new();
    for endpoint in all(false) {
        let mut responses = Map::new();
        let (status, answer) = match endpoint.gives {
            Gives::Json(status, schema) => {
                let content = json!({"application/json": {"schema": (schema.schema)(&mut written).to_value()}});
                (status, json!({"description": "done", "content": content}))
            }
            Gives::Text(types, about) => {
                let one = |content: &&str| ((*content).to_owned(), json!({"schema": {"type": "string"}}));
                let content: Map<String, Value> = types.iter().map(one).collect();
                (200, json!({"description": about, "content": content}))
            }
        };
        responses.insert(status.to_string(), answer);
        let body = BODY.iter().filter(|_| endpoint.body.is_some());
        let own = endpoint.fails.iter().map(|status| (*status, words(*status)));
        let failures = ALWAYS.iter().chain(body).copied().chain(own);
        for (status, description) in failures {
            let name = format!("Problem{status}");
            responses.entry(status.to_string()).or_insert(json!({"$ref": format!("#/components/responses/{name}")}));
            let content = json!({"application/problem+json": {"schema": problem}});
            problems.entry(name).or_insert(json!({"description": description, "content": content}));
        }
        let mut operation = json!({
            "summary": endpoint.about,
            "operationId": name(endpoint),
            "parameters": parameters(endpoint),
            "responses": responses,
        });
        operation["security"] = match endpoint.scope {
            None => json!([]),
            Some(scope) => {
                operation["description"] = json!(format!("A token of scope {}, or the socket.", scope.as_str()));
                json!([{"token": []}])
            }
        };
        if let Some(body) = endpoint.body {
            let schema = (body.schema)(&mut read).to_value();
            operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        }
        paths.entry(endpoint.path).or_insert(json!({}))[endpoint.method.as_str().to_lowercase()] = operation;
    }
    let mut schemas = read.take_definitions(true);
    schemas.extend(written.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "provost",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Process control and supervision. Errors are problem documents (RFC 9457).",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": problems,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn words(status: u16) -> &'static str {
    match status {
        404 => "there is no such thing",
        409 => "it cannot be done as things are",
        412 => "it was changed meanwhile",
        504 => "it takes too long",
        _ => "it was not done",
    }
}

/// `get_api_v1_services_id`.
fn name(endpoint: &Endpoint) -> String {
    let words = endpoint.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    format!("{}_{}", endpoint.method.as_str().to_lowercase(), words.join("_"))
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let mut all = Vec::new();
    if endpoint.path.contains("{id}") {
        all.push(json!({
            "name": "id", "in": "path", "required": true, "description": "the id of a service",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"},
        }));
    }
    for param in endpoint.params {
        all.push(json!({
            "name": param.name, "in": "query", "required": param.required, "description": param.about,
            "schema": param.kind.schema(),
        }));
    }
    all
}

/// As text, with lines for what stands so deep: it is to be small, and to be read in a review.
fn lines(value: &Value, deep: usize, text: &mut String) {
    let Value::Object(entries) = value else { return text.push_str(&value.to_string()) };
    if deep == 0 {
        return text.push_str(&value.to_string());
    }
    for (at, (key, value)) in entries.iter().enumerate() {
        text.push_str(if at == 0 { "{\n" } else { ",\n" });
        text.push_str(&format!("{}:", json!(key)));
        lines(value, deep - 1, text);
    }
    text.push('}');
}

#[test]
fn what_is_kept_is_what_the_types_say() {
    let mut kept = String::new();
    lines(&made(), 3, &mut kept);
    if std::env::var_os("PROVOST_BLESS").is_some() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/http/openapi/document.json");
        std::fs::write(place, kept).unwrap();
        return;
    }
    assert!(
        kept == include_str!("document.json"),
        "endpoints or types have changed: PROVOST_BLESS=1 writes document.json anew"
    );
}

/// All that the document refers to is in it.
fn refers(document: &Value, value: &Value) {
    match value {
        Value::Object(entries) => {
            if let Some(place) = entries.get("$ref").and_then(Value::as_str) {
                let found = place.strip_prefix('#').and_then(|path| document.pointer(path));
                assert!(found.is_some(), "{place}");
            }
            entries.values().for_each(|inner| refers(document, inner));
        }
        Value::Array(items) => items.iter().for_each(|inner| refers(document, inner)),
        _ => {}
    }
}

#[test]
fn the_document_is_whole() {
    for system in [false, true] {
        let document = document(system);
        refers(&document, &document);
        for endpoint in all(system) {
            let operation = &document["paths"][endpoint.path][endpoint.method.as_str().to_lowercase()];
            assert_eq!(operation["summary"], endpoint.about);
            assert!(operation["responses"][endpoint.gives.status().to_string()].is_object(), "{operation}");
            assert_eq!(operation["security"] == json!([]), endpoint.scope.is_none(), "{}", endpoint.path);
        }
    }
}

#[test]
fn the_system_serves_nothing_that_equals_root() {
    let document = document(true);
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let expected = |path: &&&String| {
        path.starts_with("/api/v1/services")
            || ["/api/v1/events", "/api/v1/openapi.json", "/healthz", "/metrics"].contains(&path.as_str())
    };
    assert_eq!(paths.iter().filter(expected).count(), paths.len(), "{paths:?}");
    assert!(document["paths"]["/api/v1/services"].get("post").is_none());
    assert!(document["paths"]["/api/v1/services/{id}"].get("delete").is_none());
}

#[test]
fn what_changes_anything_takes_manage() {
    for endpoint in all(false).filter(|endpoint| endpoint.method != Method::GET) {
        assert_eq!(endpoint.scope, Some(Scope::Manage), "{}", endpoint.path);
    }
    let open: Vec<&str> =
        all(false).filter(|endpoint| endpoint.scope.is_none()).map(|endpoint| endpoint.path).collect();
    assert_eq!(open, ["/healthz"]);
}
