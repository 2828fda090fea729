//! A server that is small enough to look at: answers every GET on a port with "hello".
//!
//! `hello PORT` listens on 127.0.0.1. It starts a child that only waits, so that there is a tree.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(port) = args.next().and_then(|port| port.parse::<u16>().ok()) else {
        eprintln!("usage: hello PORT");
        return ExitCode::from(2);
    };
    let listener = match TcpListener::bind(("127.0.0.1", port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("hello: port {port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    #[expect(clippy::disallowed_methods, reason = "an example of a server with a helper process")]
    let mut helper = Command::new("sleep").arg("3600").spawn().ok();
    for mut stream in listener.incoming().flatten() {
        // Requests are short; what does not fit into one read is not looked at.
        let mut request = [0; 1024];
        if stream.read(&mut request).is_ok() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");
        }
    }
    if let Some(helper) = &mut helper {
        let _ = helper.kill();
    }
    ExitCode::SUCCESS
}
