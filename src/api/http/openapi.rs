//! `/api/v1/openapi.json`: the API as an OpenAPI 3.1 document. It is made from the table of endpoints and
//! from the types by a test, which fails when they have changed, and only kept here: the program need not
//! know how to make it.

use std::io::Read as _;
use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::Method;
use flate2::read::GzDecoder;
use serde_json::{Map, Value};

use super::call::Answered;
use super::describe::of;
use super::endpoint::{Endpoint, Gives, all};
use super::stream::answer;
use crate::tokens::Scope;

#[cfg(test)]
mod tests;

/// `openapi/document.json`, with all that a user's instance has, as `build.rs` compressed it.
const DOCUMENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

pub(super) static ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::GET,
    path: "/api/v1/openapi.json",
    scope: Some(Scope::Read),
    system: true,
    about: "This document.",
    params: &[],
    body: None,
    gives: Gives::Json(200, of::<Map<String, Value>>()),
    fails: &[],
    handler: |call| Box::pin(async move { told(call.front.is_system()) }),
}];

/// The document, made for the first who asks.
fn told(system: bool) -> Answered {
    static TOLD: OnceLock<Bytes> = OnceLock::new();
    let told = TOLD.get_or_init(|| Bytes::from(document(system).to_string()));
    Ok(answer(told.clone(), "application/json"))
}

/// The document of an instance: what the system's has not is not told of.
fn document(system: bool) -> Value {
    let mut text = Vec::new();
    // What stands in the program can be read: a test does.
    let _ = GzDecoder::new(DOCUMENT).read_to_end(&mut text);
    let mut document: Value = serde_json::from_slice(&text).unwrap_or_default();
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for (path, operations) in paths.iter_mut() {
            let Some(operations) = operations.as_object_mut() else { continue };
            let has = |method: &str| {
                all(system).any(|one| one.path == path && one.method.as_str().eq_ignore_ascii_case(method))
            };
            operations.retain(|method, _| has(method));
        }
        paths.retain(|_, operations| operations.as_object().is_some_and(|all| !all.is_empty()));
    }
    document
}
