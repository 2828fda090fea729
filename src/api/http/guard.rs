//! Who asks, and whether they may ask at all: before anything of the request is looked at.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::call::{Asker, Front};
use super::listen::{Peer, Way};
use super::problem::Problem;
use super::rate::Client;
use crate::tokens::{Scope, find};

/// The one path that everybody may ask for.
pub(super) const OPEN: &str = "/healthz";

/// Looks at a request, passes it on, and says of the answer what browsers must know.
pub(super) async fn guard(State(front): State<Arc<Front>>, mut request: Request, next: Next) -> Response {
    let allowed = allowed_origin(&front, request.headers());
    let mut response = match look(&front, &mut request, allowed.as_ref()) {
        Ok(None) => next.run(request).await,
        Ok(Some(response)) => response,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// `Some`: the answer; `None`: the request may go on, with who asks in its extensions.
fn look(front: &Front, request: &mut Request, allowed: Option<&HeaderValue>) -> Result<Option<Response>, Problem> {
    let peer = request.extensions().get::<Peer>().cloned();
    let Some(peer) = peer else { return Err(Problem::new(StatusCode::FORBIDDEN, "nobody asks")) };
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) && allowed.is_none() {
        let why = "web pages may not ask: http.origins in the config of the daemon names those that may";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    let address = match peer.way {
        Way::Socket(uid) => {
            limited(front, Client::User(uid))?;
            peer.shows_itself();
            request.extensions_mut().insert(Asker { scope: Scope::Manage, owner: true });
            return Ok(None);
        }
        Way::Address(address) => address,
    };
    host(headers, request.uri().host(), &front.settings.borrow().hosts)?;
    if request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        limited(front, Client::Address(address))?;
        return Ok(allowed.map(|_| preflight()));
    }
    if request.uri().path() == OPEN {
        limited(front, Client::Address(address))?;
        return Ok(None);
    }
    let asker = by_token(front, headers, address)?;
    peer.shows_itself();
    request.extensions_mut().insert(asker);
    Ok(None)
}

fn limited(front: &Front, client: Client) -> Result<(), Problem> {
    match front.admit(client) {
        true => Ok(()),
        false => Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests: wait a second")),
    }
}

/// Who has this token.
fn by_token(front: &Front, headers: &HeaderMap, address: IpAddr) -> Result<Asker, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let text = value.and_then(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
    });
    let found = text.and_then(|text| {
        let mut tokens = front.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        match tokens.all() {
            Ok(all) => find(all, text, crate::clock::now()).map(|token| (token.id.clone(), token.scope)),
            Err(error) => {
                tracing::error!("{error}");
                None
            }
        }
    });
    let Some((id, scope)) = found else {
        // A good one is never held up by those who guess.
        limited(front, Client::Address(address))?;
        let why = "it takes a token that is good: Authorization: Bearer TOKEN (provost token create makes one)";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, why));
    };
    limited(front, Client::Token(id))?;
    Ok(Asker { scope, owner: false })
}

/// The origin, if it is one that may.
fn allowed_origin(front: &Front, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let settings = front.settings.borrow();
    settings.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, POST, PATCH, DELETE");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let allowed = HeaderValue::from_static("authorization, content-type, if-match, last-event-id");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    response
}

/// A name that somebody points at this host must not lead here: an address and localhost do, and
/// names that the config has.
fn host(headers: &HeaderMap, of_uri: Option<&str>, known: &[String]) -> Result<(), Problem> {
    let mut values = headers.get_all(header::HOST).iter();
    let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let is_known = |text: &str| {
        let name = without_port(text);
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        bare.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || known.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    if value.is_some_and(is_known) && of_uri.is_none_or(is_known) {
        return Ok(());
    }
    let why = "this name is not known here: ask for localhost or an address, or add the name to http.hosts";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, why))
}

fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_known_names_lead_here() {
        let asked = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            super::host(&headers, None, &["gpu-1.example".to_owned()]).is_ok()
        };
        for good in
            ["127.0.0.1:8420", "127.0.0.1", "[::1]:8420", "localhost", "LOCALHOST:1", "GPU-1.example:8420", "10.0.0.7"]
        {
            assert!(asked(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "127.0.0.1.evil.example:8420",
            "localhost.evil.example",
            "gpu-1.example.evil",
            ":8420",
            "1",
        ] {
            assert!(!asked(bad), "{bad}");
        }
        assert!(super::host(&HeaderMap::new(), None, &[]).is_err());
        let mut twice = HeaderMap::new();
        twice.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(super::host(&twice, Some("evil.example"), &[]).is_err());
        twice.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(super::host(&twice, None, &[]).is_err());
    }
}
