//! `llama-server`, which answers 503 while it loads its model.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::{Result, http, value};

const LOADING: &str = r#"{"error":{"message":"Loading model","code":503,"type":"unavailable_error"}}"#;

/// `[--host H] [--port N] [--model M] [--loading-for SECONDS]`.
pub fn main(args: &[String]) -> Result<()> {
    let host = value(args, "--host").unwrap_or("127.0.0.1");
    let port = value(args, "--port").unwrap_or("8080");
    let seconds: f64 = value(args, "--loading-for").unwrap_or("0").parse()?;
    let loaded = Instant::now() + Duration::from_secs_f64(seconds);
    let listener = TcpListener::bind(format!("{host}:{port}")).map_err(|e| format!("bind {host}:{port}: {e}"))?;
    http::serve(listener, move |path| match path {
        _ if Instant::now() < loaded => (503, LOADING.into()),
        "/health" => (200, r#"{"status":"ok"}"#.into()),
        "/v1/models" | "/models" => {
            (200, r#"{"object":"list","data":[{"id":"qwen3-4b.gguf","object":"model","owned_by":"llamacpp"}]}"#.into())
        }
        "/" => (200, "llama.cpp".into()),
        _ => (404, r#"{"error":{"message":"File Not Found","code":404,"type":"not_found_error"}}"#.into()),
    })
}
