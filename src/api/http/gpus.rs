//! `/api/v1/gpus`: each GPU's memory, and who holds it.

use axum::http::Method;

use super::call::json;
use super::describe::of;
use super::endpoint::{Endpoint, Gives};
use crate::model::GpuReport;
use crate::tokens::Scope;

pub(super) static ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::GET,
    path: "/api/v1/gpus",
    scope: Some(Scope::Read),
    system: false,
    about: "Each GPU's memory, used and free, and who holds it; else, what is missing.",
    params: &[],
    body: None,
    gives: Gives::Json(200, of::<GpuReport>()),
    fails: &[],
    handler: |call| {
        Box::pin(async move { json(&call.front.ask(async |client| crate::gpus::gpus(&client, None).await).await?) })
    },
}];
