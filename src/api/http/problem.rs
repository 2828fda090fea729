//! Errors as problem documents (RFC 9457), and the one place that maps them to statuses.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::act::ActError;
use crate::error::Error;
use crate::model::Stopper;
use crate::supervise::Refusal;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Problem {
    /// `about:blank`: the status says what kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What happened, and what to do.
    pub(super) detail: String,
    /// Names that are near one that there is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nearest: Vec<String>,
    /// The exact targets to choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    choices: Vec<String>,
}

impl Problem {
    /// With this status.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            nearest: Vec::new(),
            choices: Vec::new(),
        }
    }

    /// The request is not what it must be.
    pub(super) fn wrong(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no such thing.
    pub(super) fn none(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// There is no service of this id.
    pub(super) fn no_service(id: &str) -> Self {
        Self::none(format!("there is no service {}", crate::text::clip(id)))
    }

    /// It takes too long.
    pub(super) fn late(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            401 => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"provost\"")),
            429 | 503 => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
            _ => None,
        };
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NoSuchService { .. } => StatusCode::NOT_FOUND,
            Refusal::Config(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Failed(_) => StatusCode::CONFLICT,
            Refusal::Ending => StatusCode::SERVICE_UNAVAILABLE,
        };
        let problem = Self::new(status, refusal.to_string());
        match refusal {
            Refusal::NoSuchService { nearest, .. } => Self { nearest, ..problem },
            _ => problem,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Malformed(_) => StatusCode::BAD_REQUEST,
            Error::NotFound { .. } => StatusCode::NOT_FOUND,
            Error::Ambiguous { .. } => StatusCode::CONFLICT,
            Error::Unreachable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Io { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Config(_) | Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Act(error) => status_of(error),
        };
        let problem = Self::new(status, error.to_string());
        match error {
            Error::NotFound { nearest, .. } => Self { nearest, ..problem },
            Error::Ambiguous { choices, .. } => {
                Self { choices: choices.into_iter().map(|(exact, _)| exact).collect(), ..problem }
            }
            _ => problem,
        }
    }
}

fn status_of(error: &ActError) -> StatusCode {
    match error {
        ActError::NotPermitted(_) => StatusCode::FORBIDDEN,
        ActError::Failed(_) => StatusCode::CONFLICT,
        ActError::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
        ActError::Unreachable(_) => StatusCode::SERVICE_UNAVAILABLE,
        ActError::Gone(_) => StatusCode::NOT_FOUND,
        ActError::Stopped { stopper, .. } => match stopper {
            Stopper::NotPermitted => StatusCode::FORBIDDEN,
            Stopper::Choose | Stopper::Impossible => StatusCode::CONFLICT,
            Stopper::NotFound => StatusCode::NOT_FOUND,
            Stopper::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
        },
    }
}
