//! The table of endpoints: the router is made of it, and the OpenAPI document, so that neither has
//! what the other has not.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};
use http_body_util::{BodyExt as _, Limited};

use super::call::{Answered, Asker, Call, Front, Reply};
use super::describe::Describe;
use super::problem::Problem;
use super::query::{Param, Query};
use super::{actions, config, events, gpus, guard, healthz, inspect, logs, metrics, openapi, pm, registry, services};
use crate::gather::Gather as _;
use crate::tokens::Scope;

/// The longest body.
const BODY: usize = 1 << 20;

/// One endpoint. What only tells of it is read by the test that writes the OpenAPI document.
#[cfg_attr(not(test), expect(dead_code))]
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// What whoever asks must be good for; `None`: everybody may.
    pub(super) scope: Option<Scope>,
    /// The system's instance has it too.
    pub(super) system: bool,
    /// What it does.
    pub(super) about: &'static str,
    pub(super) params: &'static [Param],
    /// What must be sent.
    pub(super) body: Option<Describe>,
    pub(super) gives: Gives,
    /// The statuses of its problems, besides those that all have.
    pub(super) fails: &'static [u16],
    pub(super) handler: fn(Call) -> Reply,
}

/// What is answered.
#[derive(Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code))]
pub(super) enum Gives {
    /// A document, with this status.
    Json(u16, Describe),
    /// Of one of these types, with what it holds in words.
    Text(&'static [&'static str], &'static str),
}

#[cfg(test)]
impl Gives {
    /// The status of an answer that is well.
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Json(status, _) => status,
            Self::Text(..) => 200,
        }
    }
}

/// All of them; of the system's instance those that it has.
pub(super) fn all(system: bool) -> impl Iterator<Item = &'static Endpoint> {
    let tables: [&'static [Endpoint]; 12] = [
        services::ENDPOINTS,
        logs::ENDPOINTS,
        events::ENDPOINTS,
        registry::ENDPOINTS,
        inspect::ENDPOINTS,
        pm::ENDPOINTS,
        actions::ENDPOINTS,
        config::ENDPOINTS,
        gpus::ENDPOINTS,
        metrics::ENDPOINTS,
        healthz::ENDPOINTS,
        openapi::ENDPOINTS,
    ];
    tables.into_iter().flatten().filter(move |endpoint| endpoint.system || !system)
}

/// The router of an instance, behind its guard.
pub(super) fn router(front: Arc<Front>) -> Router {
    let mut router = Router::new();
    for endpoint in all(front.is_system()) {
        let Ok(filter) = MethodFilter::try_from(endpoint.method.clone()) else { continue };
        let run = async move |State(front): State<Arc<Front>>, path: RawPathParams, request: Request| -> Response {
            answer(endpoint, front, &path, request).await.unwrap_or_else(Problem::into_response)
        };
        router = router.route(endpoint.path, on(filter, run));
    }
    let none = || async { Problem::none("there is nothing here: /api/v1/openapi.json tells what there is") };
    let other = || async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this takes other methods: see Allow") };
    router
        .fallback(none)
        .method_not_allowed_fallback(other)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&front), guard::guard))
        .with_state(front)
}

async fn answer(endpoint: &'static Endpoint, front: Arc<Front>, path: &RawPathParams, request: Request) -> Answered {
    let (head, body) = request.into_parts();
    let asker = head.extensions.get::<Asker>().copied();
    if let Some(scope) = endpoint.scope
        && asker.is_none_or(|asker| asker.scope < scope)
    {
        let why = format!("this token is for {}: it takes one of scope {}", Scope::Read.as_str(), scope.as_str());
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    let query = Query::read(head.uri.query().unwrap_or_default(), endpoint.params)?;
    let body = match endpoint.body {
        Some(_) => {
            is_json(head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()))?;
            whole(body).await?
        }
        None => Bytes::new(),
    };
    let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).gather::<BTreeMap<_, _>>();
    (endpoint.handler)(Call { front, asker, path, query, headers: head.headers, body }).await
}

/// No form of a web page can say this.
fn is_json(content: Option<&str>) -> Result<(), Problem> {
    let content = content.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match content.as_str() {
        "application/json" | "application/merge-patch+json" => Ok(()),
        _ => {
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be of Content-Type: application/json"))
        }
    }
}

async fn whole(body: axum::body::Body) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(super::listen::PATIENCE, Limited::new(body, BODY).collect()).await;
    let read = read.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?;
    let read = read.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
        true => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {} MiB", BODY >> 20)),
        false => Problem::wrong("the body ended early"),
    })?;
    Ok(read.to_bytes())
}
