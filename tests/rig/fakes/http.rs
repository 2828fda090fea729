//! As much of HTTP as the fake servers need.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Answers every request on `listener` with the status and JSON (or text) that `answer` gives for its path, for ever.
pub fn serve(listener: TcpListener, answer: impl Fn(&str) -> (u16, String) + Sync + Send + Clone + 'static) -> ! {
    loop {
        if let Ok((stream, _)) = listener.accept() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let _ = converse(&stream, &answer);
            });
        }
    }
}

fn converse(stream: &TcpStream, answer: &impl Fn(&str) -> (u16, String)) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(first) = lines.next().transpose()? {
        let mut last = false;
        while let Some(header) = lines.next().transpose()?.filter(|header| !header.is_empty()) {
            last |= header.eq_ignore_ascii_case("connection: close");
        }
        let mut words = first.split(' ');
        let (method, path) = (words.next(), words.next().unwrap_or("/"));
        let (status, body) = answer(path.split('?').next().unwrap_or(path));
        let phrase = match status {
            200 => "OK",
            404 => "Not Found",
            _ => "Service Unavailable",
        };
        let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
        let head = format!(
            "HTTP/1.1 {status} {phrase}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let body = if method == Some("HEAD") { String::new() } else { body };
        let mut writer = stream;
        writer.write_all((head + &body).as_bytes())?;
        if last {
            return Ok(());
        }
    }
    Ok(())
}
