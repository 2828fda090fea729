//! Bodies that are written while they are read: logs that are followed, events.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body::Frame;
use tokio::sync::mpsc;

use super::problem::Problem;

/// How many there may be.
const STREAMS: usize = 64;
/// Pieces that wait to be sent.
const AHEAD: usize = 16;
/// A silent stream says that it lives this often: so whoever is between keeps it open.
pub(super) const ALIVE: Duration = Duration::from_secs(15);

/// The streams that are open; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams(Arc<AtomicUsize>);

/// Where the pieces of one are put.
#[derive(Debug)]
pub(super) struct Writer {
    pieces: mpsc::Sender<Bytes>,
    open: Streams,
}

/// The body that they come out of.
struct Reader(mpsc::Receiver<Bytes>);

impl Streams {
    /// A new one.
    pub(super) fn open(&self) -> Result<(Writer, Body), Problem> {
        if self.0.fetch_add(1, Ordering::Relaxed) >= STREAMS {
            self.0.fetch_sub(1, Ordering::Relaxed);
            let why = format!("{STREAMS} streams are open already: close some");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why));
        }
        let (pieces, reader) = mpsc::channel(AHEAD);
        Ok((Writer { pieces, open: self.clone() }, Body::new(Reader(reader))))
    }
}

impl Writer {
    /// Waits until there is room; false: nobody reads any more.
    pub(super) async fn write(&self, piece: impl Into<Bytes>) -> bool {
        self.pieces.send(piece.into()).await.is_ok()
    }

    /// Waits until nobody reads any more.
    pub(super) async fn closed(&self) {
        self.pieces.closed().await;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.open.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// A body of this type.
pub(super) fn answer(body: impl Into<Body>, content: &'static str) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    response
}

/// Server-sent events.
pub(super) const EVENTS: &str = "text/event-stream";
/// Plain text.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// One server-sent event; its data is one line.
pub(super) fn event(id: Option<&str>, name: Option<&str>, data: &impl serde::Serialize) -> Bytes {
    let mut out = String::new();
    if let Some(name) = name {
        out.push_str(&format!("event: {name}\n"));
    }
    if let Some(id) = id {
        out.push_str(&format!("id: {id}\n"));
    }
    // JSON has its line ends escaped.
    out.push_str(&format!("data: {}\n\n", serde_json::to_string(data).unwrap_or_default()));
    Bytes::from(out)
}
