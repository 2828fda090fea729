//! The greeting of a D-Bus connection, from the server's side: who the peer is was already asked of
//! the kernel, so that this only agrees on it. Descriptors are never taken.
//!
//! It is here and not left to the D-Bus library because a peer may send anything: what it sends is
//! bounded, and so is the time that it may take.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// More than this no greeting is long.
const LONGEST: usize = 1024;

/// Greets, and returns what the peer has sent after its greeting.
pub(super) async fn greet(stream: &mut UnixStream, uid: u32, guid: &str) -> io::Result<Vec<u8>> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut received = Vec::with_capacity(256);
    let mut first = true;
    let mut authenticated = false;
    let mut taken = 0;
    loop {
        while let Some(end) = received.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = received.drain(..=end).collect();
            taken += line.len();
            let mut line = line.strip_suffix(b"\r\n").ok_or_else(|| wrong("a line does not end as it must"))?;
            if std::mem::take(&mut first) {
                line = line.strip_prefix(b"\0").ok_or_else(|| wrong("the first byte is not 0"))?;
            }
            let line = std::str::from_utf8(line).map_err(|_| wrong("a line is not ASCII"))?;
            match answer(line, uid, &mut authenticated) {
                Answer::Begin => return Ok(received),
                Answer::Accept => stream.write_all(format!("OK {guid}\r\n").as_bytes()).await?,
                Answer::Say(words) => stream.write_all(words.as_bytes()).await?,
            }
        }
        if taken + received.len() > LONGEST {
            return Err(wrong("the greeting is too long"));
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Begin,
    Accept,
    Say(&'static str),
}

fn answer(line: &str, uid: u32, authenticated: &mut bool) -> Answer {
    let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
    let identity = match (command, argument.split_once(' ')) {
        ("AUTH", Some(("EXTERNAL", identity))) => Some(identity),
        ("AUTH", None) if argument == "EXTERNAL" => return Answer::Say("DATA\r\n"),
        ("DATA", _) => Some(argument),
        _ => None,
    };
    match (command, identity) {
        // An empty identity is whoever the kernel says.
        (_, Some(identity)) if identity.is_empty() || decode(identity) == Some(uid) => {
            *authenticated = true;
            Answer::Accept
        }
        (_, Some(_)) | ("AUTH" | "CANCEL" | "ERROR", None) => {
            *authenticated = false;
            Answer::Say("REJECTED EXTERNAL\r\n")
        }
        ("BEGIN", None) if *authenticated => Answer::Begin,
        ("NEGOTIATE_UNIX_FD", None) => Answer::Say("ERROR no descriptors are taken\r\n"),
        _ => Answer::Say("ERROR not understood\r\n"),
    }
}

/// A uid in decimal digits, each byte as two hexadecimal ones.
fn decode(hex: &str) -> Option<u32> {
    let digits = hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(digits.collect::<Option<Vec<u8>>>()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_uid_that_the_kernel_names_is_accepted() {
        let mut authenticated = false;
        let mut say = |line| answer(line, 1000, &mut authenticated);
        assert_eq!(say("BEGIN"), Answer::Say("ERROR not understood\r\n"));
        for wrong in ["AUTH", "AUTH ANONYMOUS", "AUTH EXTERNAL 30", "AUTH EXTERNAL 313030301", "DATA zz", "AUTH X 30"] {
            assert_eq!(say(wrong), Answer::Say("REJECTED EXTERNAL\r\n"), "{wrong}");
        }
        assert_eq!(say("AUTH EXTERNAL"), Answer::Say("DATA\r\n"));
        assert_eq!(say("DATA"), Answer::Accept);
        assert_eq!(say("CANCEL"), Answer::Say("REJECTED EXTERNAL\r\n"));
        assert_eq!(say("AUTH EXTERNAL 31303030"), Answer::Accept);
        assert_eq!(say("NEGOTIATE_UNIX_FD"), Answer::Say("ERROR no descriptors are taken\r\n"));
        assert_eq!(say("BEGIN"), Answer::Begin);
    }
}
