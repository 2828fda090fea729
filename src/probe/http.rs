//! One GET request over TCP or a Unix socket, without TLS and without following redirects.

use std::pin::{Pin, pin};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::fault::Fault;
use super::url::{HttpUrl, To};
use super::{tcp, unix};

/// As much of a body as is read.
const BODY_MAX: usize = 256 * 1024;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// The body as far as it was wanted, arrived in time and fits [`BODY_MAX`].
    pub(super) body: Vec<u8>,
    /// When the status line had been read.
    pub(super) at: Instant,
}

/// Asks for `url`. The body is read only where `wants` says so for the status; a body that does not
/// end in time or that breaks off is what had arrived of it.
pub(super) async fn get(
    url: &HttpUrl,
    deadline: Instant,
    limit: Duration,
    wants: impl Fn(u16) -> bool,
) -> Result<Answer, Fault> {
    let question = Question { url, deadline, limit, last: true };
    Line::open(&question).await?.ask(&question, wants).await
}

/// One request.
pub(super) struct Question<'a> {
    pub(super) url: &'a HttpUrl,
    pub(super) deadline: Instant,
    pub(super) limit: Duration,
    /// Nothing else is asked over this connection.
    pub(super) last: bool,
}

/// An open connection.
pub(super) struct Line {
    sender: http1::SendRequest<Empty<Bytes>>,
    /// Moves the bytes, while it is polled; `None`: it has ended.
    mover: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    /// The last answer was not read to its end: what comes next is no answer.
    unread: bool,
}

impl Line {
    pub(super) async fn open(question: &Question<'_>) -> Result<Self, Fault> {
        let (deadline, limit) = (question.deadline, question.limit);
        match question.url.to() {
            To::Tcp(endpoint) => Self::over(tcp::connect(endpoint, deadline, limit).await?).await,
            To::Unix(path) => Self::over(unix::connect(path, deadline, limit).await?).await,
        }
    }

    async fn over<S>(stream: S) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, mover) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| Fault::of_http(&error))?;
        Ok(Self { sender, mover: Some(Box::pin(mover)), unread: false })
    }

    /// Whether another question can be asked.
    pub(super) fn is_open(&self) -> bool {
        self.mover.is_some() && !self.unread
    }

    pub(super) async fn ask(&mut self, question: &Question<'_>, wants: impl Fn(u16) -> bool) -> Result<Answer, Fault> {
        self.unread = true;
        let mut asking = pin!(ask(&mut self.sender, question, wants));
        // The connection may end before the answer has been taken out of it.
        if let Some(mover) = &mut self.mover {
            tokio::select! {
                biased;
                answer = &mut asking => {
                    let (answer, whole) = answer?;
                    self.unread = !whole;
                    return Ok(answer);
                }
                _ = mover => self.mover = None,
            }
        }
        asking.await.map(|(answer, _)| answer)
    }
}

/// The answer, and whether all of it was read.
async fn ask(
    sender: &mut http1::SendRequest<Empty<Bytes>>,
    question: &Question<'_>,
    wants: impl Fn(u16) -> bool,
) -> Result<(Answer, bool), Fault> {
    let Question { url, deadline, limit, last } = *question;
    let request = Request::get(url.path())
        .header(HOST, url.authority())
        .header(USER_AGENT, concat!("provost/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(CONNECTION, if last { "close" } else { "keep-alive" })
        .body(Empty::new());
    // The parts were checked when the URL was read.
    let request = request.map_err(|error| Fault::Io { doing: "building the request", why: error.to_string() })?;
    let response = match timeout_at(deadline, sender.send_request(request)).await {
        Ok(response) => response.map_err(|error| Fault::of_http(&error))?,
        Err(_) => return Err(Fault::TimedOut { doing: "no answer", after: limit }),
    };
    let at = Instant::now();
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let mut whole = false;
    if wants(status) || !last {
        whole = timeout_at(deadline, read_body(response, &mut body)).await.unwrap_or(false);
    }
    Ok((Answer { status, body, at }, whole))
}

/// Whether that was all of it.
async fn read_body(mut response: Response<Incoming>, body: &mut Vec<u8>) -> bool {
    while let Some(frame) = response.frame().await {
        let Ok(frame) = frame else { return false };
        let Some(data) = frame.data_ref() else { continue };
        let room = BODY_MAX - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
        if body.len() == BODY_MAX {
            return false;
        }
    }
    true
}
