//! `ollama serve` with its child `ollama runner --model …`, as the real one has when a model is loaded.

use std::net::TcpListener;
use std::process::Command;

use super::{Result, flag, http, value, wait};

const MODEL: &str = r#"{"name":"gemma2:2b","model":"gemma2:2b","size":1629518495,"digest":"8ccf136fdd52"}"#;

/// `serve [--no-runner]` listens on $OLLAMA_HOST; `runner --model M --port N` is the child.
pub fn main(args: &[String]) -> Result<()> {
    match args.first().map(String::as_str) {
        Some("serve") => serve(args),
        Some("runner") => runner(args),
        _ => Err("usage: ollama serve | ollama runner --model M --port N".into()),
    }
}

fn serve(args: &[String]) -> Result<()> {
    let host = std::env::var("OLLAMA_HOST").unwrap_or_default();
    let host = if host.is_empty() { "127.0.0.1:11434".to_owned() } else { host };
    let listener = TcpListener::bind(&host).map_err(|e| format!("listen tcp {host}: {e}"))?;
    let _runner = match flag(args, "--no-runner") {
        true => None,
        false => {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
            let blob = "/usr/share/ollama/.ollama/models/blobs/sha256-8ccf136fdd52";
            Some(Command::new(std::env::current_exe()?).args(["runner", "--model", blob, "--port", &port]).spawn()?)
        }
    };
    http::serve(listener, |path| match path {
        "/" => (200, "Ollama is running".into()),
        "/api/version" => (200, r#"{"version":"0.5.1"}"#.into()),
        "/api/tags" | "/api/ps" => (200, format!(r#"{{"models":[{MODEL}]}}"#)),
        _ => (404, "404 page not found".into()),
    })
}

fn runner(args: &[String]) -> Result<()> {
    let port = value(args, "--port").ok_or("--port is missing")?;
    let _listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    wait()
}
