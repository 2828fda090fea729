//! A server that takes connections and never says a word.

use std::net::TcpListener;

use super::{Result, value};

/// `[--port N]`.
pub fn main(args: &[String]) -> Result<()> {
    let listener = TcpListener::bind(format!("127.0.0.1:{}", value(args, "--port").unwrap_or("8081")))?;
    let mut held = Vec::new();
    loop {
        held.push(listener.accept()?);
    }
}
