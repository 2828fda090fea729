//! `/api/v1/config`: the config files of services, read and changed by program. They may hold secrets,
//! so that reading them takes as much as changing them.

use std::path::{Path, PathBuf};

use axum::http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use super::call::{Answered, Call, Reply, json};
use super::describe::{Describe, of};
use super::endpoint::{Endpoint, Gives};
use super::problem::Problem;
use crate::config::LoadOptions;
use crate::config::edit::{Document, ETag, EditError};
use crate::supervise::{Command, Selection};
use crate::tokens::Scope;

const fn endpoint(
    method: Method,
    body: Option<Describe>,
    path: &'static str,
    about: &'static str,
    handler: fn(Call) -> Reply,
) -> Endpoint {
    Endpoint {
        method,
        path,
        scope: Some(Scope::Manage),
        system: false,
        about,
        params: &[],
        body,
        gives: Gives::Json(200, of::<Config>()),
        fails: &[404, 409, 412, 422],
        handler,
    }
}

const PATCH: Option<Describe> = Some(of::<Map<String, Value>>());

pub(super) static ENDPOINTS: &[Endpoint] = &[
    endpoint(Method::GET, None, "/api/v1/config", "The daemon's own config file, as it is written.", |call| {
        Box::pin(read(call, Part::All))
    }),
    endpoint(Method::PATCH, PATCH, "/api/v1/config", "Merges into the daemon's own config file (RFC 7396).", |call| {
        Box::pin(change(call, Part::All))
    }),
    endpoint(Method::GET, None, "/api/v1/config/services/{id}", "A service as its config file describes it.", |call| {
        Box::pin(read(call, Part::Service))
    }),
    endpoint(
        Method::PATCH,
        PATCH,
        "/api/v1/config/services/{id}",
        "Merges into the description of a service (RFC 7396).",
        |call| Box::pin(change(call, Part::Service)),
    ),
    endpoint(Method::GET, None, "/api/v1/services/{id}/config", "The program's own config (`config_file`).", |call| {
        Box::pin(async move { own(&call).await })
    }),
    endpoint(
        Method::PATCH,
        PATCH,
        "/api/v1/services/{id}/config",
        "Merges into the program's own config, if its check finds no fault with the result.",
        |call| Box::pin(change_own(call)),
    ),
];

/// A config, or a part of it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Config {
    /// The file.
    path: PathBuf,
    /// What is written there. Its entity tag is the ETag of the answer: with If-Match, a change is made
    /// only if nobody else has changed it.
    config: Value,
}

/// What is read or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Service,
}

async fn read(call: Call, part: Part) -> Answered {
    let (path, keys) = place(&call, part).await?;
    let places = call.front.places.clone();
    answer(blocking(places, move |options| Ok(shown(&path, &Document::read(&path, &options)?, &keys))).await?)
}

async fn change(call: Call, part: Part) -> Answered {
    let patch: Map<String, Value> = call.json()?;
    let expected = expected(&call);
    let (path, keys) = place(&call, part).await?;
    let known = blocking(call.front.places.clone(), move |options| {
        let patch = Value::Object(patch);
        let words: Vec<&str> = keys.iter().map(String::as_str).collect();
        let there = Document::read(&path, &options)?.get(&words).is_some();
        if there {
            crate::config::edit::change(&path, &options, expected.as_ref(), |document| document.merge(&words, &patch))?;
        }
        Ok(shown(&path, &Document::read(&path, &options)?, &keys))
    })
    .await?;
    call.front.api.handle.ask(|answer| Command::ReloadConfig { answer }).await?;
    answer(known)
}

async fn own(call: &Call) -> Answered {
    let id = call.report(false).await?.id;
    let own = call.front.api.handle.ask(|answer| Command::ReadConfig { id, answer }).await?;
    answer(Some((Config { path: own.path, config: own.value }, own.etag)))
}

async fn change_own(call: Call) -> Answered {
    let patch = Value::Object(call.json()?);
    let (id, expected) = (call.report(false).await?.id, expected(&call));
    let changed = call.front.api.handle.ask(|answer| Command::PatchConfig { id, patch, expected, answer }).await?;
    changed.map_err(of_edit)?;
    own(&call).await
}

/// What the file is expected to be.
fn expected(call: &Call) -> Option<ETag> {
    let tag = call.headers.get(header::IF_MATCH).and_then(|tag| tag.to_str().ok());
    tag.filter(|tag| tag.trim() != "*").map(ETag::from)
}

/// The file, and the keys that lead to the part.
async fn place(call: &Call, part: Part) -> Result<(PathBuf, Vec<String>), Problem> {
    let own = || {
        let places = &call.front.places;
        let found = crate::config::find("/".as_ref(), Some(&places.config), places.uid, false);
        let found = found.map_err(|errors| Problem::new(StatusCode::CONFLICT, errors.to_string()))?;
        found.ok_or_else(|| Problem::none("the daemon has no config file of its own"))
    };
    if part == Part::All {
        return Ok((own()?, Vec::new()));
    }
    let id = call.id()?;
    let which = Selection { ids: vec![id.clone()], project: None };
    let known = call.reports(which, false).await.unwrap_or_default().into_iter().next();
    // Of instances the one table that describes them is meant.
    let table = known.as_ref().and_then(|report| report.instance_of.clone()).unwrap_or(id);
    let path = match known {
        Some(report) => report.project.ok_or_else(|| Problem::none(format!("{table} is in no config file")))?,
        None => own()?,
    };
    Ok((path, vec!["service".to_owned(), table.to_string()]))
}

/// The part, with the mark of the whole file; `None`: there is no such part.
fn shown(path: &Path, document: &Document, keys: &[String]) -> Option<(Config, ETag)> {
    let words: Vec<&str> = keys.iter().map(String::as_str).collect();
    let config = document.get(&words)?;
    Some((Config { path: path.to_owned(), config }, document.etag().clone()))
}

fn answer(found: Option<(Config, ETag)>) -> Answered {
    let (config, etag) = found.ok_or_else(|| Problem::none("the config has no such service"))?;
    let mut response = json(&config)?;
    if let Ok(etag) = HeaderValue::from_str(etag.as_str()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

/// Files are read and written without holding anybody else up.
async fn blocking<T: Send + 'static>(
    places: crate::paths::Places,
    work: impl FnOnce(LoadOptions) -> Result<T, EditError> + Send + 'static,
) -> Result<T, Problem> {
    let home = crate::paths::home(places.uid);
    let done = tokio::task::spawn_blocking(move || work(LoadOptions { system: false, home })).await;
    let done = done.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    done.map_err(of_edit)
}

fn of_edit(error: EditError) -> Problem {
    match error {
        EditError::Conflict { .. } => Problem::new(StatusCode::PRECONDITION_FAILED, error.to_string()),
        // No schema tells all that a config must be: the patch itself may be as it should.
        EditError::Busy(_) | EditError::Invalid(_) | EditError::Refused(_) => {
            Problem::new(StatusCode::CONFLICT, error.to_string())
        }
        other => crate::Error::from(other).into(),
    }
}
