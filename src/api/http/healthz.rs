//! `/healthz`: whether the daemon answers; for everybody, so it tells nothing else.

use axum::http::Method;
use serde::Serialize;

use super::call::json;
use super::describe::of;
use super::endpoint::{Endpoint, Gives};
use super::guard::OPEN;

pub(super) static ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::GET,
    path: OPEN,
    scope: None,
    system: true,
    about: "Whether the daemon answers.",
    params: &[],
    body: None,
    gives: Gives::Json(200, of::<Lives>()),
    fails: &[],
    handler: |_| Box::pin(async { json(&Lives { status: "ok" }) }),
}];

/// It does.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Lives {
    /// ok.
    status: &'static str,
}
