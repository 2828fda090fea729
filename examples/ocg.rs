//! Three small servers that need one another: what `examples/ocg/provost.toml` runs.
//!
//! `ocg embedding PORT` answers `/health` half a second after its start; `ocg agent SOCKET`
//! accepts on a Unix socket and answers with what the embedding server (`EMBEDDING_PORT`) says;
//! `ocg gateway PORT` answers `/health` with what the agent (`AGENT_SOCKET`) says.

#![allow(clippy::disallowed_methods, reason = "an example: its addresses come by the environment")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let served = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["embedding", port] => embedding(port),
        ["agent", socket] => agent(socket),
        ["gateway", port] => gateway(port),
        _ => Err("usage: ocg embedding PORT | agent SOCKET | gateway PORT".into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ocg {}: {error}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn embedding(port: &str) -> Result<()> {
    println!("loading the model");
    // A model takes a while; until then nobody listens.
    std::thread::sleep(Duration::from_millis(500));
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?))?;
    println!("embedding server on port {port}");
    for mut stream in listener.incoming().flatten() {
        answer(&mut stream, "200 OK", "embedding: ok")?;
    }
    Ok(())
}

fn agent(socket: &str) -> Result<()> {
    let listener = UnixListener::bind(socket)?;
    println!("agent on {socket}");
    for mut stream in listener.incoming().flatten() {
        let embedding = health_of_embedding().unwrap_or_else(|error| format!("embedding: {error}"));
        let _ = writeln!(stream, "agent: ok, {embedding}");
    }
    Ok(())
}

fn gateway(port: &str) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?))?;
    println!("gateway on http://127.0.0.1:{port}/health");
    for mut stream in listener.incoming().flatten() {
        match ask_agent() {
            Ok(agent) => answer(&mut stream, "200 OK", &format!("gateway: ok, {}", agent.trim()))?,
            Err(error) => answer(&mut stream, "503 Service Unavailable", &format!("agent: {error}"))?,
        }
    }
    Ok(())
}

fn health_of_embedding() -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", std::env::var("EMBEDDING_PORT")?.parse()?))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.split("\r\n\r\n").nth(1).unwrap_or("no answer").trim().to_owned())
}

fn ask_agent() -> Result<String> {
    let mut text = String::new();
    UnixStream::connect(std::env::var("AGENT_SOCKET")?)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Answers whatever was asked; a client that went away is no error.
fn answer(stream: &mut TcpStream, status: &str, body: &str) -> Result<()> {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request);
    let length = body.len() + 1;
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}\n");
    Ok(())
}
