//! Tests against real sockets on loopback and real child processes.

mod chosen;
mod commands;
mod servers;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// What a fake server does with a request line as `GET /health HTTP/1.1`: the bytes to answer with,
/// or `None` to say nothing and keep the connection open.
type Reply = fn(&str) -> Option<Vec<u8>>;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// An HTTP answer with this status and body.
fn reply(status: u16, body: &str) -> Option<Vec<u8>> {
    Some(format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// Listens on a free port of this host and answers every connection once.
async fn serve(host: &str, reply: Reply) -> SocketAddr {
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    crate::tasks::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                let mut chunk = [0; 1024];
                match stream.read(&mut chunk).await {
                    Ok(n @ 1..) => request.extend_from_slice(&chunk[..n]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            match reply(request.lines().next().unwrap_or_default()) {
                Some(bytes) => drop(stream.write_all(&bytes).await),
                None => held.push(stream),
            }
        }
    });
    address
}

/// A port on which nothing listens.
async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn ask(spec: &str) -> Availability {
    ask_within(spec, Duration::from_secs(20)).await
}

async fn ask_within(spec: &str, timeout: Duration) -> Availability {
    let options = Options { timeout, spec: Some(spec.parse().unwrap()), models: false };
    probe(&Subject::default(), &Known::builtin(), &options).await
}
