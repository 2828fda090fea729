//! One request as its endpoint gets it: who asks, what was checked, what it is answered from.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use super::desk::Desk;
use super::problem::Problem;
use super::query::Query;
use super::rate::{Client, Rates};
use super::stream::Streams;
use crate::api::dbus::Api;
use crate::config::HttpOptions;
use crate::model::service::ServiceReport;
use crate::model::{Instance, ServiceId};
use crate::observe::Units;
use crate::paths::Places;
use crate::supervise::{Command, Selection};
use crate::tokens::{Scope, Tokens};

/// What all requests are answered from.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) api: Arc<Api>,
    pub(super) places: Places,
    pub(super) settings: watch::Receiver<HttpOptions>,
    pub(super) tokens: Mutex<Tokens>,
    pub(super) rates: Mutex<Rates>,
    pub(super) streams: Streams,
    pub(super) desk: Desk,
    /// This run of the daemon: its events are numbered from the start.
    pub(super) run: String,
    /// When it began, for the rates.
    pub(super) born: Instant,
}

impl Front {
    /// Whether it is the system's, which serves less.
    pub(super) fn is_system(&self) -> bool {
        self.places.instance == Instance::System
    }

    /// Whether one more request of this client may be answered.
    pub(super) fn admit(&self, client: Client) -> bool {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).admit(client, self.born.elapsed())
    }

    /// Does this with a view of the host, as the verbs of this instance's owner have it.
    pub(super) async fn ask<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: AsyncFnOnce(crate::Client) -> Result<T, crate::Error> + Send + 'static,
    {
        // Bare words of root mean the system's, whose daemon this is not.
        let units = if self.places.uid == 0 { Units::User } else { Units::Both };
        self.desk.ask(units, work).await
    }
}

/// Who asks, once that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) scope: Scope,
    /// The owner or root, over the socket.
    pub(super) owner: bool,
}

/// One request.
pub(super) struct Call {
    pub(super) front: Arc<Front>,
    pub(super) asker: Option<Asker>,
    pub(super) path: BTreeMap<String, String>,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What an endpoint answers.
pub(super) type Answered = Result<Response, Problem>;
/// The same, later.
pub(super) type Reply = Pin<Box<dyn Future<Output = Answered> + Send>>;

impl Call {
    /// The `{id}` of the path.
    pub(super) fn id(&self) -> Result<ServiceId, Problem> {
        let text = self.path.get("id").map_or("", String::as_str);
        let id = text.parse().ok().filter(|id: &ServiceId| !id.is_glob());
        id.ok_or_else(|| Problem::no_service(text))
    }

    /// The service of the path alone.
    pub(super) fn one(&self) -> Result<(ServiceId, Selection), Problem> {
        let id = self.id()?;
        Ok((id.clone(), Selection { ids: vec![id], project: None }))
    }

    /// Some services, as whoever asks may see them.
    pub(super) async fn reports(&self, which: Selection, resources: bool) -> Result<Vec<ServiceReport>, Problem> {
        let all = self.front.api.handle.ask(|answer| Command::Report { which, resources, answer }).await?;
        let owner = self.asker.is_some_and(|asker| asker.owner);
        Ok(match self.front.is_system() && !owner {
            true => all.into_iter().map(crate::api::dbus::shown_to_all).collect(),
            false => all,
        })
    }

    /// The service of the path: `instances` have one each.
    pub(super) async fn report(&self, resources: bool) -> Result<ServiceReport, Problem> {
        let (id, which) = self.one()?;
        let all = self.reports(which, resources).await?;
        all.into_iter().find(|report| report.id == id).ok_or_else(|| Problem::no_service(id.as_str()))
    }

    /// The body.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
            Problem::new(status, format!("the body: {}", crate::text::escape(&error.to_string())))
        })
    }

    /// Whether an answer of this type is wanted rather than others.
    pub(super) fn accepts(&self, content: &str) -> bool {
        let accepted = self.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        accepted.split(',').any(|one| one.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(content))
    }

    /// A time that is given for something.
    pub(super) fn limit(&self, usual: u64) -> Duration {
        self.query.seconds("timeout", usual)
    }
}

/// A JSON document.
pub(super) fn json(document: &impl serde::Serialize) -> Answered {
    let body = serde_json::to_vec(document);
    let body = body.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(super::stream::answer(body, "application/json"))
}
