//! One GET request over TCP or a Unix socket, without TLS and without following redirects.

use std::pin::pin;
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
    let exchange = Exchange { url, deadline, limit };
    match url.to() {
        To::Tcp(endpoint) => exchange.run(tcp::connect(endpoint, deadline, limit).await?, wants).await,
        To::Unix(path) => exchange.run(unix::connect(path, deadline, limit).await?, wants).await,
    }
}

struct Exchange<'a> {
    url: &'a HttpUrl,
    deadline: Instant,
    limit: Duration,
}

impl Exchange<'_> {
    async fn run<S>(&self, stream: S, wants: impl Fn(u16) -> bool) -> Result<Answer, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| Fault::of_http(&error))?;
        let mut asking = pin!(self.ask(sender, wants));
        let mut connection = pin!(connection);
        // The connection moves the bytes. It may end before the answer has been taken out of it.
        tokio::select! {
            biased;
            answer = &mut asking => return answer,
            _ = &mut connection => {}
        }
        asking.await
    }

    async fn ask(
        &self,
        mut sender: http1::SendRequest<Empty<Bytes>>,
        wants: impl Fn(u16) -> bool,
    ) -> Result<Answer, Fault> {
        let request = Request::get(self.url.path())
            .header(HOST, self.url.authority())
            .header(USER_AGENT, concat!("provost/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "*/*")
            .header(CONNECTION, "close")
            .body(Empty::new());
        // The parts were checked when the URL was read.
        let request = request.map_err(|error| Fault::Io { doing: "building the request", why: error.to_string() })?;
        let response = match timeout_at(self.deadline, sender.send_request(request)).await {
            Ok(response) => response.map_err(|error| Fault::of_http(&error))?,
            Err(_) => return Err(Fault::TimedOut { doing: "no answer", after: self.limit }),
        };
        let at = Instant::now();
        let status = response.status().as_u16();
        let mut body = Vec::new();
        if wants(status) {
            let _in_time = timeout_at(self.deadline, read_body(response, &mut body)).await;
        }
        Ok(Answer { status, body, at })
    }
}

async fn read_body(mut response: Response<Incoming>, body: &mut Vec<u8>) {
    while let Some(Ok(frame)) = response.frame().await {
        let Some(data) = frame.data_ref() else { continue };
        let room = BODY_MAX - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
        if body.len() == BODY_MAX {
            return;
        }
    }
}
